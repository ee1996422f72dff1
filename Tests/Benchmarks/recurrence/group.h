// Group-persistent recurrences, second design: LSTM, GRU, RNN, there and back, all by all-gather in fp16.
//
// A group owns R rows (8 or 16) and is made of P = H/32 blocks; a block owns 32 units and keeps their weights (registers, and at
// H 1024 half of them in shared memory) for all steps. What a step hands on (h, or the gates' gradients) is written once, at its
// place in [T][B][K], and read there by all blocks of the group; 0xFFFF, set by a memset before the launch, means "not there yet".
// Every value goes through cvt.rn.f16, whose only NaN is 0x7FFF, so no value is the sentinel. No flags, fences or grid barriers.
// All barriers are bar.sync of all the warps concerned (never bar.arrive): so warps that gave up waiting cannot run ahead.
#pragma once
#include "kernels.h"

enum { LSTMForward, GRUForward, LSTMBack, GRUBack, RNNForward, RNNBack };

struct GroupArguments {
    const u16 *W;      // forward: [gH][H], row unit*g + gate; back: transposed, [H][gH]
    const u16 *xg;     // LSTM, GRU forward: [T][B][H][4], with the biases added (GRU r, z, n: but not n's recurrent bias); RNN: [T][B][H]
    const float *bias; // GRU forward: n's recurrent bias, [H]
    u16 *Y;            // [T+1][B][H]
    float *C;          // [T+1][B][H] (LSTM)
    u16 *gates;        // [T][B][H][4]: i f g o, or r z n and the recurrent part of n
    const float *dY;   // [T][B][H]
    u16 *dG;           // [T][B][H][g]: gradients of the recurrent products (GRU: r, z, r*n)
    u16 *E;            // tiled: the exchange, [T+1 or T][B/8][K/32][8][32]; then Y and dG are plain outputs (dG may be null)
    u16 *dN;           // GRU: [T][B][H], gradient of the input's part of n
    u32 *abortWord;
    float *carry;      // [B][H]: what the backward run of LSTM and GRU hands from one launch to the next (dc, or dh * z)
    int T, B, first, count;    // steps in all, rows; this launch takes `count` turns from turn `first` (backward: turn k is step T-1-k)
    int pauseIdle, pauseCell;  // cycles before polling, in warps without cells and in those with
    int pausePoll;             // nanoseconds between polls
    int ahead;                 // steps by which the cells' inputs are prefetched into L2; 0: not
    int stopBlock, stopStep;   // for a test: this block ends at this step; -1: none
};

DEV bool wordsMissing(uint4 v) { return (v.x == ~0u) | (v.y == ~0u) | (v.z == ~0u) | (v.w == ~0u); }

// N chunks at place(i). loaded: they are in flight or there already. probe: poll the last alone first.
template <int N, bool probe, bool halves, class Place>
DEV void waitForChunks(uint4 (&v)[N], Place place, bool loaded, int pausePoll, bool &dead, u32 *abortWord) {
    int spins = 0;
    auto lacks = [](uint4 x) { return halves ? halvesMissing(x) : wordsMissing(x); };
    if (probe && N > 1) {
        v[N - 1] = ldRelaxed4(place(N - 1));
        while (anySync(lacks(v[N - 1])) && !dead) {
            dead = anySync(giveUp(spins, abortWord));
            pauseNano(pausePoll);
            v[N - 1] = ldRelaxed4(place(N - 1));
        }
    }
    if (!loaded) UNROLL for (int i = 0; i < N; i++) v[i] = ldRelaxed4(place(i));
    bool missing = false;
    UNROLL for (int i = 0; i < N; i++) missing |= lacks(v[i]);
    while (anySync(missing) && !dead) {
        dead = anySync(giveUp(spins, abortWord));
        pauseNano(pausePoll);
        missing = false;
        UNROLL for (int i = 0; i < N; i++) v[i] = ldRelaxed4(place(i));
        UNROLL for (int i = 0; i < N; i++) missing |= lacks(v[i]);
    }
}

// Makes the loads of these registers end here (a real instruction needs them): otherwise their first use is in the loop, and the
// scoreboard it waits for there may be shared with loads that are meant to be still under way.
DEV void settle(u32 &x) { x = shuffle(x, tidx() & 31); }
DEV void settle(float &x) { x = value(shuffle(bits(x), tidx() & 31)); }

// ---- LSTM and GRU forward: 4 groups of warps along k times MG along the gates (16 or 8 warps); h staged in shared memory ----
template <int kind, int H, int R, int warps>
struct GatedShape {
    enum {
        P = H / 32, PKG = P / 4, NT = R / 8, gates = kind == LSTMForward ? 4 : 3, MG = warps / 4, Pairs = 4 / MG, Limit = warps == 16 && (PKG == 5 || PKG == 6 || (PKG == 8 && gates == 3)) ? 3 : 4,
        RegKB = PKG < Limit ? PKG : Limit, CPL = R > warps ? R / warps : 1, Cells = R < warps ? R : warps, Fetch = (PKG + MG - 1) / MG,
        stages = R < warps ? 2 : 1,
        HiddenBytes = stages * P * NT * 512, PartialAt = HiddenBytes, WeightsAt = PartialAt + 2 * 4 * R * 33 * 16,
        SharedBytes = WeightsAt + warps * (PKG - RegKB) * Pairs * gates * 512
    };
};
template <int kind, int H, int R, int warps, bool fast, bool tiled>
DEV void gatedForwardBody(const GroupArguments &a) {
    typedef GatedShape<kind, H, R, warps> S;
    constexpr int P = S::P, PKG = S::PKG, NT = S::NT, gates = S::gates, RegKB = S::RegKB, MG = S::MG, Pairs = S::Pairs, CPL = S::CPL, Fetch = S::Fetch;
    constexpr int split = NT == 1 && Pairs == 1 ? 2 : 1;
    static_assert(H % 128 == 0 && R % 8 == 0 && (R <= warps || R % warps == 0), "shape");
    const int lane = tidx() & 31, warp = tidx() >> 5, kg = warp / MG, mg = warp % MG;
    const int g = bidx() / P, p = bidx() % P;
    uint4 *hidden = (uint4 *)smem();                        // [stages][P][NT][32]
    float4 *partial = (float4 *)(smem() + S::PartialAt);    // [2][4][R][33]
    uint4 *more = (uint4 *)(smem() + S::WeightsAt) + warp * (PKG - RegKB) * Pairs * gates * 32 + lane;
    u32 w[RegKB][Pairs][4][4];
    UNROLL for (int kb = 0; kb < PKG; kb++) {
        UNROLL for (int pair = 0; pair < Pairs; pair++) {
            UNROLL for (int q = 0; q < 4; q++) {
                uint4 v = {0, 0, 0, 0};
                if (q < gates) v = ldConst4(a.W + (size_t)((32 * p + 8 * (mg * Pairs + pair) + lane / 4) * gates + q) * H + blockColumn(kg * PKG + kb, lane));
                if (kb < RegKB) {
                    w[kb % RegKB][pair][q][0] = v.x;
                    w[kb % RegKB][pair][q][1] = v.y;
                    w[kb % RegKB][pair][q][2] = v.z;
                    w[kb % RegKB][pair][q][3] = v.w;
                } else if (q < gates) {
                    more[(((kb - RegKB) * Pairs + pair) * gates + q) * 32] = v;
                }
            }
        }
    }
    UNROLL for (int i = 0; i < RegKB * Pairs * 4 * 4; i++) if (i / 4 % 4 < gates) settle(w[i / (16 * Pairs)][i / 16 % Pairs][i / 4 % 4][i % 4]);
    bool dead = anySync(ldRelaxed1(a.abortWord) != 0);
    const bool isCell = warp < S::Cells;
    const size_t BH = (size_t)a.B * H;
    const int row0 = (warp % S::Cells) * CPL;  // of the group; this warp's cells: rows row0 ... row0 + CPL - 1
    const size_t own = (size_t)(g * R + row0) * H + 32 * p + lane;
    float state[CPL], bias = 0;
    uint2 xNext[CPL];
    UNROLL for (int e = 0; e < CPL; e++) {
        state[e] = 0;
        xNext[e] = {0, 0};
        if (isCell) {
            const size_t place = (size_t)a.first * BH + own + e * H;
            state[e] = kind == LSTMForward ? a.C[place] : fromHalf(a.Y[place]);
            xNext[e] = ldConst2(a.xg + place * 4);
        }
        settle(state[e]);
        settle(xNext[e].x);
        settle(xNext[e].y);
    }
    if (kind == GRUForward) {
        if (isCell) bias = a.bias[32 * p + lane];
        settle(bias);
    }
    const int end = a.first + a.count;
    for (int t = a.first; t < end; t++) {
        if (bidx() == a.stopBlock && t == a.stopStep) return;
        const int buffer = t & 1;
        uint4 *const stage = hidden + (S::stages == 2 ? buffer * P * NT * 32 : 0) + lane;
        if (mg * Fetch < PKG) {
            // Warps beyond the last source fetch it again.
            auto source = [&](int i) { const int s = mg * Fetch + i; return kg * PKG + (PKG % Fetch && s > PKG - 1 ? PKG - 1 : s); };
            const u16 *from = tiled ? a.E + (size_t)t * BH + (size_t)g * NT * P * 256 + lane * 8 : a.Y + (size_t)t * BH + (size_t)(g * R + lane / 4) * H + 8 * (lane % 4);
            uint4 v[Fetch * NT];
            waitForChunks<Fetch * NT, false, true>(v, [&](int i) { return from + source(i / NT) * (tiled ? 256 : 32) + (size_t)(i % NT) * 8 * H; }, false, a.pausePoll, dead, a.abortWord);
            UNROLL for (int i = 0; i < Fetch * NT; i++) stage[(source(i / NT) * NT + i % NT) * 32] = v[i];
        }
        barSync(1 + kg, 32 * MG);
        float acc[Pairs][NT][2][split][4];
        UNROLL for (int i = 0; i < Pairs * NT * 2 * split * 4; i++) acc[i / (8 * split * NT)][i / (8 * split) % NT][i / (4 * split) % 2][i / 4 % split][i % 4] = 0;
        UNROLL for (int kb = 0; kb < PKG; kb++) {
            uint4 b[NT];
            UNROLL for (int n = 0; n < NT; n++) b[n] = stage[((kg * PKG + kb) * NT + n) * 32];
            UNROLL for (int j = 0; j < 2 * Pairs; j++) {
                const int pair = j >> 1, tau = j & 1;
                u32 lo[4], hi[4];
                if (kb < RegKB) {
                    UNROLL for (int i = 0; i < 4; i++) {
                        lo[i] = w[kb % RegKB][pair][2 * tau][i];
                        hi[i] = w[kb % RegKB][pair][2 * tau + 1][i];
                    }
                } else {
                    const uint4 x = more[(((kb - RegKB) * Pairs + pair) * gates + 2 * tau) * 32];
                    uint4 y = {0, 0, 0, 0};
                    if (2 * tau + 1 < gates) y = more[(((kb - RegKB) * Pairs + pair) * gates + 2 * tau + 1) * 32];
                    lo[0] = x.x, lo[1] = x.y, lo[2] = x.z, lo[3] = x.w;
                    hi[0] = y.x, hi[1] = y.y, hi[2] = y.z, hi[3] = y.w;
                }
                UNROLL for (int n = 0; n < NT; n++) {
                    mma(acc[pair][n][tau][0], lo[0], hi[0], lo[1], hi[1], b[n].x, b[n].y);
                    mma(acc[pair][n][tau][split - 1], lo[2], hi[2], lo[3], hi[3], b[n].z, b[n].w);
                }
            }
        }
        UNROLL for (int j = 0; j < 2 * NT * Pairs; j++) {
            const int pair = j / (2 * NT), n = (j >> 1) % NT, e = j & 1;
            auto sum = [&](int tau, int i) { return acc[pair][n][tau][0][i] + (split > 1 ? acc[pair][n][tau][split - 1][i] : 0); };
            float4 s;
            s.x = sum(0, e);
            s.y = sum(0, 2 + e);
            s.z = sum(1, e);
            s.w = sum(1, 2 + e);
            partial[((buffer * 4 + kg) * R + 8 * n + 2 * (lane % 4) + e) * 33 + 8 * (mg * Pairs + pair) + lane / 4] = s;
        }
        barSync(5, 32 * warps);
        if (!isCell) {
            pauseCycles(a.pauseIdle);
            continue;
        }
        UNROLL for (int e = 0; e < CPL; e++) {
            const float z[4] = {low(xNext[e].x), high(xNext[e].x), low(xNext[e].y), high(xNext[e].y)};
            if (t + 1 < end) xNext[e] = ldConst2(a.xg + ((size_t)(t + 1) * BH + own + e * H) * 4);
            float s[4] = {0, 0, 0, 0};
            UNROLL for (int q = 0; q < 4; q++) {
                const float4 v = partial[((buffer * 4 + q) * R + row0 + e) * 33 + lane];
                s[0] += v.x;
                s[1] += v.y;
                s[2] += v.z;
                s[3] += v.w;
            }
            uint2 saved;
            float h;
            if (kind == LSTMForward) {
                const float i = sigmoid<fast>(z[0] + s[0]), f = sigmoid<fast>(z[1] + s[1]), n = tanhOf<fast>(z[2] + s[2]), o = sigmoid<fast>(z[3] + s[3]);
                state[e] = f * state[e] + i * n;
                h = o * tanhOf<fast>(state[e]);
                saved.x = pack2(i, f);
                saved.y = pack2(n, o);
            } else {
                const float r = sigmoid<fast>(z[0] + s[0]), u = sigmoid<fast>(z[1] + s[1]), m = s[2] + bias, n = tanhOf<fast>(z[2] + r * m);
                state[e] = n + u * (state[e] - n);
                h = state[e];
                saved.x = pack2(r, u);
                saved.y = pack2(n, m);
            }
            const int row = row0 + e;
            const size_t place = (size_t)t * BH + own + e * H;
            if (tiled) stRelaxedH(a.E + (size_t)(t + 1) * BH + ((size_t)(g * NT + row / 8) * P + p) * 256 + (row & 7) * 32 + lane, toHalf(h));
            stRelaxedH(a.Y + place + BH, toHalf(h));
            st2(a.gates + place * 4, saved);
            if (kind == LSTMForward) stF(a.C + place + BH, state[e]);
            if (a.ahead > 0 && t + a.ahead < end) {
                prefetchL2(a.xg + (place + a.ahead * BH) * 4);
                // The sentinels too: a poll that has to fetch them from DRAM holds up the store behind it.
                if (tiled) prefetchL2(a.E + (size_t)(t + 1 + a.ahead) * BH + ((size_t)(g * NT + row / 8) * P + p) * 256 + (row & 7) * 32 + lane);
            }
        }
        pauseCycles(a.pauseCell);
    }
}

// ---- the rest: 32 units from a product over K columns; every warp takes K/warps of them straight from L2 into mma's B ----
// wanted (0: as found best): k-blocks of a batch * 10 + batches in flight; + 100: three k-blocks of weights in registers and one
// buffer of partial sums (with a barrier more), which leaves registers for H 1024.
template <int kind, int H, int R, int warps, int wanted = 0>
struct DirectShape {
    enum {
        P = H / 32, gates = kind == LSTMBack ? 4 : kind == GRUBack ? 3 : 1, K = gates * H, NKB = K / warps / 32, NT = R / 8,
        tune = wanted ? wanted : NKB >= 8 || (kind == GRUBack && NKB >= 6 && NT > 1) ? NT > 1 ? 113 : 123 : 0,
        single = tune / 100, Limit = single ? 3 : warps == 16 ? 4 : 8, RegKB = NKB < Limit ? NKB : Limit, Batch = tune ? tune / 10 % 10 : NT == 1 || NKB <= 3 ? NKB : NKB % 2 ? 1 : 2, Batches = NKB / Batch,
        Depth = Batches == 1 ? 0 : tune ? tune % 10 : 1,
        WeightsAt = (single ? 1 : 2) * warps * R * 36 * 4, SharedBytes = WeightsAt + warps * (NKB - RegKB) * 4 * 512
    };
};
template <int kind, int H, int R, int warps, bool fast, bool probe, bool tiled, int tune = 0>
DEV void directBody(const GroupArguments &a) {
    typedef DirectShape<kind, H, R, warps, tune> S;  // `S::tune` may differ
    constexpr int P = S::P, K = S::K, gates = S::gates, NKB = S::NKB, NT = S::NT, RegKB = S::RegKB, Batch = S::Batch, Batches = S::Batches, Depth = S::Depth;
    constexpr int split = NT == 1 ? 2 : 1;
    constexpr bool ahead = kind == RNNForward, late = NT > 1;
    static_assert(R <= warps && NKB * 32 * warps == K && Batch * Batches == NKB, "shape");
    const int lane = tidx() & 31, warp = tidx() >> 5;
    const int g = bidx() / P, p = bidx() % P;
    float *partial = (float *)smem();  // [2][warps][R][36]
    uint4 *more = (uint4 *)(smem() + S::WeightsAt) + warp * (NKB - RegKB) * 4 * 32 + lane;
    u32 w[RegKB][4][4];  // [tau half]
    UNROLL for (int kb = 0; kb < NKB; kb++) {
        UNROLL for (int q = 0; q < 4; q++) {
            const uint4 v = ldConst4(a.W + (size_t)(32 * p + 4 * (lane / 4) + q) * K + blockColumn(warp * NKB + kb, lane));
            if (kb < RegKB) {
                w[kb % RegKB][q][0] = v.x;
                w[kb % RegKB][q][1] = v.y;
                w[kb % RegKB][q][2] = v.z;
                w[kb % RegKB][q][3] = v.w;
            } else {
                more[((kb - RegKB) * 4 + q) * 32] = v;
            }
        }
    }
    UNROLL for (int i = 0; i < RegKB * 4 * 4; i++) settle(w[i / 16][i / 4 % 4][i % 4]);
    bool dead = anySync(ldRelaxed1(a.abortWord) != 0);
    const bool isCell = warp < R;
    const size_t BH = (size_t)a.B * H, BK = (size_t)a.B * K;
    const size_t own = (size_t)(g * R + (warp & (R - 1))) * H + 32 * p + lane;
    u16 *const X = tiled ? a.E : ahead ? a.Y : a.dG;
    // Of the next step: loaded a step before.
    float cNow = 0, cBefore = 0, dy = 0, carried = 0;
    uint2 saved = {0, 0};
    u16 x1 = 0;
    if (isCell) {
        const size_t place = (size_t)(ahead ? a.first : a.T - 1 - a.first) * BH + own;
        if ((kind == LSTMBack || kind == GRUBack) && a.first > 0) carried = a.carry[own];
        if (kind == RNNForward) x1 = a.xg[place];
        if (!ahead) dy = ldConstF(a.dY + place);
        if (kind == RNNBack) x1 = a.Y[place + BH];
        if (kind == LSTMBack) {
            cNow = ldConstF(a.C + place + BH);
            cBefore = ldConstF(a.C + place);
        }
        if (kind == GRUBack) x1 = a.Y[place];
        if (kind == LSTMBack || kind == GRUBack) saved = ldConst2(a.gates + place * 4);
    }
    settle(carried);
    settle(dy);
    settle(cNow);
    settle(cBefore);
    const int end = a.first + a.count;
    for (int k = a.first; k < end; k++) {
        if (bidx() == a.stopBlock && k == a.stopStep) return;
        const int t = ahead ? k : a.T - 1 - k, buffer = S::single ? 0 : k & 1;
        // What of the cell does not hang on the sum: before waiting, or (late: fewer registers meanwhile) after it.
        float f0 = 0, f1 = 0, f2 = 0, f3 = 0, f4 = 0, f5 = 0, sum = 0;
        auto prepare = [&] {
            if (kind == LSTMBack) {
                const float i = low(saved.x), f = high(saved.x), n = low(saved.y), o = high(saved.y), tc = tanhOf<fast>(cNow);
                f0 = n * i * (1 - i);
                f1 = cBefore * f * (1 - f);
                f2 = i * (1 - n * n);
                f3 = tc * o * (1 - o);
                f4 = o * (1 - tc * tc);
                f5 = f;
                cNow = cBefore;
            }
            if (kind == GRUBack) {
                const float r = low(saved.x), u = high(saved.x), n = low(saved.y), m = high(saved.y), before = fromHalf(x1);
                f0 = (1 - u) * (1 - n * n);          // dh -> n
                f1 = (before - n) * u * (1 - u);     // dh -> z
                f2 = m * r * (1 - r);                // n -> r
                f3 = r;
                f4 = u;
            }
            if (kind == RNNBack) {
                const float h = fromHalf(x1);
                f0 = 1 - h * h;
            }
            sum += ahead ? fromHalf(x1) : dy;
            if (kind == GRUBack) sum += carried;
        };
        auto fetch = [&](int step) {
            const size_t place = (size_t)step * BH + own;
            if (kind == RNNForward) x1 = a.xg[place];
            if (!ahead) dy = ldConstF(a.dY + place);
            if (kind == RNNBack) x1 = a.Y[place + BH];
            if (kind == LSTMBack) cBefore = ldConstF(a.C + place);
            if (kind == GRUBack) x1 = a.Y[place];
            if (kind == LSTMBack || kind == GRUBack) saved = ldConst2(a.gates + place * 4);
        };
        if (isCell && a.ahead > 0 && k + a.ahead < end) {
            const size_t place = (size_t)(ahead ? t + a.ahead : t - a.ahead) * BH + own;
            if (kind == RNNForward) prefetchL2(a.xg + place);
            if (!ahead) prefetchL2(a.dY + place);
            if (kind == RNNBack) prefetchL2(a.Y + place + BH);
            if (kind == LSTMBack) prefetchL2(a.C + place);
            if (kind == GRUBack) prefetchL2(a.Y + place);
            if (kind == LSTMBack || kind == GRUBack) prefetchL2(a.gates + place * 4);
            // The sentinels too: a poll that has to fetch them from DRAM holds up the store behind it.
            if (tiled) prefetchL2(a.E + (size_t)(ahead ? t + 1 + a.ahead : t - a.ahead) * BK + ((size_t)(g * NT + warp / 8) * (K / 32) + gates * p + lane / 8 % gates) * 256 + (warp & 7) * 32);
        }
        if (isCell && late && k > a.first) fetch(t);
        if (isCell && !late) {
            prepare();
            if (k + 1 < end) fetch(ahead ? t + 1 : t - 1);
        }
        if (ahead || k > 0) {
            const u16 *from = X + (size_t)(ahead ? t : t + 1) * BK
                            + (tiled ? ((size_t)g * NT * (K / 32) + warp * NKB) * 256 + lane * 8 : (size_t)(g * R + lane / 4) * K + blockColumn(warp * NKB, lane));
            float acc[NT][2][split][4];
            UNROLL for (int i = 0; i < NT * 2 * split * 4; i++) acc[i / (8 * split)][i / (4 * split) % 2][i / 4 % split][i % 4] = 0;
            constexpr int N = Batch * NT;
            uint4 v[Depth + 1][N];
            UNROLL for (int b = 0; b < Batches; b++) {
                auto place = [&](int batch, int i) { return from + (batch * Batch + i / NT) * (tiled ? 256 : 32) + (size_t)(i % NT) * 8 * K; };
                waitForChunks<N, probe, ahead>(v[b % (Depth + 1)], [&](int i) { return place(b, i); }, b > 0, a.pausePoll, dead, a.abortWord);
                // Only once the first is there are the next asked for: they are very probably there as well.
                UNROLL for (int d = b == 0 ? 1 : Depth; d <= Depth; d++)
                    if (d > 0 && b + d < Batches) UNROLL for (int i = 0; i < N; i++) v[(b + d) % (Depth + 1)][i] = ldRelaxed4(place(b + d, i));
                UNROLL for (int i = 0; i < Batch; i++) {
                    const int kb = b * Batch + i;
                    UNROLL for (int tau = 0; tau < 2; tau++) {
                        u32 lo[4], hi[4];
                        if (kb < RegKB) {
                            UNROLL for (int j = 0; j < 4; j++) {
                                lo[j] = w[kb % RegKB][2 * tau][j];
                                hi[j] = w[kb % RegKB][2 * tau + 1][j];
                            }
                        } else {
                            const uint4 x = more[((kb - RegKB) * 4 + 2 * tau) * 32], y = more[((kb - RegKB) * 4 + 2 * tau + 1) * 32];
                            lo[0] = x.x, lo[1] = x.y, lo[2] = x.z, lo[3] = x.w;
                            hi[0] = y.x, hi[1] = y.y, hi[2] = y.z, hi[3] = y.w;
                        }
                        UNROLL for (int n = 0; n < NT; n++) {
                            const uint4 x = v[b % (Depth + 1)][i * NT + n];
                            mma(acc[n][tau][0], lo[0], hi[0], lo[1], hi[1], x.x, x.y);
                            mma(acc[n][tau][split - 1], lo[2], hi[2], lo[3], hi[3], x.z, x.w);
                        }
                    }
                }
            }
            if (S::single) barSync(6, 32 * warps);  // all have read the last step's
            UNROLL for (int j = 0; j < 2 * NT; j++) {
                const int n = j >> 1, e = j & 1;
                float4 s;
                s.x = acc[n][0][0][e] + (split > 1 ? acc[n][0][split - 1][e] : 0);
                s.y = acc[n][0][0][2 + e] + (split > 1 ? acc[n][0][split - 1][2 + e] : 0);
                s.z = acc[n][1][0][e] + (split > 1 ? acc[n][1][split - 1][e] : 0);
                s.w = acc[n][1][0][2 + e] + (split > 1 ? acc[n][1][split - 1][2 + e] : 0);
                *(float4 *)(partial + ((buffer * warps + warp) * R + 8 * n + 2 * (lane % 4) + e) * 36 + 4 * (lane / 4)) = s;
            }
            barSync(5, 32 * warps);
            if (isCell) {
                float part[4] = {0, 0, 0, 0};
                UNROLL for (int q = 0; q < warps; q++) part[q % 4] += partial[((buffer * warps + q) * R + warp) * 36 + lane];
                sum += (part[0] + part[1]) + (part[2] + part[3]);
            }
        }
        if (!isCell) {
            pauseCycles(a.pauseIdle);
            continue;
        }
        if (late) prepare();
        const size_t place = (size_t)t * BH + own;
        if (kind == LSTMBack) {
            const float dc = carried + sum * f4;
            uint2 d;
            d.x = pack2(dc * f0, dc * f1);
            d.y = pack2(dc * f2, sum * f3);
            if (tiled) stRelaxed2(a.E + (size_t)t * BK + ((size_t)(g * NT + warp / 8) * (K / 32) + 4 * p + lane / 8) * 256 + (warp & 7) * 32 + (lane & 7) * 4, d);
            if (!tiled || a.dG) stRelaxed2(a.dG + place * 4, d);
            carried = dc * f5;
        }
        if (kind == GRUBack) {
            const float dn = sum * f0, dz = sum * f1, dr = dn * f2;
            carried = sum * f4;
            // Three halves a lane: two lanes make three words.
            const u32 rz = pack2(dr, dz), m = toHalf(dn * f3), other = shuffle(rz, lane ^ 1);
            const u32 second = m | other << 16, third = rz >> 16 | m << 16;
            if (tiled) {
                const int column = 96 * p + 3 * (lane & ~1);
                u16 *const tiles = a.E + (size_t)t * BK + (size_t)(g * NT + warp / 8) * (K / 32) * 256 + (warp & 7) * 32;
                auto word = [&](int c) { return tiles + (c / 32) * 256 + c % 32; };
                if (lane & 1) {
                    stRelaxed1(word(column + 4), third);
                } else {
                    stRelaxed1(word(column), rz);
                    stRelaxed1(word(column + 2), second);
                }
            }
            if (!tiled || a.dG) {
                u16 *const to = a.dG + (place - (lane & 1)) * 3;
                if (lane & 1) {
                    stRelaxed1(to + 4, third);
                } else {
                    stRelaxed1(to, rz);
                    stRelaxed1(to + 2, second);
                }
            }
            a.dN[place] = toHalf(dn);
        }
        const size_t tile = (size_t)t * BK + ((size_t)(g * NT + warp / 8) * P + p) * 256 + (warp & 7) * 32 + lane;
        if (kind == RNNForward) {
            const u16 h = toHalf(tanhOf<fast>(sum));
            if (tiled) stRelaxedH(a.E + tile + BK, h);
            stRelaxedH(a.Y + place + BH, h);
        }
        if (kind == RNNBack) {
            // Pairs as words, for which the sentinel is looked for.
            const u32 d = toHalf(sum * f0), other = shuffle(d, lane ^ 1);
            if (!(lane & 1)) {
                if (tiled) stRelaxed1(a.E + tile, d | other << 16);
                if (!tiled || a.dG) stRelaxed1(a.dG + place, d | other << 16);
            }
        }
        pauseCycles(a.pauseCell);
    }
    if (isCell && (kind == LSTMBack || kind == GRUBack)) a.carry[own] = carried;
}
