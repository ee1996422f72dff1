// Strict fp32 (FFMA) group-persistent LSTM, H 256 or 512, groups of 8 rows, P = H/32 blocks of 32 units, 16 warps.
// Weights: H/16 * 4 a thread, of which 64 lie in registers, the rest in shared memory. Exchange by sentinels 0xFFFFFFFF in
// E: [T+1 or T][B/8][K/32][32][8 rows] (no fp32 arithmetic gives that NaN: the hardware's is 0x7FFFFFFF).
// A cell: unit 4 warp + lane/8 of the block, row lane%8 of the group; warps 0...7.
#pragma once
#include "group.h"

struct FloatArguments {
    const float *W;    // [4H][H], row unit*4 + gate
    const float *xg;   // [T][B][H][4]
    float *E, *Y, *C, *gates;
    const float *dY;
    float *dG;         // [T][B][H][4]
    u32 *abortWord;
    int T, B, pauseIdle, pauseCell, ahead;
};
template <int H>
struct FloatShape {
    enum { P = H / 32, J = H / 16, RegJ = 16, Slice = H / 16 * 8, WeightsAt = 16 * 4736, PartialAt = WeightsAt + 16 * (J - RegJ) * 512,
           BackBytes = PartialAt, ForwardBytes = PartialAt + 16 * Slice * 4 };
};
DEV float4 asFloats(uint4 v) { float4 r; r.x = value(v.x), r.y = value(v.y), r.z = value(v.z), r.w = value(v.w); return r; }
DEV float sigmoidF(float x) { return 1.0f / (1.0f + expf(-x)); }
// acc[i][r] += w.i * h[r]
DEV void multiplyAdd(float (&acc)[4][8], float4 w, float4 lo, float4 hi) {
    const float h[8] = {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w}, v[4] = {w.x, w.y, w.z, w.w};
    UNROLL for (int i = 0; i < 4; i++) { UNROLL for (int r = 0; r < 8; r++) acc[i][r] = fmaf(v[i], h[r], acc[i][r]); }
}

template <int H>
DEV void floatForwardBody(const FloatArguments &a) {
    typedef FloatShape<H> S;
    constexpr int P = S::P, J = S::J, RegJ = S::RegJ, N = J / 16;
    const int lane = tidx() & 31, warp = tidx() >> 5, g = bidx() / P, p = bidx() % P;
    float4 *partial = (float4 *)smem();  // [16][8 rows][33]... of 4736 bytes a warp: 8 rows of 37 float4
    float4 *more = (float4 *)(smem() + S::WeightsAt) + warp * (J - RegJ) * 32 + lane;
    float4 *slice = (float4 *)(smem() + S::PartialAt) + warp * S::Slice / 4;  // [J][8 rows]
    float w[RegJ][4];
    UNROLL for (int j = 0; j < J; j++) {
        float4 v;
        const float *from = a.W + (size_t)(4 * (32 * p + lane)) * H + warp * J + j;
        v.x = from[0], v.y = from[H], v.z = from[2 * H], v.w = from[3 * H];
        if (j < RegJ) w[j % RegJ][0] = v.x, w[j % RegJ][1] = v.y, w[j % RegJ][2] = v.z, w[j % RegJ][3] = v.w;
        else more[(j - RegJ) * 32] = v;
    }
    UNROLL for (int i = 0; i < RegJ * 4; i++) settle(w[i / 4][i % 4]);
    bool dead = anySync(ldRelaxed1(a.abortWord) != 0);
    const bool isCell = warp < 8;
    const size_t BH = (size_t)a.B * H;
    const int row = lane % 8, unit = 4 * (warp & 7) + lane / 8;
    const size_t own = (size_t)(g * 8 + row) * H + 32 * p + unit;
    float c = 0;
    float4 x = {0, 0, 0, 0};
    if (isCell) {
        c = a.C[own];
        x = asFloats(ldConst4(a.xg + own * 4));
    }
    settle(c);
    for (int t = 0; t < a.T; t++) {
        const float *from = a.E + (size_t)t * BH + (size_t)g * H * 8 + warp * S::Slice + lane * 4;
        uint4 v[N > 0 ? N : 1];
        waitForChunks<N, false, false>(v, [&](int i) { return from + i * 128; }, false, 0, dead, a.abortWord);
        UNROLL for (int i = 0; i < N; i++) slice[i * 32 + lane] = asFloats(v[i]);
        warpSync();
        float acc[4][8];
        UNROLL for (int i = 0; i < 32; i++) acc[i / 8][i % 8] = 0;
        UNROLL for (int j = 0; j < J; j++) {
            const float4 lo = slice[2 * j], hi = slice[2 * j + 1];
            float4 k;
            if (j < RegJ) k.x = w[j % RegJ][0], k.y = w[j % RegJ][1], k.z = w[j % RegJ][2], k.w = w[j % RegJ][3];
            else k = more[(j - RegJ) * 32];
            multiplyAdd(acc, k, lo, hi);
        }
        barSync(6, 512);  // all have read the last step's sums
        UNROLL for (int r = 0; r < 8; r++) {
            float4 s;
            s.x = acc[0][r], s.y = acc[1][r], s.z = acc[2][r], s.w = acc[3][r];
            partial[warp * 296 + r * 37 + lane] = s;
        }
        barSync(5, 512);
        if (!isCell) {
            pauseCycles(a.pauseIdle);
            continue;
        }
        float z[4] = {x.x, x.y, x.z, x.w};
        if (t + 1 < a.T) x = asFloats(ldConst4(a.xg + ((size_t)(t + 1) * BH + own) * 4));
        UNROLL for (int q = 0; q < 16; q++) {
            const float4 s = partial[q * 296 + row * 37 + unit];
            z[0] += s.x, z[1] += s.y, z[2] += s.z, z[3] += s.w;
        }
        const float i = sigmoidF(z[0]), f = sigmoidF(z[1]), n = tanhf(z[2]), o = sigmoidF(z[3]);
        c = f * c + i * n;
        const float h = o * tanhf(c);
        const size_t place = (size_t)t * BH + own;
        float *const e = a.E + (size_t)(t + 1) * BH + ((size_t)g * P + p) * 256 + unit * 8 + row;
        stRelaxed1(e, bits(h));
        stF(a.Y + place + BH, h);
        float4 saved;
        saved.x = i, saved.y = f, saved.z = n, saved.w = o;
        *(float4 *)(a.gates + place * 4) = saved;
        stF(a.C + place + BH, c);
        if (a.ahead > 0 && t + a.ahead < a.T) {
            prefetchL2(a.xg + (place + a.ahead * BH) * 4);
            prefetchL2(e + a.ahead * BH);
        }
        pauseCycles(a.pauseCell);
    }
}

template <int H>
DEV void floatBackBody(const FloatArguments &a) {
    typedef FloatShape<H> S;
    constexpr int P = S::P, J = S::J, RegJ = S::RegJ, K = 4 * H, N = J / 4, Columns = H / 4;
    const int lane = tidx() & 31, warp = tidx() >> 5, g = bidx() / P, p = bidx() % P, kq = lane % 4, uq = lane / 4;
    float *const sums = (float *)smem();  // [16 warps][4][8 rows][36] + 8 a quarter: 1184 bytes each; before, a warp's slice of dG
    float4 *const slice = (float4 *)(smem() + warp * 4736);  // [Columns][8 rows]
    float4 *more = (float4 *)(smem() + S::WeightsAt) + warp * (J - RegJ) * 32 + lane;
    float w[RegJ][4];
    UNROLL for (int j = 0; j < J; j++) {
        const float4 v = asFloats(ldConst4(a.W + (size_t)(warp * Columns + 4 * j + kq) * H + 32 * p + 4 * uq));
        if (j < RegJ) w[j % RegJ][0] = v.x, w[j % RegJ][1] = v.y, w[j % RegJ][2] = v.z, w[j % RegJ][3] = v.w;
        else more[(j - RegJ) * 32] = v;
    }
    UNROLL for (int i = 0; i < RegJ * 4; i++) settle(w[i / 4][i % 4]);
    bool dead = anySync(ldRelaxed1(a.abortWord) != 0);
    const bool isCell = warp < 8;
    const size_t BH = (size_t)a.B * H, BK = BH * 4;
    const int row = lane % 8, unit = 4 * (warp & 7) + lane / 8;
    const size_t own = (size_t)(g * 8 + row) * H + 32 * p + unit;
    float cNow = 0, cBefore = 0, dy = 0, carried = 0;
    float4 saved = {0, 0, 0, 0};
    auto fetch = [&](int t) {
        const size_t place = (size_t)t * BH + own;
        cBefore = ldConstF(a.C + place);
        dy = ldConstF(a.dY + place);
        saved = asFloats(ldConst4(a.gates + place * 4));
    };
    if (isCell) {
        cNow = ldConstF(a.C + (size_t)a.T * BH + own);
        fetch(a.T - 1);
    }
    settle(cNow);
    for (int k = 0; k < a.T; k++) {
        const int t = a.T - 1 - k;
        float sum = 0;
        if (k > 0) {
            const float *from = a.E + (size_t)(t + 1) * BK + (size_t)g * K * 8 + warp * Columns * 8 + lane * 4;
            float acc[4][8];
            UNROLL for (int i = 0; i < 32; i++) acc[i / 8][i % 8] = 0;
            uint4 v[N];
            waitForChunks<N, false, false>(v, [&](int i) { return from + i * 128; }, false, 0, dead, a.abortWord);
            barSync(6, 512);  // all have read the last step's sums, which lie where the slices go
            UNROLL for (int i = 0; i < N; i++) slice[i * 32 + lane] = asFloats(v[i]);
            warpSync();
            UNROLL for (int j = 0; j < J; j++) {
                const float4 lo = slice[2 * (4 * j + kq)], hi = slice[2 * (4 * j + kq) + 1];
                float4 m;
                if (j < RegJ) m.x = w[j % RegJ][0], m.y = w[j % RegJ][1], m.z = w[j % RegJ][2], m.w = w[j % RegJ][3];
                else m = more[(j - RegJ) * 32];
                multiplyAdd(acc, m, lo, hi);
            }
            warpSync();
            UNROLL for (int r = 0; r < 8; r++) {
                float4 s;
                s.x = acc[0][r], s.y = acc[1][r], s.z = acc[2][r], s.w = acc[3][r];
                *(float4 *)(sums + (warp * 4 + kq) * 296 + r * 36 + 4 * uq) = s;
            }
            barSync(5, 512);
            if (isCell) {
                float part[4] = {0, 0, 0, 0};
                UNROLL for (int q = 0; q < 64; q++) part[q % 4] += sums[q * 296 + row * 36 + unit];
                sum = (part[0] + part[1]) + (part[2] + part[3]);
            }
        }
        if (!isCell) {
            pauseCycles(a.pauseIdle);
            continue;
        }
        const float i = saved.x, f = saved.y, n = saved.z, o = saved.w, tc = tanhf(cNow), dh = dy + sum, dc = carried + dh * o * (1 - tc * tc);
        float4 d;
        d.x = dc * n * i * (1 - i);
        d.y = dc * cBefore * f * (1 - f);
        d.z = dc * i * (1 - n * n);
        d.w = dh * tc * o * (1 - o);
        carried = dc * f;
        cNow = cBefore;
        float *const e = a.E + (size_t)t * BK + (size_t)g * K * 8 + (size_t)(128 * p + 4 * unit) * 8 + row;
        stRelaxed1(e, bits(d.x));
        stRelaxed1(e + 8, bits(d.y));
        stRelaxed1(e + 16, bits(d.z));
        stRelaxed1(e + 24, bits(d.w));
        *(float4 *)(a.dG + ((size_t)t * BH + own) * 4) = d;
        if (t > 0) fetch(t - 1);
        if (a.ahead > 0 && t >= a.ahead + 1) {
            const size_t place = (size_t)(t - 1 - a.ahead) * BH + own;
            prefetchL2(a.C + place);
            prefetchL2(a.dY + place);
            prefetchL2(a.gates + place * 4);
            prefetchL2(e - a.ahead * BK);
            prefetchL2(e - a.ahead * BK + 16);
        }
        pauseCycles(a.pauseCell);
    }
}
