// Runs the kernels of kernels.h, the same source, on a CPU: every thread a fiber, in random order, and compares with a plain
// reference. g++ -O2 -std=c++17 -DEMU emu.cpp -o emu && ./emu
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <ucontext.h>
#include <vector>
#define DEV static inline
#define UNROLL
struct uint4 { unsigned x, y, z, w; };
struct uint2 { unsigned x, y; };
struct float4 { float x, y, z, w; };
typedef unsigned short u16_;
static void yieldFiber();
static int curThread, curBlock, blockThreads;
struct Collective { int arrived = 0; unsigned generation = 0; unsigned in[32][8]; float cin[32][4]; unsigned any, out[32]; };
struct Bar { int count = 0; unsigned generation = 0; };
struct Block { std::vector<char> shared; Collective warps[32]; Bar bars[16]; Bar cluster; };
static std::vector<Block> blocks;
static long yields;
static inline int tidx() { return curThread; }
static inline int bidx() { return curBlock; }
static inline char *smem() { return (char *)(((size_t)blocks[curBlock].shared.data() + 1023) & ~(size_t)1023); }
template <class T> static inline T rd(const void *p) { T v; memcpy(&v, p, sizeof v); if ((size_t)p % sizeof(T)) { printf("misaligned\n"); abort(); } return v; }
static inline uint4 ldRelaxed4(const void *p) { return rd<uint4>(p); }
static inline unsigned ldRelaxed1(const void *p) { return rd<unsigned>(p); }
static inline void ldRelaxedIf1(unsigned &v, const void *p, unsigned need) { if (need) v = rd<unsigned>(p); }
static inline void ldRelaxedIf4(uint4 &v, const void *p, unsigned need) { if (need) v = rd<uint4>(p); }
static inline long long now() { return 0; }
static inline uint4 ldConst4(const void *p) { return rd<uint4>(p); }
static inline uint2 ldConst2(const void *p) { return rd<uint2>(p); }
static inline float ldConstF(const void *p) { return rd<float>(p); }
template <class T> static inline void wr(void *p, T v) { if ((size_t)p % sizeof(T)) { printf("misaligned\n"); abort(); } memcpy(p, &v, sizeof v); }
// Stores to other blocks become visible later, word by word and in any order (one place's in its own order).
struct Pending { char *p; int n; char b[4]; };
static std::vector<Pending> pendingStores;
static bool lateStores = true;
static void putPending(size_t i) { for (size_t j = 0; j < i; j++) if (pendingStores[j].p == pendingStores[i].p) { i = j; break; } memcpy(pendingStores[i].p, pendingStores[i].b, pendingStores[i].n); pendingStores.erase(pendingStores.begin() + i); }
static void late(void *p, const void *b, int n) { for (int i = 0; i < n; i += 4) { Pending s; s.p = (char *)p + i; s.n = n < 4 ? n : 4; memcpy(s.b, (const char *)b + i, s.n); pendingStores.push_back(s); } }
template <class T> static inline void wrLate(void *p, T v) { if (!lateStores) return wr(p, v); if ((size_t)p % sizeof(T)) { printf("misaligned\n"); abort(); } late(p, &v, sizeof v); }
static inline void stRelaxed4(void *p, uint4 v) { wrLate(p, v); }
static inline void stRelaxed1(void *p, unsigned v) { wrLate(p, v); }
static inline void stRelaxedH(void *p, unsigned short v) { wrLate(p, v); }
static inline void stRelaxed2(void *p, uint2 v) { wrLate(p, v); }
static inline void pauseNano(int) {}
static inline void prefetchL2(const void *) {}
static inline void st2(void *p, uint2 v) { wr(p, v); }
static inline void stF(void *p, float v) { wr(p, v); }
static void barCount(int id, int n, bool wait) {
    Bar &b = blocks[curBlock].bars[id];
    const unsigned generation = b.generation;
    b.count++;
    if (b.count > n) { printf("barrier %d overrun\n", id); abort(); }
    if (b.count == n) { b.count = 0; b.generation++; return; }
    if (wait) while (b.generation == generation) yieldFiber();
}
static inline void barSync(int id, int n) { barCount(id, n, true); }
static inline void barArrive(int id, int n) { barCount(id, n, false); }
static Collective &deposit(const unsigned *in, const float *c, void (*act)(Collective &)) {
    Collective &w = blocks[curBlock].warps[curThread / 32];
    const int lane = curThread % 32;
    for (int i = 0; i < 8; i++) w.in[lane][i] = in[i];
    if (c) memcpy(w.cin[lane], c, 16);
    const unsigned generation = w.generation;
    if (++w.arrived == 32) { act(w); w.arrived = 0; w.generation++; yieldFiber(); }
    else while (w.generation == generation) yieldFiber();
    return w;
}
static inline bool anySync(bool x) {
    unsigned in[8] = {x};
    // The result stays until all 32 have passed here again.
    return deposit(in, nullptr, [](Collective &w) { w.any = 0; for (auto &l : w.in) w.any |= l[0]; }).any != 0;
}
static inline void warpSync() { anySync(false); }
static inline unsigned short toHalf(float x) { _Float16 h = (_Float16)x; unsigned short r; memcpy(&r, &h, 2); return r; }
static inline float fromHalf(unsigned short x) { _Float16 h; memcpy(&h, &x, 2); return (float)h; }
static inline unsigned pack2(float lo, float hi) { return toHalf(lo) | (unsigned)toHalf(hi) << 16; }
// By the maps of the PTX manual.
static void mmaAct(Collective &w) {
    static float A[16][16], B[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, in = lane & 3;
        for (int i = 0; i < 8; i++) {
            const int row = (i < 2 || (i >= 4 && i < 6)) ? group : group + 8;
            const int col = in * 2 + (i & 1) + (i >= 4 ? 8 : 0);
            A[row][col] = fromHalf(w.in[lane][i / 2] >> (16 * (i & 1)));
        }
        for (int i = 0; i < 4; i++) B[in * 2 + (i & 1) + (i >= 2 ? 8 : 0)][group] = fromHalf(w.in[lane][4 + i / 2] >> (16 * (i & 1)));
    }
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, in = lane & 3;
        for (int i = 0; i < 4; i++) {
            const int row = i < 2 ? group : group + 8, col = in * 2 + (i & 1);
            float sum = w.cin[lane][i];
            for (int k = 0; k < 16; k++) sum += A[row][k] * B[k][col];
            w.cin[lane][i] = sum;
        }
    }
}
static inline void mma(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    unsigned in[8] = {a0, a1, a2, a3, b0, b1};
    Collective &w = deposit(in, c, mmaAct);
    memcpy(c, w.cin[curThread % 32], 16);
}
static inline float tanhApprox(float x) { return tanhf(x); }
static inline float expApprox(float x) { return expf(x); }
static inline float divApprox(float x, float y) { return x / y; }
static inline unsigned bits(float x) { unsigned r; memcpy(&r, &x, 4); return r; }
static inline float value(unsigned x) { float r; memcpy(&r, &x, 4); return r; }
static inline void pauseCycles(int cycles) { for (int i = 0; i < cycles; i++) yieldFiber(); }
// ---- clusters: a remote address is (block + 1) << 20 | offset ----
static int clusterBlocks = 1;
struct MBarrier { short pending, phase; int tx; };
static char *sharedOf(int block) { return (char *)(((size_t)blocks[block].shared.data() + 1023) & ~(size_t)1023); }
static void barrierCheck(MBarrier &m) { if (m.pending == 0 && m.tx == 0) { m.phase++; m.pending = 1; } }
static void barrierInit(void *p) { MBarrier m = {1, 0, 0}; memcpy(p, &m, 8); }
static void barrierInitDone() {}
static void barrierExpect(void *p, int bytes) {
    MBarrier &m = *(MBarrier *)p;
    if (m.pending != 1) { printf("expected twice\n"); abort(); }
    m.tx += bytes; m.pending--; barrierCheck(m);
}
static bool barrierPassed(void *p, unsigned parity) { return (((MBarrier *)p)->phase & 1) != (int)parity; }
static unsigned remoteAddress(const void *p, int rank) { return (unsigned)((curBlock / clusterBlocks * clusterBlocks + rank + 1) << 20 | ((char *)p - smem())); }
struct Sent { unsigned to, barrier; uint4 v; };
static std::vector<Sent> flying;  // arrive later, in any order
static void sendAsync(unsigned to, uint4 v, unsigned barrier) { flying.push_back({to, barrier, v}); }
static void arrive(const Sent &s) {
    char *p = sharedOf((s.to >> 20) - 1) + (s.to & 0xFFFFF);
    if ((size_t)p % 16 || (s.to & 0xFFFFF) + 16 > blocks[0].shared.size() - 1024) { printf("bad send\n"); abort(); }
    memcpy(p, &s.v, 16);
    MBarrier &m = *(MBarrier *)(sharedOf((s.barrier >> 20) - 1) + (s.barrier & 0xFFFFF));
    m.tx -= 16; barrierCheck(m);
}
static unsigned shuffle(unsigned x, int from) {
    unsigned in[8] = {x};
    Collective &w = deposit(in, nullptr, [](Collective &w) { for (int l = 0; l < 32; l++) w.out[l] = w.in[l][0]; });
    return w.out[from];
}
static void clusterSync() {
    Bar &b = blocks[curBlock / clusterBlocks * clusterBlocks].cluster;
    const unsigned generation = b.generation;
    if (++b.count == clusterBlocks * blockThreads) { b.count = 0; b.generation++; return; }
    while (b.generation == generation) yieldFiber();
}
#include "dev.h"
#include "kernels.h"

// ---- fibers ----
struct Fiber { ucontext_t context; int block, thread; bool done; };
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static Fiber *running;
static std::function<void()> entry;
static void yieldFiber() { yields++; swapcontext(&running->context, &scheduler); }
static void trampoline() { entry(); running->done = true; swapcontext(&running->context, &scheduler); }
static std::mt19937 rng(7);
static void launch(int grid, int threads, size_t sharedBytes, std::function<void()> kernel) {
    static std::vector<char> stacks;
    const size_t stack = 24576;
    blockThreads = threads;
    blocks.clear(); blocks.resize(grid);
    for (auto &b : blocks) { b.shared.assign(sharedBytes + 1024, (char)0xFF); }
    fibers.clear(); fibers.resize((size_t)grid * threads);
    if (stacks.size() < fibers.size() * stack) stacks.resize(fibers.size() * stack);
    entry = kernel;
    for (size_t i = 0; i < fibers.size(); i++) {
        Fiber &f = fibers[i];
        f.block = i / threads; f.thread = i % threads; f.done = false;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = stacks.data() + i * stack;
        f.context.uc_stack.ss_size = stack;
        f.context.uc_link = nullptr;
        makecontext(&f.context, trampoline, 0);
    }
    // Warps in random order, some left out for a while.
    const int warps = fibers.size() / 32;
    std::vector<int> order(warps), sleep(warps, 0);
    for (int i = 0; i < warps; i++) order[i] = i;
    for (long round = 0;; round++) {
        if (round % 8 == 0) std::shuffle(order.begin(), order.end(), rng);
        bool left = false;
        for (size_t n = flying.size() / 2 + (round & 1); n > 0 && !flying.empty(); n--) {
            std::swap(flying[rng() % flying.size()], flying.back());
            const Sent s = flying.back();
            flying.pop_back();
            arrive(s);
        }
        for (size_t n = pendingStores.size() / 8 + (round & 1); n > 0 && !pendingStores.empty(); n--) putPending(rng() % pendingStores.size());
        for (int w : order) {
            bool alive = false;
            for (int l = 0; l < 32; l++) alive |= !fibers[(size_t)w * 32 + l].done;
            if (!alive) continue;
            left = true;
            if (sleep[w] > 0) { sleep[w]--; continue; }
            if (rng() % 512 == 0) sleep[w] = rng() % 400;
            for (int l = 0; l < 32; l++) {
                Fiber &f = fibers[(size_t)w * 32 + l];
                if (f.done) continue;
                running = &f; curBlock = f.block; curThread = f.thread;
                swapcontext(&scheduler, &f.context);
            }
        }
        if (!left) { while (!pendingStores.empty()) putPending(0); if (!flying.empty()) { printf("still flying\n"); exit(1); } break; }
        if (round > 300000) { printf("hangs\n"); for (int b = 0; b < grid; b++) { printf("block %d:", b); for (auto &x : blocks[b].bars) printf(" %d/%u", x.count, x.generation); int alive = 0; for (auto &f : fibers) alive += f.block == b && !f.done; printf(" alive %d; warps", alive); for (int w = 0; w < 16; w++) printf(" %d/%u", blocks[b].warps[w].arrived, blocks[b].warps[w].generation); printf("\n"); } exit(1); }
    }
}

template <class T> static double relative(const std::vector<T> &a, const std::vector<T> &b) {
    double d = 0, n = 0;
    for (size_t i = 0; i < a.size(); i++) { d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]); n += (double)b[i] * b[i]; }
    return std::sqrt(d / n);
}
static std::vector<float> floats(const std::vector<u16> &h) { std::vector<float> r(h.size()); for (size_t i = 0; i < h.size(); i++) r[i] = fromHalf(h[i]); return r; }
static int failures;
static void check(const char *what, double error, double limit) {
    const bool ok = error < limit;
    printf("  %-28s %.3e %s\n", what, error, ok ? "ok" : "FAIL");
    failures += !ok;
}

template <int H, int warps, int link = 0> static void lstm(int B, int T, int pauseIdle) {
    const int P = H / 32, G = B / 8;
    clusterBlocks = P;
    const size_t BH = (size_t)B * H;
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<u16> W(4 * H * H), WT(4 * H * H), xg(T * BH * 4), Y((T + 1) * BH, 0xFFFF), gates(T * BH * 4, 0xFFFF), dG(T * BH * 4, 0xFFFF);
    std::vector<float> C((T + 1) * BH, NAN), dY(T * BH);
    for (int r = 0; r < 4 * H; r++) for (int k = 0; k < H; k++) WT[(size_t)k * 4 * H + r] = W[(size_t)r * H + k] = toHalf(2 * uniform(rng) / std::sqrt((float)H));
    for (auto &x : xg) x = toHalf(0.7f * normal(rng));
    for (auto &x : dY) x = 0.1f * normal(rng);
    for (size_t i = 0; i < BH; i++) { Y[i] = toHalf(0.9f * uniform(rng)); C[i] = uniform(rng); }
    u32 abortWord = 0;
    printf("H %d B %d T %d, %d warps, link %d\n", H, B, T, warps, link);
    ForwardArguments f = {W.data(), xg.data(), Y.data(), C.data(), gates.data(), &abortWord, 0, T, B, pauseIdle, 0};
    launch(G * P, 32 * warps, ForwardShape<H>::SharedBytes, [=] { forwardBody<H, false, 0, warps / 4, link>(f); });
    // Reference
    std::vector<float> rY((T + 1) * BH), rC((T + 1) * BH), rg(T * BH * 4), rdG(T * BH * 4);
    for (size_t i = 0; i < BH; i++) { rY[i] = fromHalf(Y[i]); rC[i] = C[i]; }
    std::vector<float> Wf = floats(W);
    for (int t = 0; t < T; t++) for (int b = 0; b < B; b++) for (int u = 0; u < H; u++) {
        float z[4];
        for (int q = 0; q < 4; q++) {
            z[q] = fromHalf(xg[(t * BH + (size_t)b * H + u) * 4 + q]);
            for (int k = 0; k < H; k++) z[q] += Wf[(size_t)(4 * u + q) * H + k] * rY[t * BH + (size_t)b * H + k];
        }
        const float i = 1 / (1 + std::exp(-z[0])), ff = 1 / (1 + std::exp(-z[1])), n = std::tanh(z[2]), o = 1 / (1 + std::exp(-z[3]));
        const size_t at = t * BH + (size_t)b * H + u;
        rC[at + BH] = ff * rC[at] + i * n;
        rY[at + BH] = o * std::tanh(rC[at + BH]);
        rg[at * 4] = i; rg[at * 4 + 1] = ff; rg[at * 4 + 2] = n; rg[at * 4 + 3] = o;
    }
    check("Y", relative(floats(Y), rY), 2e-3);
    check("C", relative(C, rC), 2e-3);
    check("gates", relative(floats(gates), rg), 2e-3);
    std::vector<float> dc(BH, 0), dh(BH), next(BH);
    for (int t = T - 1; t >= 0; t--) {
        for (size_t j = 0; j < BH; j++) {
            const size_t at = t * BH + j;
            const float i = rg[at * 4], ff = rg[at * 4 + 1], n = rg[at * 4 + 2], o = rg[at * 4 + 3], tc = std::tanh(rC[at + BH]);
            const float d = dY[at] + (t < T - 1 ? next[j] : 0);
            dc[j] += d * o * (1 - tc * tc);
            rdG[at * 4] = dc[j] * n * i * (1 - i);
            rdG[at * 4 + 1] = dc[j] * rC[at] * ff * (1 - ff);
            rdG[at * 4 + 2] = dc[j] * i * (1 - n * n);
            rdG[at * 4 + 3] = d * tc * o * (1 - o);
            dc[j] *= ff;
        }
        for (int b = 0; b < B; b++) {
            float *to = &next[(size_t)b * H];
            std::fill(to, to + H, 0.f);
            for (int j = 0; j < 4 * H; j++) { const float d = rdG[(t * BH + (size_t)b * H) * 4 + j]; for (int u = 0; u < H; u++) to[u] += d * Wf[(size_t)j * H + u]; }
        }
    }
    for (int narrow = 0; narrow < 2; narrow++) {
        std::vector<u32> slots((size_t)2 * G * P * P * 256, 0);
        std::fill(dG.begin(), dG.end(), 0xFFFF);
        BackwardArguments b = {WT.data(), gates.data(), C.data(), dY.data(), dG.data(), slots.data(), &abortWord, T, B, 0};
        if (narrow) launch(G * P, 32 * warps, BackwardSharedBytes, [=] { backwardBody<H, true, 0, warps, link>(b); });
        else launch(G * P, 32 * warps, BackwardSharedBytes, [=] { backwardBody<H, false, 0, warps, link>(b); });
        check(narrow ? "dG narrow" : "dG wide", relative(floats(dG), rdG), 4e-3);
    }
    if (warps == 16 && !link)
    for (int pieces : {0, 1, 4}) {
        const int N = pieces ? pieces : 1;
        std::vector<u16> E((T + 1) * BH * N, 0xFFFF);
        std::fill(E.begin(), E.begin() + BH * N, (u16)5);
        ExchangeArguments e = {E.data(), &abortWord, T, B, 0};
        launch(G * P, 512, 2048, [=] { pieces == 0 ? exchangeBody<H, 0>(e) : pieces == 1 ? exchangeBody<H, 1>(e) : exchangeBody<H, 4>(e); });
        long missing = 0;
        for (auto x : E) missing += x == 0xFFFF;
        check("exchange, words missing", missing, 0.5);
    }
    check("abort word", abortWord, 0.5);
    printf("  %.1f M switches\n", yields * 1e-6);
}

int main(int argc, char **argv) {
    const int which = argc > 1 ? atoi(argv[1]) : 0;
    if (which == 0 || which == 1) lstm<256, 16>(8, 5, 0);
    if (which == 0 || which == 2) lstm<256, 8>(16, 5, 0);
    if (which == 0 || which == 5) lstm<256, 16, 1>(16, 7, 0);
    if (which == 0 || which == 6) lstm<512, 16, 1>(8, 7, 0);
    if (which == 0 || which == 7) lstm<512, 8, 1>(8, 6, 0);
    if (which == 0 || which == 3) lstm<512, 8>(8, 6, 0);
    if (which == 0 || which == 4) lstm<512, 16>(8, 6, 3);
    printf(failures ? "FAILED\n" : "all ok\n");
    return failures != 0;
}
