// Checks and times the kernels of group.h: ./group NAME, NAME as in main().
#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>
#include "group.h"

#define CHECK(call)                                                                                              \
    do {                                                                                                         \
        const cudaError_t error_ = (call);                                                                       \
        if (error_ != cudaSuccess) {                                                                             \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error_));                    \
            fflush(stdout);                                                                                      \
            exit(2);                                                                                             \
        }                                                                                                        \
    } while (0)

template <int kind, int H, int R, int warps, bool fast, bool tiled>
__global__ void __launch_bounds__(32 * warps, 1) gated(const __grid_constant__ GroupArguments a) { gatedForwardBody<kind, H, R, warps, fast, tiled>(a); }
template <int kind, int H, int R, int warps, bool fast, bool probe, bool tiled, int tune>
__global__ void __launch_bounds__(32 * warps, 1) direct(const __grid_constant__ GroupArguments a) { directBody<kind, H, R, warps, fast, probe, tiled, tune>(a); }
__global__ void tileRows(const u16 *Y, u16 *E, int H) {
    const int b = blockIdx.x;
    for (int u = threadIdx.x; u < H; u += blockDim.x) E[((size_t)(b / 8) * (H / 32) + u / 32) * 256 + b % 8 * 32 + u % 32] = Y[(size_t)b * H + u];
}

// ---- plain fp32 reference; [unit][row] ----
__global__ void referenceForward(int type, const u16 *W, const u16 *xg, const float *bias, const float *hBefore, float *h, const float *cBefore, float *c, float *gates, int H, int B) {
    const int b = threadIdx.x, u = blockIdx.x, g = type == 0 ? 4 : type == 1 ? 3 : 1, xs = type == 2 ? 1 : 4;
    float s[4] = {}, x[4] = {};
    for (int q = 0; q < g; q++) x[q] = fromHalf(xg[((size_t)b * H + u) * xs + q]);
    for (int k = 0; k < H; k++) {
        const float v = hBefore[(size_t)k * B + b];
        for (int q = 0; q < g; q++) s[q] += fromHalf(W[(size_t)(g * u + q) * H + k]) * v;
    }
    const size_t at = (size_t)u * B + b;
    auto sig = [](float x) { return 1 / (1 + expf(-x)); };
    if (type == 0) {
        const float i = sig(x[0] + s[0]), f = sig(x[1] + s[1]), n = tanhf(x[2] + s[2]), o = sig(x[3] + s[3]), cell = f * cBefore[at] + i * n;
        c[at] = cell;
        h[at] = o * tanhf(cell);
        gates[at * 4] = i, gates[at * 4 + 1] = f, gates[at * 4 + 2] = n, gates[at * 4 + 3] = o;
    } else if (type == 1) {
        const float r = sig(x[0] + s[0]), z = sig(x[1] + s[1]), m = s[2] + bias[u], n = tanhf(x[2] + r * m);
        h[at] = (1 - z) * n + z * hBefore[at];
        gates[at * 4] = r, gates[at * 4 + 1] = z, gates[at * 4 + 2] = n, gates[at * 4 + 3] = m;
    } else h[at] = tanhf(x[0] + s[0]);
}
// dG as [gH][B]
__global__ void referenceBackward(int type, const u16 *W, const float *gates, const float *cBefore, const float *c, const float *hBefore, const float *h, const float *dY, const float *dGAfter, float *carry, float *dG, float *dN, int H, int B) {
    const int b = threadIdx.x, u = blockIdx.x, g = type == 0 ? 4 : type == 1 ? 3 : 1;
    float dh = dY[(size_t)b * H + u];
    if (dGAfter) for (int j = 0; j < g * H; j++) dh += dGAfter[(size_t)j * B + b] * fromHalf(W[(size_t)j * H + u]);
    const size_t at = (size_t)u * B + b;
    const float carried = dGAfter && type < 2 ? carry[at] : 0;
    float *to = dG + (size_t)(g * u) * B + b;
    if (type == 0) {
        const float i = gates[at * 4], f = gates[at * 4 + 1], n = gates[at * 4 + 2], o = gates[at * 4 + 3], tc = tanhf(c[at]), d = carried + dh * o * (1 - tc * tc);
        to[0] = d * n * i * (1 - i);
        to[B] = d * cBefore[at] * f * (1 - f);
        to[2 * B] = d * i * (1 - n * n);
        to[3 * B] = dh * tc * o * (1 - o);
        carry[at] = d * f;
    } else if (type == 1) {
        dh += carried;
        const float r = gates[at * 4], z = gates[at * 4 + 1], n = gates[at * 4 + 2], m = gates[at * 4 + 3], dn = dh * (1 - z) * (1 - n * n);
        dN[at] = dn;
        to[0] = dn * m * r * (1 - r);
        to[B] = dh * (hBefore[at] - n) * z * (1 - z);
        to[2 * B] = dn * r;
        carry[at] = dh * z;
    } else to[0] = dh * (1 - h[at] * h[at]);
}
// out [b][u][n], fp16 or (wide) fp32; ref [u][b][n] or (rows) [n u][b]
__global__ void difference(const void *out, const float *ref, double *sums, int H, int B, int n, bool wide, bool rows) {
    const int b = threadIdx.x, u = blockIdx.x;
    double d = 0, r2 = 0;
    for (int q = 0; q < n; q++) {
        const size_t at = ((size_t)b * H + u) * n + q;
        const double x = wide ? ((const float *)out)[at] : fromHalf(((const u16 *)out)[at]);
        const double r = ref[rows ? (size_t)(n * u + q) * B + b : ((size_t)u * B + b) * n + q];
        d += (x - r) * (x - r);
        r2 += r * r;
    }
    atomicAdd(sums, d);
    atomicAdd(sums + 1, r2);
}
__global__ void countDifferent(const u32 *a, const u32 *b, size_t n, u32 *count) {
    u32 mine = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) mine += a[i] != b[i];
    if (mine) atomicAdd(count, mine);
}
__global__ void spin(long long *out) {
    const long long from = clock64();
    while (clock64() - from < 2000000) {
    }
    out[0] = from;
}

static cudaStream_t stream;
static u32 *abortWord;
template <class A>
static void launch(void (*kernel)(A), int grid, int shared, const A &a, int threads) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    cudaLaunchAttribute attribute;
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    config.attrs = &attribute;
    config.numAttrs = 1;
    CHECK(cudaLaunchKernelEx(&config, kernel, a));
}
template <class K>
static void allow(K kernel, int bytes) { CHECK(cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)); }
static double timeGraph(const std::function<void()> &body, int inGraph = 4, int launches = 9, double *least = nullptr) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < inGraph; i++) body();
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    static cudaEvent_t from = nullptr, to = nullptr;
    if (!from) {
        CHECK(cudaEventCreate(&from));
        CHECK(cudaEventCreate(&to));
    }
    std::vector<float> times;
    for (int i = 0; i < launches + 2; i++) {
        CHECK(cudaEventRecord(from, stream));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaEventRecord(to, stream));
        CHECK(cudaEventSynchronize(to));
        float ms;
        CHECK(cudaEventElapsedTime(&ms, from, to));
        if (i >= 2) times.push_back(ms);
    }
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    std::sort(times.begin(), times.end());
    if (least) *least = times[0] * 1000 / inGraph;
    return times[times.size() / 2] * 1000 / inGraph;
}
static u32 wordOf(u32 *p) {
    u32 word;
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaMemcpy(&word, p, 4, cudaMemcpyDeviceToHost));
    return word;
}
static const char *aborted() {
    const u32 word = wordOf(abortWord);
    CHECK(cudaMemsetAsync(abortWord, 0, 4, stream));
    return word ? " ABORT" : "";
}
template <class T>
static T *device(size_t n) {
    T *p;
    CHECK(cudaMalloc(&p, n * sizeof(T)));
    CHECK(cudaMemset(p, 0xFF, n * sizeof(T)));
    CHECK(cudaDeviceSynchronize());
    return p;
}
template <class T>
static T *upload(const std::vector<T> &from, size_t n = 0) {
    T *to = device<T>(std::max(n, from.size()));
    CHECK(cudaMemcpy(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
    CHECK(cudaDeviceSynchronize());
    return to;
}
static u16 hostHalf(float x) {
    u32 b;
    memcpy(&b, &x, 4);
    const u32 sign = b >> 16 & 0x8000u;
    const int exponent = (int)(b >> 23 & 255) - 112;
    if (exponent <= 0) return (u16)sign;
    u32 m = (u32)exponent << 23 | (b & 0x7FFFFFu);
    m += 0xFFFu + (m >> 13 & 1);
    return (u16)(sign | m >> 13);
}
static const int T = 100;
static std::string tag;
static bool quick = false;
static int aheadSteps = 0;
static bool plainG = true;
static int chunkFirst = 0, chunkCount = 100;

// type 0 LSTM, 1 GRU, 2 RNN
template <int type, int H, int R, int warpsF, int warpsB, int B = 64, bool tiled = true, int tune = 0>
struct Layer {
    enum { P = H / 32, G = B / R, Grid = P * G, g = type == 0 ? 4 : type == 1 ? 3 : 1, xs = type == 2 ? 1 : 4, back = type == 0 ? LSTMBack : type == 1 ? GRUBack : RNNBack };
    static constexpr bool isTiled = tiled;
    const size_t BH = (size_t)B * H;
    GroupArguments F, K;
    u16 *keptY, *keptG;
    float *rh, *rc, *rg, *rdG, *rdN, *carry;
    double *sums;
    u32 *count;

    Layer() {
        std::mt19937 rng(H + type);
        std::normal_distribution<float> normal;
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<u16> w((size_t)g * H * H), wt((size_t)g * H * H), x(T * BH * xs), h0(BH);
        std::vector<float> c0(BH), dy(T * BH), h0T(BH), c0T(BH), bias(H);
        for (int r = 0; r < g * H; r++)
            for (int k = 0; k < H; k++) wt[(size_t)k * g * H + r] = w[(size_t)r * H + k] = hostHalf(1.5f * uniform(rng) / std::sqrt((float)H));
        for (auto &v : x) v = hostHalf(0.7f * normal(rng));
        for (auto &v : dy) v = 0.1f * normal(rng);
        for (auto &v : bias) v = 0.3f * normal(rng);
        for (int b = 0; b < B; b++)
            for (int u = 0; u < H; u++) {
                const float h = (int)(900 * uniform(rng)) / 1024.0f, c = uniform(rng);
                h0[(size_t)b * H + u] = hostHalf(h);
                c0[(size_t)b * H + u] = c;
                h0T[(size_t)u * B + b] = h;
                c0T[(size_t)u * B + b] = c;
            }
        rh = upload(h0T, (T + 1) * BH);
        rc = upload(c0T, (T + 1) * BH);
        rg = device<float>(T * BH * 4);
        rdG = device<float>(T * BH * g);
        rdN = device<float>(T * BH);
        carry = device<float>(BH);
        sums = device<double>(2);
        count = device<u32>(1);
        keptY = device<u16>((T + 1) * BH);
        keptG = device<u16>(T * BH * g);
        F = {upload(w), upload(x), upload(bias), upload(h0, (T + 1) * BH), upload(c0, (T + 1) * BH), device<u16>(T * BH * 4), upload(dy), device<u16>(T * BH * g), nullptr, device<u16>(T * BH), abortWord, device<float>(BH), T, B, 0, T, 0, 0, 0, 0, -1, 0};
        F.E = device<u16>((T + 1) * BH);
        tileRows<<<B, 256, 0, stream>>>(F.Y, F.E, H);
        K = F;
        K.E = device<u16>(T * BH * g);
        K.W = upload(wt);
        for (int t = 0; t < T; t++)
            referenceForward<<<H, B, 0, stream>>>(type, F.W, F.xg + t * BH * xs, F.bias, rh + t * BH, rh + (t + 1) * BH, rc + t * BH, rc + (t + 1) * BH, rg + t * BH * 4, H, B);
        for (int t = T - 1; t >= 0; t--)
            referenceBackward<<<H, B, 0, stream>>>(type, F.W, rg + t * BH * 4, rc + t * BH, rc + (t + 1) * BH, rh + t * BH, rh + (t + 1) * BH, F.dY + t * BH, t < T - 1 ? rdG + (t + 1) * BH * g : nullptr, carry, rdG + t * BH * g, rdN + t * BH, H, B);
        CHECK(cudaGetLastError());
        CHECK(cudaStreamSynchronize(stream));
    }
    double error(const void *out, const float *ref, int n, bool wide, bool rows) {
        CHECK(cudaMemsetAsync(sums, 0, 16, stream));
        const size_t step = BH * n, size = wide ? 4 : 2;
        for (int t = 0; t < T; t++) difference<<<H, B, 0, stream>>>((const char *)out + t * step * size, ref + t * step, sums, H, B, n, wide, rows);
        double s[2];
        CHECK(cudaStreamSynchronize(stream));
        CHECK(cudaMemcpy(s, sums, 16, cudaMemcpyDeviceToHost));
        return std::sqrt(s[0] / s[1]);
    }
    void clearY() { CHECK(cudaMemsetAsync((tiled ? F.E : F.Y) + BH, 0xFF, T * BH * 2, stream)); }
    void clearG() { CHECK(cudaMemsetAsync(tiled ? K.E : K.dG, 0xFF, T * BH * 2 * g, stream)); }
    template <bool fast, bool probe = false>
    void forward(int idle, int cell, int poll, int stopBlock = -1, int stopStep = 0) {
        GroupArguments a = F;
        a.pauseIdle = idle, a.pauseCell = cell, a.pausePoll = poll, a.stopBlock = stopBlock, a.stopStep = stopStep, a.first = chunkFirst, a.count = chunkCount, a.ahead = aheadSteps;
        if constexpr (type == 2) {
            auto kernel = direct<RNNForward, H, R, warpsF, fast, probe, tiled, 0>;
            allow(kernel, DirectShape<RNNForward, H, R, warpsF>::SharedBytes);
            launch(kernel, Grid, DirectShape<RNNForward, H, R, warpsF>::SharedBytes, a, 32 * warpsF);
        } else {
            constexpr int kind = type == 0 ? LSTMForward : GRUForward;
            auto kernel = gated<kind, H, R, warpsF, fast, tiled>;
            allow(kernel, GatedShape<kind, H, R, warpsF>::SharedBytes);
            launch(kernel, Grid, GatedShape<kind, H, R, warpsF>::SharedBytes, a, 32 * warpsF);
        }
    }
    template <bool fast, bool probe>
    void backward(int idle, int cell, int poll, int stopBlock = -1, int stopStep = 0) {
        GroupArguments a = K;
        if (!plainG) a.dG = nullptr;
        a.pauseIdle = idle, a.pauseCell = cell, a.pausePoll = poll, a.stopBlock = stopBlock, a.stopStep = stopStep, a.first = chunkFirst, a.count = chunkCount, a.ahead = aheadSteps;
        auto kernel = direct<back, H, R, warpsB, fast, probe, tiled, tune>;
        allow(kernel, DirectShape<back, H, R, warpsB, tune>::SharedBytes);
        launch(kernel, Grid, DirectShape<back, H, R, warpsB, tune>::SharedBytes, a, 32 * warpsB);
    }
    void say(const char *what, const char *format, ...) {
        va_list list;
        va_start(list, format);
        printf("%s %s: ", tag.c_str(), what);
        vprintf(format, list);
        printf("\n");
        fflush(stdout);
        va_end(list);
    }
    template <bool fast>
    void checkBoth() {
        CHECK(cudaMemsetAsync(F.gates, 0xFF, T * BH * 8, stream));
        CHECK(cudaMemsetAsync(F.C + BH, 0xFF, T * BH * 4, stream));
        CHECK(cudaMemsetAsync(F.Y + BH, 0xFF, T * BH * 2, stream));
        clearY();
        forward<fast>(0, 0, 0);
        const char *abort = aborted();
        const double y = error(F.Y + BH, rh + BH, 1, false, false), c = type == 0 ? error(F.C + BH, rc + BH, 1, true, false) : 0, gg = type < 2 ? error(F.gates, rg, 4, false, false) : 0;
        say(fast ? "forward  approx" : "forward  exp", "error Y %.2e C %.2e gates %.2e %s%s", y, c, gg, y < 3e-3 && c < 3e-3 && gg < 3e-3 ? "ok" : "FAIL", abort);
        CHECK(cudaMemsetAsync(F.dG, 0xFF, T * BH * 2 * g, stream));
        clearG();
        CHECK(cudaMemsetAsync(F.dN, 0xFF, T * BH * 2, stream));
        backward<fast, false>(0, 0, 0);
        const char *abort2 = aborted();
        const double d = error(F.dG, rdG, g, false, true), n = type == 1 ? error(F.dN, rdN, 1, false, false) : 0;
        say(fast ? "backward approx" : "backward exp", "error dG %.2e dN %.2e %s%s", d, n, d < 5e-3 && n < 5e-3 ? "ok" : "FAIL", abort2);
    }
    void run() {
        checkBoth<true>();
        checkBoth<false>();
        CHECK(cudaMemcpyAsync(keptY, F.Y, (T + 1) * BH * 2, cudaMemcpyDeviceToDevice, stream));
        CHECK(cudaMemcpyAsync(keptG, F.dG, T * BH * 2 * g, cudaMemcpyDeviceToDevice, stream));
        const double cy = timeGraph([&] { clearY(); }, 8), cg = timeGraph([&] { clearG(); }, 8);
        say("memsets", "Y %.2f us, dG %.2f us", cy, cg);
        auto sweep = [&](const char *name, double clear, const std::function<void(int, int, int)> &body, const std::vector<std::vector<int>> &points, int (&best)[3]) {
            double least = 1e9;
            std::string line;
            for (auto &p : points) {
                const double us = timeGraph([&] { body(p[0], p[1], p[2]); }, 4, 7);
                if (us < least) least = us, best[0] = p[0], best[1] = p[1], best[2] = p[2];
                char text[80];
                snprintf(text, sizeof text, " %d,%d,%d=%.3f%s", p[0], p[1], p[2], (us - clear) / T, aborted());
                line += text;
            }
            say(name, "by idle,cell,poll:%s", line.c_str());
        };
        std::vector<std::vector<int>> matrix, across;
        for (int idle : {0, 400, 600, 800, 1000}) for (int cell : {0, 100, 200, 300, 400}) matrix.push_back({idle, cell, 0});
        for (int cell : {0, 100, 200, 300, 400, 500, 600, 800}) across.push_back({0, cell, 0});
        across.push_back({0, 200, 100});
        matrix.push_back({400, 200, 100});
        const std::vector<std::vector<int>> &forwardPoints = R >= warpsF ? across : matrix, &backPoints = R >= warpsB ? across : matrix;
        aheadSteps = 2;
        int bestF[3] = {}, bestB[3] = {};
        sweep("forward  approx", cy, [&](int i, int c, int p) { clearY(); forward<true>(i, c, p); }, forwardPoints, bestF);
        double least;
        double us = timeGraph([&] { clearY(); forward<true>(bestF[0], bestF[1], bestF[2]); }, 8, 15, &least);
        say("FORWARD  approx", "%.3f us a step (least %.3f; with memset %.3f), pauses %d,%d,%d%s", (us - cy) / T, (least - cy) / T, us / T, bestF[0], bestF[1], bestF[2], aborted());
        us = timeGraph([&] { forward<true>(0, 0, 0); }, 8, 15);
        say("forward  approx, all there already (no waiting)", "%.3f us a step%s", us / T, aborted());
        us = timeGraph([&] { clearY(); forward<false>(bestF[0], bestF[1], bestF[2]); }, 8, 15);
        say("forward  exp", "%.3f us a step%s", (us - cy) / T, aborted());
        // Sound input of the backward runs again, and the same bits?
        CHECK(cudaMemsetAsync(count, 0, 4, stream));
        const int repeats = 10;
        for (int n = 0; n < (quick ? 2 : 20); n++)
            timeGraph([&] { clearY(); forward<false>(bestF[0], bestF[1], bestF[2]); countDifferent<<<132, 512, 0, stream>>>((u32 *)F.Y, (u32 *)keptY, (T + 1) * BH / 2, count); }, repeats, 1);
        u32 other = wordOf(count);
        say("forward  repeated", "%d runs, %u words differ %s%s", (quick ? 2 : 20) * 3 * repeats, other, other ? "FAIL" : "ok", aborted());
        sweep("backward", cg, [&](int i, int c, int p) { clearG(); backward<false, false>(i, c, p); }, backPoints, bestB);
        us = timeGraph([&] { clearG(); backward<false, false>(bestB[0], bestB[1], bestB[2]); }, 8, 15, &least);
        say("BACKWARD", "%.3f us a step (least %.3f; with memset %.3f), pauses %d,%d,%d%s", (us - cg) / T, (least - cg) / T, us / T, bestB[0], bestB[1], bestB[2], aborted());
        us = timeGraph([&] { backward<false, false>(0, 0, 0); }, 8, 15);
        say("backward, all there already (no waiting)", "%.3f us a step%s", us / T, aborted());
        us = timeGraph([&] { clearG(); backward<true, false>(bestB[0], bestB[1], bestB[2]); }, 8, 15);
        say("backward approx", "%.3f us a step%s", (us - cg) / T, aborted());
        plainG = false;
        us = timeGraph([&] { clearG(); backward<false, false>(bestB[0], bestB[1], bestB[2]); }, 8, 15, &least);
        say("BACKWARD, no plain dG", "%.3f us a step (least %.3f; with memset %.3f)%s", (us - cg) / T, (least - cg) / T, us / T, aborted());
        plainG = true;
        CHECK(cudaMemsetAsync(count, 0, 4, stream));
        for (int n = 0; n < (quick ? 2 : 20); n++)
            timeGraph([&] { clearG(); backward<false, false>(bestB[0], bestB[1], bestB[2]); countDifferent<<<132, 512, 0, stream>>>((u32 *)F.dG, (u32 *)keptG, T * BH * g / 2, count); }, repeats, 1);
        other = wordOf(count);
        say("backward repeated", "%d runs, %u words differ %s%s", (quick ? 2 : 20) * 3 * repeats, other, other ? "FAIL" : "ok", aborted());
        // One block stops.
        for (int which = 0; which < 2; which++)
            for (int step : {0, 37}) {
                if (which) clearG(); else clearY();
                CHECK(cudaStreamSynchronize(stream));
                const auto from = std::chrono::steady_clock::now();
                if (which) backward<false, false>(0, 0, 0, 5, step); else forward<false>(0, 0, 0, 5, step);
                CHECK(cudaStreamSynchronize(stream));
                const double ms = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count() * 1e3;
                const u32 word = wordOf(abortWord);
                if (which) clearG(); else clearY();
                CHECK(cudaStreamSynchronize(stream));
                const auto from2 = std::chrono::steady_clock::now();
                if (which) backward<false, false>(0, 0, 0); else forward<false>(0, 0, 0);
                CHECK(cudaStreamSynchronize(stream));
                const double ms2 = std::chrono::duration<double>(std::chrono::steady_clock::now() - from2).count() * 1e3;
                aborted();
                say(which ? "backward, a block stops" : "forward, a block stops", "at step %d: ended after %.1f ms, abort word %u %s; the next launch (word still set) after %.2f ms", step, ms, word, word ? "ok" : "FAIL", ms2);
            }
        clearY();
        forward<false>(bestF[0], bestF[1], bestF[2]);
        clearG();
        backward<false, false>(bestB[0], bestB[1], bestB[2]);
        CHECK(cudaMemsetAsync(count, 0, 4, stream));
        countDifferent<<<132, 512, 0, stream>>>((u32 *)F.Y, (u32 *)keptY, (T + 1) * BH / 2, count);
        countDifferent<<<132, 512, 0, stream>>>((u32 *)F.dG, (u32 *)keptG, T * BH * g / 2, count);
        other = wordOf(count);
        say("after the stops", "%u words differ %s%s", other, other ? "FAIL" : "ok", aborted());
        // NaNs of the sentinel's pattern in the input: all must end, nothing wait.
        CHECK(cudaMemset((void *)(F.xg + 30 * BH * xs + 5 * H * xs), 0xFF, 2));
        CHECK(cudaMemset((void *)(F.dY + 60 * BH + 7), 0xFF, 4));
        CHECK(cudaDeviceSynchronize());
        clearY();
        forward<false>(bestF[0], bestF[1], bestF[2]);
        clearG();
        backward<false, false>(bestB[0], bestB[1], bestB[2]);
        const u32 word = wordOf(abortWord);
        say("NaN in the input", "abort word %u %s", word, word ? "FAIL" : "ok");
    }
};

// Pauses by idle (down) and cell (across); waiting, and with all there already.
template <class L>
static void explore(L &l) {
    l.template checkBoth<false>();
    for (int back = 0; back < 2; back++)
        for (int waiting = 1; waiting >= 0; waiting--) {
            const double clear = waiting ? back ? timeGraph([&] { l.clearG(); }, 8) : timeGraph([&] { l.clearY(); }, 8) : 0;
            l.say(back ? "backward" : "forward", "%s: idle down, cell across 0 100 200 300 400 500 600", waiting ? "waiting" : "all there already");
            for (int idle : {0, 200, 400, 500, 600, 700, 800, 900, 1000}) {
                std::string line;
                for (int cell : {0, 100, 200, 300, 400, 500, 600}) {
                    const double us = timeGraph([&] {
                        if (waiting) { if (back) l.clearG(); else l.clearY(); }
                        if (back) l.template backward<false, false>(idle, cell, 0); else l.template forward<true>(idle, cell, 0);
                    }, 4, 9);
                    char text[40];
                    snprintf(text, sizeof text, " %.3f", (us - clear) / T);
                    line += text;
                }
                printf("   %4d:%s%s\n", idle, line.c_str(), aborted());
            }
        }
    fflush(stdout);
}
// Prefetching, and no plain dG.
template <class L>
static void ahead(L &l, const std::vector<std::pair<int, int>> &pauses) {
    l.template checkBoth<false>();
    for (int back = 0; back < 2; back++)
        for (int waiting = 1; waiting >= 0; waiting--)
            for (int steps : {2, 3, 4, -3}) {
                if (steps < 0 && (!back || !L::isTiled)) continue;
                plainG = steps >= 0;
                aheadSteps = std::abs(steps);
                const double clear = waiting ? back ? timeGraph([&] { l.clearG(); }, 8) : timeGraph([&] { l.clearY(); }, 8) : 0;
                std::string line;
                for (auto &p : pauses) {
                    double least;
                    const double us = timeGraph([&] {
                        if (waiting) { if (back) l.clearG(); else l.clearY(); }
                        if (back) l.template backward<false, false>(p.first, p.second, 0); else l.template forward<true>(p.first, p.second, 0);
                    }, 4, 11, &least);
                    char text[60];
                    snprintf(text, sizeof text, " %d,%d=%.3f", p.first, p.second, (us - clear) / T);
                    line += text;
                }
                l.say(back ? "backward" : "forward", "%s, prefetching %2d steps ahead%s:%s%s", waiting ? "waiting" : "all there", aheadSteps, plainG ? "" : ", no plain dG", line.c_str(), aborted());
            }
    plainG = true;
    aheadSteps = 0;
}
// Launches of fewer steps; two layers at once on two streams, in step (no dependence) and as a chain of chunks.
template <class L>
static void chunks(L &l, L *m, int idleF, int cellF, int idleB, int cellB) {
    CHECK(cudaMemcpyAsync(l.keptY, l.F.Y, (T + 1) * l.BH * 2, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpyAsync(l.keptG, l.F.dG, T * l.BH * 2 * L::g, cudaMemcpyDeviceToDevice, stream));
    const double cy = timeGraph([&] { l.clearY(); }, 8), cg = timeGraph([&] { l.clearG(); }, 8);
    static cudaStream_t first = stream, second;
    static cudaEvent_t e[202];
    CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    for (auto &x : e) CHECK(cudaEventCreateWithFlags(&x, cudaEventDisableTiming));
    for (int chunk : {100, 50, 25, 20, 10, 5}) {
        chunkCount = chunk;
        double us[2], two[2] = {0, 0}, chain[2] = {0, 0};
        for (int back = 0; back < 2; back++) {
            auto one = [&](L &x) { if (back) x.template backward<false, false>(idleB, cellB, 0); else x.template forward<false>(idleF, cellF, 0); };
            auto clear = [&](L &x) { if (back) x.clearG(); else x.clearY(); };
            us[back] = (timeGraph([&] { clear(l); for (chunkFirst = 0; chunkFirst < T; chunkFirst += chunk) one(l); }, 2) - (back ? cg : cy)) / T;
            if (m) {
                chain[back] = (timeGraph([&] {
                    stream = first;
                    clear(l);
                    clear(*m);
                    CHECK(cudaEventRecord(e[0], first));
                    CHECK(cudaStreamWaitEvent(second, e[0]));
                    int n = 1;
                    for (chunkFirst = 0; chunkFirst < T; chunkFirst += chunk) {
                        one(l);
                        CHECK(cudaEventRecord(e[n], first));
                        stream = second;
                        CHECK(cudaStreamWaitEvent(second, e[n++]));
                        one(*m);
                        stream = first;
                    }
                    CHECK(cudaEventRecord(e[n], second));
                    CHECK(cudaStreamWaitEvent(first, e[n]));
                }, 2) - 2 * (back ? cg : cy));
            }
            chunkFirst = 0;
        }
        const u32 y = 0;
        CHECK(cudaMemsetAsync(l.count, 0, 4, stream));
        countDifferent<<<132, 512, 0, stream>>>((u32 *)l.F.Y, (u32 *)l.keptY, (T + 1) * l.BH / 2, l.count);
        countDifferent<<<132, 512, 0, stream>>>((u32 *)l.F.dG, (u32 *)l.keptG, T * l.BH * L::g / 2, l.count);
        l.say("launches", "of %3d steps: forward %.3f, backward %.3f us a step, %u words differ; two layers as a chain of chunks on two streams: %.1f, %.1f us in all%s", chunk, us[0], us[1], wordOf(l.count), chain[0], chain[1], aborted());
        (void)y;
        (void)two;
    }
    chunkCount = T;
}

__global__ void hog(float4 *data, size_t n, long long cycles) {
    const long long from = clock64();
    float4 sum = {0, 0, 0, 0};
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    while (clock64() - from < cycles) {
        for (int k = 0; k < 16; k++) {
            const float4 v = data[i];
            sum.x += v.x, sum.y += v.y;
            data[i] = sum;
            i += gridDim.x * blockDim.x;
            if (i >= n) i -= n;
        }
    }
}
template <class L>
static void hogged(L &l) {
    l.template checkBoth<false>();
    aheadSteps = 2;
    const size_t n = (size_t)1 << 26;
    float4 *data = device<float4>(n);
    cudaStream_t second;
    CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    allow(hog, 180 * 1024);
    for (int blocks : {0, 4, 2}) {
        double us[2];
        for (int back = 0; back < 2; back++) {
            if (blocks) hog<<<blocks, 1024, 180 * 1024, second>>>(data, n, 60000000);
            us[back] = timeGraph([&] { if (back) { l.clearG(); l.template backward<false, false>(400, 100, 0); } else { l.clearY(); l.template forward<true>(400, 0, 0); } }, 4, 15);
            const bool still = cudaStreamQuery(second) == cudaErrorNotReady;
            CHECK(cudaStreamSynchronize(second));
            if (blocks && !still) printf("(the other had ended)\n");
        }
        l.say("beside a kernel that streams memory", "on %d multiprocessors: forward %.3f, backward %.3f us a step with memset%s", blocks, us[0] / T, us[1] / T, aborted());
    }
}
template <class L>
static void soak(L &l) {
    l.template checkBoth<true>();
    CHECK(cudaMemcpyAsync(l.keptY, l.F.Y, (T + 1) * l.BH * 2, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpyAsync(l.keptG, l.F.dG, T * l.BH * 2 * L::g, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemsetAsync(l.count, 0, 4, stream));
    aheadSteps = 2;
    int runs = 0;
    for (int n = 0; n < 40; n++)
        timeGraph([&] {
            l.clearY();
            l.template forward<true>(37 * n, 11 * n, 0);
            l.clearG();
            l.template backward<true, false>(29 * n, 13 * n, 0);
            countDifferent<<<132, 512, 0, stream>>>((u32 *)l.F.Y, (u32 *)l.keptY, (T + 1) * l.BH / 2, l.count);
            countDifferent<<<132, 512, 0, stream>>>((u32 *)l.F.dG, (u32 *)l.keptG, T * l.BH * L::g / 2, l.count);
        }, 25, 10), runs += 25 * 12;
    const u32 other = wordOf(l.count);
    l.say("soak", "%d runs there and back with 40 different pauses: %u words differ %s%s", runs, other, other ? "FAIL" : "ok", aborted());
}
// Two layers of 128 blocks each on two streams at once, nothing between them: does it end?
template <class L>
static void pair(L &l, L &m) {
    l.template checkBoth<false>();
    m.template checkBoth<false>();
    aheadSteps = 2;
    const cudaStream_t first = stream;
    cudaStream_t second;
    cudaEvent_t e[2];
    CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    for (auto &x : e) CHECK(cudaEventCreateWithFlags(&x, cudaEventDisableTiming));
    const double clear = timeGraph([&] { l.clearG(); m.clearG(); });
    const double us = timeGraph([&] {
        l.clearG();
        m.clearG();
        CHECK(cudaEventRecord(e[0], first));
        CHECK(cudaStreamWaitEvent(second, e[0]));
        l.template backward<false, false>(400, 200, 0);
        stream = second;
        m.template backward<false, false>(400, 200, 0);
        stream = first;
        CHECK(cudaEventRecord(e[1], second));
        CHECK(cudaStreamWaitEvent(first, e[1]));
    }, 10, 40);
    l.say("two launches at once", "of %d blocks each, 420 times in a graph: %.1f us the two%s", (int)L::Grid, us - clear, aborted());
    for (int i = 0; i < 200; i++) {
        l.clearG();
        m.clearG();
        CHECK(cudaDeviceSynchronize());
        l.template backward<false, false>(400, 200, 0);
        stream = second;
        m.template backward<false, false>(400, 200, 0);
        stream = first;
        CHECK(cudaDeviceSynchronize());
    }
    l.say("two launches at once", "outside a graph, 200 times%s", aborted());
}

int main(int argc, char **argv) {
    const std::string name = argc > 1 ? argv[1] : "";
    quick = argc > 2;
    tag = name;
    CHECK(cudaSetDevice(0));
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaMalloc(&abortWord, 256));
    CHECK(cudaMemset(abortWord, 0, 256));
    long long *warm = device<long long>(2);
    for (int i = 0; i < 60; i++) spin<<<132, 32, 0, stream>>>(warm);
    CHECK(cudaStreamSynchronize(stream));
#ifndef NORUN
    const std::vector<std::pair<int, int>> some = {{0, 0}, {400, 0}, {400, 200}, {400, 400}, {600, 0}, {600, 200}, {600, 400}, {800, 0}, {800, 200}, {800, 400}, {1000, 100}, {1000, 300}};
#define RUN(n, ...) if (name == n) { Layer<__VA_ARGS__> l; l.run(); }
    RUN("lstm128", 0, 128, 8, 16, 16)
    RUN("lstm256", 0, 256, 8, 16, 16)
    RUN("lstm256f8", 0, 256, 8, 8, 8)
    RUN("lstm384", 0, 384, 8, 16, 16)
    RUN("lstm512", 0, 512, 8, 16, 16)
    RUN("lstm512f8", 0, 512, 8, 8, 8)
    RUN("lstm512b32", 0, 512, 8, 16, 16, 32)
    RUN("lstm512r16b128", 0, 512, 16, 16, 16, 128)
    RUN("lstm512r16b128f8", 0, 512, 16, 8, 16, 128)
    RUN("lstm640", 0, 640, 16, 16, 16)
    RUN("lstm768", 0, 768, 16, 16, 16)
    RUN("lstm768f8", 0, 768, 16, 8, 16)
    RUN("lstm1024", 0, 1024, 16, 16, 16)
    RUN("lstm1024f8", 0, 1024, 16, 8, 16)
    RUN("lstm1024b32", 0, 1024, 8, 16, 16, 32)
    RUN("gru256", 1, 256, 8, 16, 8)
    RUN("gru512", 1, 512, 8, 16, 16)
    RUN("gru512f8", 1, 512, 8, 8, 16)
    RUN("gru1024", 1, 1024, 16, 16, 16)
    RUN("gru1024f8", 1, 1024, 16, 8, 16)
    RUN("rnn256", 2, 256, 8, 8, 8)
    RUN("rnn512", 2, 512, 8, 16, 16)
    RUN("rnn1024", 2, 1024, 16, 16, 16)
    if (name == "x512") { Layer<0, 512, 8, 16, 16> l; l.checkBoth<false>(); aheadSteps = 2; chunks(l, (decltype(&l))nullptr, 400, 300, 400, 200); }
#define DEPTH(n, ...) if (name == n) { Layer<__VA_ARGS__> l; ahead(l, {{0, 0}, {0, 100}, {0, 200}, {400, 0}, {400, 200}}); }
    DEPTH("d1024b32", 0, 1024, 8, 16, 16, 32)
    DEPTH("d1024b32-113", 0, 1024, 8, 16, 16, 32, true, 113)
    DEPTH("d1024b32-123", 0, 1024, 8, 16, 16, 32, true, 123)
    DEPTH("d768-21", 0, 768, 16, 16, 16, 64, true, 21)
    DEPTH("d768-113", 0, 768, 16, 16, 16, 64, true, 113)
    DEPTH("d640", 0, 640, 16, 16, 16)
    DEPTH("d640-113", 0, 640, 16, 16, 16, 64, true, 113)
    if (name == "hog512") { Layer<0, 512, 8, 16, 16> l; hogged(l); }
    if (name == "soak512") { Layer<0, 512, 8, 16, 16> l; soak(l); }
    if (name == "soak1024") { Layer<0, 1024, 16, 16, 16> l; soak(l); }
    if (name == "soakg512") { Layer<1, 512, 8, 16, 16> l; soak(l); }
    if (name == "pair512") { Layer<0, 512, 8, 16, 16> l, m; pair(l, m); }
    if (name == "x256") { Layer<0, 256, 8, 8, 8> l, m; l.checkBoth<false>(); aheadSteps = 2; chunks(l, &m, 0, 0, 0, 0); }
    if (name == "x512r16") { Layer<0, 512, 16, 16, 16> l, m; l.checkBoth<false>(); aheadSteps = 2; chunks(l, &m, 0, 300, 0, 200); }
    const std::vector<std::pair<int, int>> few = {{0, 0}, {0, 200}, {200, 0}, {200, 100}, {400, 0}, {400, 200}, {600, 100}, {600, 300}};
    if (name == "a512") { Layer<0, 512, 8, 16, 16> l; ahead(l, few); }
    if (name == "a1024") { Layer<0, 1024, 16, 16, 16> l; ahead(l, {{0, 0}, {0, 200}, {0, 400}}); }
    if (name == "ag512") { Layer<1, 512, 8, 16, 16> l; ahead(l, some); }
#endif
    return 0;
}
