// Group-persistent LSTM recurrence. See README in persist.cu's head.
//
// A group owns 8 batch rows and is made of P = H/32 blocks; a block owns 32 units (128 gate rows) and keeps its weights in
// registers for all steps. Everywhere a gate column (row of W) is unit*4 + gate, gates i, f, g, o.
//
// mma.m16n8k16, lane = 4 r + q:  A regs 0..3: (r, 2q..) (r+8, 2q..) (r, 2q+8..) (r+8, 2q+8..);  B regs 0,1: column r, rows 2q..,
// 2q+8..;  C 0..3: (r, 2q) (r, 2q+1) (r+8, 2q) (r+8, 2q+1).
// A lane takes 8 neighbouring k (16 bytes: x y z w) from k-block kb (32 wide) at 8q, of A's rows and of B's column alike; mma
// s=0 uses words x, y as its (2q, 2q+8) pairs, s=1 uses z, w. Both operands are permuted alike, so the product is the same.
#pragma once
#include "dev.h"

enum { Threads = 512, RowsOfGroup = 8, UnitsOfBlock = 32, SpinLimit = 20000, BarrierLimit = 10000000 };

// ---- waiting ----
// fp16 data: not there while any half has its two top bits set (0xFFFF does; no value in (-2, 2) and no NaN of cvt, 0x7FFF, does).
DEV bool halvesMissing(uint4 v) {
    return (((v.x & (v.x << 1)) | (v.y & (v.y << 1)) | (v.z & (v.z << 1)) | (v.w & (v.w << 1))) & 0x80008000u) != 0;
}

// True once waiting must end: too long here, or somebody else gave up. Uniform over the warp.
DEV bool giveUp(int &spins, u32 *abortWord) {
    spins++;
    if ((spins & 127) == 0) {
        if (spins >= SpinLimit) {
            stRelaxed1(abortWord, 1);
            return true;
        }
        return ldRelaxed1(abortWord) != 0;
    }
    return false;
}

// N chunks of 16 bytes each, `stride` halves apart.
template <int N>
DEV void waitForHalves(uint4 (&v)[N], const u16 *from, size_t stride, bool &dead, u32 *abortWord) {
    bool missing = false;
    UNROLL for (int i = 0; i < N; i++) v[i] = ldRelaxed4(from + i * stride);
    UNROLL for (int i = 0; i < N; i++) missing |= halvesMissing(v[i]);
    int spins = 0;
    while (anySync(missing) && !dead) {
        dead = anySync(giveUp(spins, abortWord));
        missing = false;
        // All again: loads under a condition would be put through few registers, one after the other.
        UNROLL for (int i = 0; i < N; i++) v[i] = ldRelaxed4(from + i * stride);
        UNROLL for (int i = 0; i < N; i++) missing |= halvesMissing(v[i]);
    }
}

DEV void waitForBarrier(void *barrier, u32 parity, bool &dead, u32 *abortWord) {
    bool missing = !barrierPassed(barrier, parity);
    if (!anySync(missing) || dead) return;
    // The hardware may let a try wait for long: by the clock, then.
    const long long from = now();
    do {
        bool end = ldRelaxed1(abortWord) != 0;
        if (now() - from > BarrierLimit) {
            stRelaxed1(abortWord, 1);
            end = true;
        }
        dead = anySync(end);
        missing = !barrierPassed(barrier, parity);
    } while (anySync(missing) && !dead);
}

// ---- the cell ----
template <bool fast>
DEV float sigmoid(float x) {
    if (fast) return 0.5f * tanhApprox(0.5f * x) + 0.5f;
    return divApprox(1.0f, 1.0f + expApprox(-x));
}
template <bool fast>
DEV float tanhOf(float x) {
    if (fast) return tanhApprox(x);
    return 1.0f - divApprox(2.0f, 1.0f + expApprox(2.0f * x));
}
DEV float low(u32 x) { return fromHalf((u16)(x & 0xFFFFu)); }
DEV float high(u32 x) { return fromHalf((u16)(x >> 16)); }

// ---- places ----
DEV int forwardWeightRow(int p, int mg, int tau, int half, int lane) { return 4 * (32 * p + 8 * mg + lane / 4) + 2 * tau + half; }
DEV int backwardWeightRow(int destination, int tau, int half, int lane) { return 32 * destination + 4 * (lane / 4) + 2 * tau + half; }
DEV int blockColumn(int kb, int lane) { return 32 * kb + 8 * (lane % 4); }
// Sums of k-group kg for a row and a unit (4 gates); 33: no bank is met twice.
DEV int partialPlace(int buffer, int kg, int row, int unit) { return ((buffer * 4 + kg) * 8 + row) * 33 + unit; }

// ---- forward ----
struct ForwardArguments {
    const u16 *W;   // [4H][H]
    const u16 *xg;  // [T][B][H][4], with bias
    u16 *Y;         // [T+1][B][H]; Y[0] is the state before, the rest 0xFFFF
    float *C;       // [T+1][B][H]; C[0] is the state before
    u16 *gates;     // [T][B][H][4]
    u32 *abortWord;
    int first, T, B;        // steps first .. first + T - 1
    int pauseIdle, pauseCell;  // cycles before polling begins, in warps that have no cell to compute and in those that have
};

template <int H>
struct ForwardShape {
    enum { P = H / 32, Blocks = P / 4, HidesBytes = 2 * P * 512, BarriersAt = HidesBytes + 2 * 4 * 8 * 33 * 16, SharedBytes = BarriersAt + 64 };
};

// mode: bit 0: no waiting (reads what is there: computing time alone); bit 1: no products.
// 4 groups of warps along k times MG along the gates: 16 warps of 64 weight registers (MG 4) or 8 of 128 (MG 2).
// link 0: blocks talk through L2, by Y; 1: a group is a cluster, blocks write to one another's shared memory.
template <int H, bool fast, int mode, int MG, int link>
DEV void forwardBody(const ForwardArguments &a) {
    constexpr int P = ForwardShape<H>::P, PKG = ForwardShape<H>::Blocks, Pairs = 4 / MG, threads = 128 * MG;
    static_assert(PKG <= 4, "weights fit registers");
    const int lane = tidx() & 31, warp = tidx() >> 5, kg = warp / MG, mg = warp % MG;
    const int g = bidx() / P, p = bidx() % P;
    uint4 *hidden = (uint4 *)smem();                                         // [2][P][32]
    float4 *partial = (float4 *)(smem() + ForwardShape<H>::HidesBytes);      // [2][4][8][33]
    u32 w[PKG][Pairs][2][2][4];
    UNROLL for (int kb = 0; kb < PKG; kb++) {
        UNROLL for (int pair = 0; pair < Pairs; pair++) {
            UNROLL for (int part = 0; part < 4; part++) {
                const int tau = part >> 1, half = part & 1;
                const uint4 v = ldConst4(a.W + (size_t)forwardWeightRow(p, mg * Pairs + pair, tau, half, lane) * H + blockColumn(kg * PKG + kb, lane));
                w[kb][pair][tau][half][0] = v.x;
                w[kb][pair][tau][half][1] = v.y;
                w[kb][pair][tau][half][2] = v.z;
                w[kb][pair][tau][half][3] = v.w;
            }
        }
    }
    bool dead = ldRelaxed1(a.abortWord) != 0;
    dead = anySync(dead);
    const bool isCell = MG == 2 || warp < 8;
    const size_t BH = (size_t)a.B * H;
    const size_t own = (size_t)(g * 8 + (warp & 7)) * H + 32 * p + lane;
    float c = 0;
    uint2 xNext = {0, 0};
    if (isCell) {
        c = a.C[(size_t)a.first * BH + own];
        xNext = ldConst2(a.xg + ((size_t)a.first * BH + own) * 4);
    }
    const int end = a.first + a.T;
    char *const barriers = smem() + ForwardShape<H>::BarriersAt;  // [2][4]
    u32 remote[2] = {0, 0};
    if (link) {
        if (tidx() == 0) {
            UNROLL for (int i = 0; i < 8; i++) barrierInit(barriers + 8 * i);
            barrierInitDone();
            UNROLL for (int i = 0; i < 8; i++) barrierExpect(barriers + 8 * i, PKG * 512);
        }
        UNROLL for (int i = 0; i < (P + 7) / 8; i++) remote[i] = remoteAddress(smem(), lane / 4 + 8 * i);
        barSync(7, threads);
        clusterSync();
    }
    for (int t = a.first; t < end; t++) {
        const int turn = t - a.first, buffer = turn & 1;
        if (link && turn > 0) {
            char *const barrier = barriers + (buffer * 4 + kg) * 8;
            waitForBarrier(barrier, ((turn - 1) >> 1) & 1, dead, a.abortWord);
            if (mg == 0 && lane == 0 && !dead) barrierExpect(barrier, PKG * 512);  // its next use, two steps on
        } else {
            // A warp fetches neighbouring sources: Fetch of them.
            constexpr int Fetch = PKG > MG ? PKG / MG : 1;
            if (mg * Fetch < PKG) {
                const int source = kg * PKG + mg * Fetch;
                const u16 *from = a.Y + (size_t)t * BH + (size_t)(g * 8 + lane / 4) * H + blockColumn(source, lane);
                uint4 v[Fetch];
                if (mode & 1) {
                    UNROLL for (int i = 0; i < Fetch; i++) v[i] = ldRelaxed4(from + 32 * i);
                } else {
                    waitForHalves<Fetch>(v, from, 32, dead, a.abortWord);
                }
                UNROLL for (int i = 0; i < Fetch; i++) hidden[(buffer * P + source + i) * 32 + lane] = v[i];
            }
        }
        if (!link || turn == 0) barSync(1 + kg, 32 * MG);
        float acc[Pairs][2][2][4];
        UNROLL for (int i = 0; i < 16 * Pairs; i++) acc[i / 16][i / 8 % 2][i / 4 % 2][i % 4] = 0;
        UNROLL for (int kb = 0; kb < PKG; kb++) {
            const uint4 b = hidden[(buffer * P + kg * PKG + kb) * 32 + lane];
            if (!(mode & 2)) {
                UNROLL for (int m = 0; m < 2 * Pairs; m++) {
                    const int pair = m >> 1, tau = m & 1;
                    mma(acc[pair][tau][0], w[kb][pair][tau][0][0], w[kb][pair][tau][1][0], w[kb][pair][tau][0][1], w[kb][pair][tau][1][1], b.x, b.y);
                    mma(acc[pair][tau][1], w[kb][pair][tau][0][2], w[kb][pair][tau][1][2], w[kb][pair][tau][0][3], w[kb][pair][tau][1][3], b.z, b.w);
                }
            } else {
                acc[0][0][0][0] += value(b.x ^ w[kb][0][0][0][0] ^ w[kb][0][0][1][0] ^ w[kb][0][1][1][3]);
            }
        }
        UNROLL for (int j = 0; j < 2 * Pairs; j++) {
            const int pair = j >> 1, e = j & 1;
            float4 s;
            s.x = acc[pair][0][0][e] + acc[pair][0][1][e];
            s.y = acc[pair][0][0][2 + e] + acc[pair][0][1][2 + e];
            s.z = acc[pair][1][0][e] + acc[pair][1][1][e];
            s.w = acc[pair][1][0][2 + e] + acc[pair][1][1][2 + e];
            partial[partialPlace(buffer, kg, 2 * (lane % 4) + e, 8 * (mg * Pairs + pair) + lane / 4)] = s;
        }
        // Idle warps may be one step ahead of the cells, hence two buffers and two barriers.
        if (!isCell) {
            barSync(5 + buffer, threads);  // Not bar.arrive: a warp that does not wait for data (mode 1, or after giving up) would run ahead and arrive twice.
            pauseCycles(a.pauseIdle);
        } else {
            barSync(5 + buffer, threads);
            float zi = low(xNext.x), zf = high(xNext.x), zg = low(xNext.y), zo = high(xNext.y);
            if (t + 1 < end) xNext = ldConst2(a.xg + ((size_t)(t + 1) * BH + own) * 4);
            UNROLL for (int q = 0; q < 4; q++) {
                const float4 s = partial[partialPlace(buffer, q, warp, lane)];
                zi += s.x;
                zf += s.y;
                zg += s.z;
                zo += s.w;
            }
            const float i = sigmoid<fast>(zi), f = sigmoid<fast>(zf), n = tanhOf<fast>(zg), o = sigmoid<fast>(zo);
            c = f * c + i * n;
            const u16 h = toHalf(o * tanhOf<fast>(c));
            if (link && t + 1 < end) {
                // A lane sends 8 units of this row to one or two blocks. The receiver's buffer was last read for step t-1, before
                // it sent what this step was computed from.
                const u32 two = h | shuffle(h, (lane + 1) & 31) << 16;
                uint4 v;
                v.x = shuffle(two, 8 * (lane % 4));
                v.y = shuffle(two, 8 * (lane % 4) + 2);
                v.z = shuffle(two, 8 * (lane % 4) + 4);
                v.w = shuffle(two, 8 * (lane % 4) + 6);
                const u32 to = (((buffer ^ 1) * P + p) * 32 + warp * 4 + lane % 4) * 16;
                const u32 barrier = ForwardShape<H>::BarriersAt + ((buffer ^ 1) * 4 + p / PKG) * 8;
                UNROLL for (int i = 0; i < (P + 7) / 8; i++) sendAsync(remote[i] + to, v, remote[i] + barrier);
            }
            stRelaxedH(a.Y + (size_t)(t + 1) * BH + own, h);
            uint2 saved;
            saved.x = pack2(i, f);
            saved.y = pack2(n, o);
            st2(a.gates + ((size_t)t * BH + own) * 4, saved);
            stF(a.C + (size_t)(t + 1) * BH + own, c);
            pauseCycles(a.pauseCell);
        }
    }
    if (link) clusterSync();
}

// ---- backward ----
struct BackwardArguments {
    const u16 *WT;     // [H][4H]: W transposed
    const u16 *gates;  // [T][B][H][4]
    const float *C;    // [T+1][B][H]
    const float *dY;   // [T][B][H]
    u16 *dG;           // [T][B][H][4]
    u32 *slots;        // [2][G][P to][P from][words of an exchange]; 0 at the start
    u32 *abortWord;
    int T, B;
    int pauseCell;
};
enum { InboxAt = 2 * 4 * 36 * 16, BackwardBarriersAt = InboxAt + 2 * 16 * 1024, BackwardSharedBytes = BackwardBarriersAt + 64 };

// narrow: the sums travel as fp16 pairs (rows 2q, 2q+1 of a unit), else as fp32.
// The lowest bit of each word tells the round it belongs to: the two slots are used in turn, and their bit turns with each use.
// A slot is written again only after its reader has sent what it computed from it, so that two suffice and nothing needs a fence.
// 16 warps with one destination each, or 8 with two.
template <int H, bool narrow, int mode, int warps, int link>
DEV void backwardBody(const BackwardArguments &a) {
    constexpr int P = H / 32, cellWarps = narrow ? 4 : 8, cells = 8 / cellWarps, words = narrow ? 128 : 256;
    constexpr int Sends = P > warps ? P / warps : 1, threads = 32 * warps;
    static_assert(Sends <= 16 / warps, "weights fit registers");
    const int lane = tidx() & 31, warp = tidx() >> 5;
    const int g = bidx() / P, p = bidx() % P, G = a.B / 8;
    char *shared = smem();  // [2][4][36] chunks of dG: k-block, 32 used
    u32 w[4][Sends][2][2][4];
    const bool sends = warp * Sends < P;
    UNROLL for (int kb = 0; kb < 4; kb++) {
        UNROLL for (int pair = 0; pair < Sends; pair++) {
            UNROLL for (int part = 0; part < 4; part++) {
                const int tau = part >> 1, half = part & 1;
                uint4 v = {0, 0, 0, 0};
                if (sends) v = ldConst4(a.WT + (size_t)backwardWeightRow(warp * Sends + pair, tau, half, lane) * 4 * H + 128 * p + blockColumn(kb, lane));
                w[kb][pair][tau][half][0] = v.x;
                w[kb][pair][tau][half][1] = v.y;
                w[kb][pair][tau][half][2] = v.z;
                w[kb][pair][tau][half][3] = v.w;
            }
        }
    }
    bool dead = ldRelaxed1(a.abortWord) != 0;
    dead = anySync(dead);
    const bool isCell = warps == cellWarps || warp < cellWarps;
    const size_t BH = (size_t)a.B * H;
    const size_t own = (size_t)(g * 8 + (warp % cellWarps) * cells) * H + 32 * p + lane;  // + e H
    float dcNext[cells], cNow[cells], cBefore[cells], dy[cells];
    uint2 saved[cells];
    UNROLL for (int e = 0; e < cells; e++) {
        dcNext[e] = cNow[e] = cBefore[e] = dy[e] = 0;
        saved[e] = {0, 0};
        if (isCell) {
            const size_t place = (size_t)(a.T - 1) * BH + own + e * H;
            cNow[e] = ldConstF(a.C + place + BH);
            cBefore[e] = ldConstF(a.C + place);
            dy[e] = ldConstF(a.dY + place);
            saved[e] = ldConst2(a.gates + place * 4);
        }
    }
    // Of what the other blocks send to this one.
    const size_t slotStride = (size_t)G * P * P * words;
    const u32 *inbox = a.slots + ((size_t)(g * P + p) * P) * words + (warp % cellWarps) * 32 + lane;
    u32 *outbox = a.slots + ((size_t)(g * P + warp * Sends) * P + p) * words;
    char *const barriers = shared + BackwardBarriersAt;  // [2]
    const u32 *const box = (const u32 *)(shared + InboxAt) + (warp % cellWarps) * 32 + lane;  // [2][P][words]
    u32 remote[Sends] = {};
    if (link) {
        if (tidx() == 0) {
            UNROLL for (int i = 0; i < 2; i++) barrierInit(barriers + 8 * i);
            barrierInitDone();
            UNROLL for (int i = 0; i < 2; i++) barrierExpect(barriers + 8 * i, P * words * 4);
        }
        if (sends) UNROLL for (int i = 0; i < Sends; i++) remote[i] = remoteAddress(shared, warp * Sends + i);
        barSync(2, threads);
        clusterSync();
    }
    for (int k = 0; k < a.T; k++) {
        const int t = a.T - 1 - k, buffer = k & 1;
        if (isCell) {
            float toO[cells], toC[cells], toI[cells], toF[cells], toG[cells], carry[cells], dh[cells];
            UNROLL for (int e = 0; e < cells; e++) {
                const float i = low(saved[e].x), f = high(saved[e].x), n = low(saved[e].y), o = high(saved[e].y);
                const float tc = tanhOf<false>(cNow[e]);
                toO[e] = tc * o * (1 - o);
                toC[e] = o * (1 - tc * tc);
                toI[e] = n * i * (1 - i);
                toF[e] = cBefore[e] * f * (1 - f);
                toG[e] = i * (1 - n * n);
                carry[e] = f;
                dh[e] = dy[e];
                cNow[e] = cBefore[e];
                if (t > 0) {
                    const size_t place = (size_t)(t - 1) * BH + own + e * H;
                    cBefore[e] = ldConstF(a.C + place);
                    dy[e] = ldConstF(a.dY + place);
                    saved[e] = ldConst2(a.gates + place * 4);
                }
            }
            if (k > 0) {
                const u32 *from = inbox + ((k - 1) & 1) * slotStride;
                const u32 turn = (((k - 1) >> 1) & 1) ^ 1;
                u32 v[P], missing = 0;
                int spins = 0;
                if (link) {
                    char *const barrier = barriers + 8 * ((k - 1) & 1);
                    waitForBarrier(barrier, turn ^ 1, dead, a.abortWord);
                    if (tidx() == 0 && !dead) barrierExpect(barrier, P * words * 4);
                    UNROLL for (int s = 0; s < P; s++) v[s] = box[(((k - 1) & 1) * P + s) * words];
                } else {
                    UNROLL for (int s = 0; s < P; s++) v[s] = ldRelaxed1(from + s * words);
                    UNROLL for (int s = 0; s < P; s++) missing |= v[s] ^ turn;
                }
                if (!(mode & 1) && !link) {
                    while (anySync(missing & 1) && !dead) {
                        dead = anySync(giveUp(spins, a.abortWord));
                        missing = 0;
                        // All again: see waitForHalves.
                        UNROLL for (int s = 0; s < P; s++) v[s] = ldRelaxed1(from + s * words);
                        UNROLL for (int s = 0; s < P; s++) missing |= v[s] ^ turn;
                    }
                }
                UNROLL for (int s = 0; s < P; s++) {
                    if (narrow) {
                        dh[0] += low(v[s]);
                        dh[cells - 1] += high(v[s]);
                    } else {
                        dh[0] += value(v[s]);
                    }
                }
            }
            uint2 d[cells];
            UNROLL for (int e = 0; e < cells; e++) {
                const float dc = dcNext[e] + dh[e] * toC[e];
                d[e].x = pack2(dc * toI[e], dc * toF[e]);
                d[e].y = pack2(dc * toG[e], dh[e] * toO[e]);
                dcNext[e] = dc * carry[e];
                *(uint2 *)(shared + buffer * 2304 + (lane / 8) * 576 + ((warp % cellWarps) * cells + e) * 64 + (lane % 8) * 8) = d[e];
            }
            barSync(1, threads);
            UNROLL for (int e = 0; e < cells; e++) st2(a.dG + ((size_t)t * BH + own + e * H) * 4, d[e]);
        } else {
            barSync(1, threads);
        }
        if (sends && k + 1 < a.T) {
            float acc[Sends][2][2][4];
            UNROLL for (int i = 0; i < 16 * Sends; i++) acc[i / 16][i / 8 % 2][i / 4 % 2][i % 4] = 0;
            UNROLL for (int kb = 0; kb < 4; kb++) {
                const uint4 b = *(const uint4 *)(shared + buffer * 2304 + kb * 576 + lane * 16);
                UNROLL for (int m = 0; m < 2 * Sends; m++) {
                    const int pair = m >> 1, tau = m & 1;
                    mma(acc[pair][tau][0], w[kb][pair][tau][0][0], w[kb][pair][tau][1][0], w[kb][pair][tau][0][1], w[kb][pair][tau][1][1], b.x, b.y);
                    mma(acc[pair][tau][1], w[kb][pair][tau][0][2], w[kb][pair][tau][1][2], w[kb][pair][tau][0][3], w[kb][pair][tau][1][3], b.z, b.w);
                }
            }
            const u32 turn = ((k >> 1) & 1) ^ 1;
            auto put = [&](int pair, int word, uint4 v) {
                if (link) {
                    sendAsync(remote[pair] + InboxAt + (((k & 1) * P + p) * words + word) * 4, v, remote[pair] + BackwardBarriersAt + 8 * (k & 1));
                } else {
                    stRelaxed4(outbox + (k & 1) * slotStride + (size_t)pair * P * words + word, v);
                }
            };
            UNROLL for (int pair = 0; pair < Sends; pair++) {
                float s[2][4];  // [row 2q + e][unit 4r + 2 tau + half]
                UNROLL for (int j = 0; j < 8; j++) {
                    const int e = j >> 2, tau = j >> 1 & 1, half = j & 1;
                    s[e][2 * tau + half] = acc[pair][tau][0][2 * half + e] + acc[pair][tau][1][2 * half + e];
                }
                if (narrow) {
                    uint4 v;
                    v.x = (pack2(s[0][0], s[1][0]) & ~1u) | turn;
                    v.y = (pack2(s[0][1], s[1][1]) & ~1u) | turn;
                    v.z = (pack2(s[0][2], s[1][2]) & ~1u) | turn;
                    v.w = (pack2(s[0][3], s[1][3]) & ~1u) | turn;
                    put(pair, (lane % 4) * 32 + 4 * (lane / 4), v);
                } else {
                    UNROLL for (int e = 0; e < 2; e++) {
                        uint4 v;
                        v.x = (bits(s[e][0]) & ~1u) | turn;
                        v.y = (bits(s[e][1]) & ~1u) | turn;
                        v.z = (bits(s[e][2]) & ~1u) | turn;
                        v.w = (bits(s[e][3]) & ~1u) | turn;
                        put(pair, (2 * (lane % 4) + e) * 32 + 4 * (lane / 4), v);
                    }
                }
            }
        }
        if (isCell) pauseCycles(a.pauseCell);
    }
    if (link) clusterSync();
}

// ---- the exchange alone ----
struct ExchangeArguments {
    u16 *Y;  // [T+1][B][H] or, in pieces of 512 bytes, [T+1][G][P][N][8][32]
    u32 *abortWord;
    int T, B, pause;
};

// Each block waits for all blocks of its group and then hands out its own: N pieces of 512 bytes, or (N 0) 8 rows of 64 bytes.
template <int H, int N>
DEV void exchangeBody(const ExchangeArguments &a) {
    constexpr int P = H / 32, Pieces = N ? N : 1;
    const int lane = tidx() & 31, warp = tidx() >> 5, g = bidx() / P, p = bidx() % P;
    const size_t BH = (size_t)a.B * H * Pieces;
    bool dead = anySync(ldRelaxed1(a.abortWord) != 0);
    u32 *sums = (u32 *)smem();
    for (int t = 0; t < a.T; t++) {
        if (warp < P) {
            const u16 *from = N ? a.Y + t * BH + ((size_t)(g * P + warp) * Pieces * 32 + lane) * 8
                                : a.Y + t * BH + (size_t)(g * 8 + lane / 4) * H + blockColumn(warp, lane);
            uint4 v[Pieces];
            waitForHalves<Pieces>(v, from, 256, dead, a.abortWord);
            u32 sum = 0;
            UNROLL for (int i = 0; i < Pieces; i++) sum += v[i].x + v[i].y + v[i].z + v[i].w;
            sums[warp * 32 + lane] = sum;
        }
        barSync(1, Threads);
        if (N) {
            if (warp < Pieces) {
                uint4 v;
                v.x = v.y = v.z = v.w = sums[(t * 32 + lane) % (P * 32)] & 0x3FFF3FFFu;
                stRelaxed4(a.Y + (t + 1) * BH + (((size_t)(g * P + p) * Pieces + warp) * 32 + lane) * 8, v);
            }
        } else if (warp < 8) {
            stRelaxedH(a.Y + (t + 1) * BH + (size_t)(g * 8 + warp) * H + 32 * p + lane, (u16)(sums[(t * 32 + lane + warp) % (P * 32)] & 0x3FFFu));
        }
        pauseCycles(a.pause);
        barSync(2, Threads);
    }
}
