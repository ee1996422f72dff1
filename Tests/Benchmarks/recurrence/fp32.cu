// Checks and times fp32.h: ./fp32 512 or 256
#define NORUN
#define main group_main
#include "group.cu"
#undef main
#include "fp32.h"
template <int H> __global__ void __launch_bounds__(512, 1) floatForward(const __grid_constant__ FloatArguments a) { floatForwardBody<H>(a); }
template <int H> __global__ void __launch_bounds__(512, 1) floatBack(const __grid_constant__ FloatArguments a) { floatBackBody<H>(a); }
// fp64 sums; all as [b][u]
__global__ void exactForward(const float *W, const float *xg, const double *hb, double *h, const double *cb, double *c, double *gates, int H) {
    const int b = threadIdx.x, u = blockIdx.x;
    double z[4];
    const size_t at = (size_t)b * H + u;
    for (int q = 0; q < 4; q++) {
        z[q] = xg[at * 4 + q];
        for (int k = 0; k < H; k++) z[q] += (double)W[(size_t)(4 * u + q) * H + k] * hb[(size_t)k * 64 + b];
    }
    const double i = 1 / (1 + exp(-z[0])), f = 1 / (1 + exp(-z[1])), n = tanh(z[2]), o = 1 / (1 + exp(-z[3])), x = f * cb[(size_t)u * 64 + b] + i * n;
    c[(size_t)u * 64 + b] = x;
    h[(size_t)u * 64 + b] = o * tanh(x);
    double *g = gates + ((size_t)u * 64 + b) * 4;
    g[0] = i, g[1] = f, g[2] = n, g[3] = o;
}
__global__ void exactBack(const float *W, const double *gates, const double *cb, const double *c, const float *dY, const double *after, double *carry, double *dG, int H) {
    const int b = threadIdx.x, u = blockIdx.x;
    double dh = dY[(size_t)b * H + u];
    if (after) for (int j = 0; j < 4 * H; j++) dh += after[(size_t)j * 64 + b] * W[(size_t)j * H + u];
    const size_t at = (size_t)u * 64 + b;
    const double *g = gates + at * 4, i = g[0], f = g[1], n = g[2], o = g[3], tc = tanh(c[at]), d = (after ? carry[at] : 0) + dh * o * (1 - tc * tc);
    double *to = dG + (size_t)(4 * u) * 64 + b;
    to[0] = d * n * i * (1 - i), to[64] = d * cb[at] * f * (1 - f), to[128] = d * i * (1 - n * n), to[192] = dh * tc * o * (1 - o);
    carry[at] = d * f;
}
__global__ void distance(const float *out, const double *ref, double *sums, int H, int n) {
    const int b = threadIdx.x, u = blockIdx.x;
    double d = 0, r2 = 0;
    for (int q = 0; q < n; q++) {
        const double x = out[((size_t)b * H + u) * n + q], r = ref[(size_t)(n * u + q) * 64 + b];
        d += (x - r) * (x - r), r2 += r * r;
    }
    atomicAdd(sums, d), atomicAdd(sums + 1, r2);
}
template <int H> static void all() {
    const int B = 64, P = H / 32, G = 8;
    const size_t BH = (size_t)B * H;
    std::mt19937 rng(H);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> W((size_t)4 * H * H), xg(T * BH * 4), E0(BH), Y0(BH), C0(BH), dY(T * BH);
    std::vector<double> h0(BH), c0(BH);
    for (auto &x : W) x = 1.5f * uniform(rng) / std::sqrt((float)H);
    for (auto &x : xg) x = 0.7f * normal(rng);
    for (auto &x : dY) x = 0.1f * normal(rng);
    for (size_t i = 0; i < BH; i++) {
        const size_t r = i / H, u = i % H;
        Y0[i] = 0.9f * uniform(rng), C0[i] = uniform(rng);
        E0[(r / 8 * P + u / 32) * 256 + u % 32 * 8 + r % 8] = Y0[i];
        h0[u * 64 + r] = Y0[i], c0[u * 64 + r] = C0[i];
    }
    FloatArguments F = {upload(W), upload(xg), upload(E0, (T + 1) * BH), upload(Y0, (T + 1) * BH), upload(C0, (T + 1) * BH), device<float>(T * BH * 4), upload(dY), device<float>(T * BH * 4), abortWord, T, B, 0, 0, 2}, K = F;
    K.E = device<float>(T * BH * 4);
    float *keptY = device<float>((T + 1) * BH), *keptG = device<float>(T * BH * 4);
    double *rh = upload(h0, (T + 1) * BH), *rc = upload(c0, (T + 1) * BH), *rg = device<double>(T * BH * 4), *rd = device<double>(T * BH * 4), *carry = device<double>(BH), *sums = device<double>(2);
    u32 *count = device<u32>(1);
    for (int t = 0; t < T; t++) exactForward<<<H, 64, 0, stream>>>(F.W, F.xg + t * BH * 4, rh + t * BH, rh + (t + 1) * BH, rc + t * BH, rc + (t + 1) * BH, rg + t * BH * 4, H);
    for (int t = T - 1; t >= 0; t--) exactBack<<<H, 64, 0, stream>>>(F.W, rg + t * BH * 4, rc + t * BH, rc + (t + 1) * BH, F.dY + t * BH, t < T - 1 ? rd + (t + 1) * BH * 4 : nullptr, carry, rd + t * BH * 4, H);
    CHECK(cudaGetLastError());
    CHECK(cudaStreamSynchronize(stream));
    auto error = [&](const float *out, const double *ref, int n) {
        CHECK(cudaMemsetAsync(sums, 0, 16, stream));
        for (int t = 0; t < T; t++) distance<<<H, 64, 0, stream>>>(out + t * BH * n, ref + t * BH * n, sums, H, n);
        double s[2];
        CHECK(cudaStreamSynchronize(stream));
        CHECK(cudaMemcpy(s, sums, 16, cudaMemcpyDeviceToHost));
        return std::sqrt(s[0] / s[1]);
    };
    allow(floatForward<H>, FloatShape<H>::ForwardBytes);
    allow(floatBack<H>, FloatShape<H>::BackBytes);
    auto clearY = [&] { CHECK(cudaMemsetAsync(F.E + BH, 0xFF, T * BH * 4, stream)); };
    auto clearG = [&] { CHECK(cudaMemsetAsync(K.E, 0xFF, T * BH * 16, stream)); };
    auto forward = [&](int idle, int cell, int ahead) { FloatArguments a = F; a.pauseIdle = idle, a.pauseCell = cell, a.ahead = ahead; launch(floatForward<H>, P * G, FloatShape<H>::ForwardBytes, a, 512); };
    auto back = [&](int idle, int cell, int ahead) { FloatArguments a = K; a.pauseIdle = idle, a.pauseCell = cell, a.ahead = ahead; launch(floatBack<H>, P * G, FloatShape<H>::BackBytes, a, 512); };
    clearY();
    forward(0, 0, 2);
    const char *ab = aborted();
    const double y = error(F.Y + BH, rh + BH, 1), c = error(F.C + BH, rc + BH, 1);
    printf("fp32 H %d forward error Y %.2e C %.2e%s %s\n", H, y, c, ab, y < 3e-6 && c < 3e-6 ? "ok" : "FAIL");
    clearG();
    back(0, 0, 2);
    ab = aborted();
    const double d = error(K.dG, rd, 4);
    printf("fp32 H %d backward error dG %.2e%s %s\n", H, d, ab, d < 5e-6 ? "ok" : "FAIL");
    CHECK(cudaMemcpyAsync(keptY, F.Y, (T + 1) * BH * 4, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpyAsync(keptG, K.dG, T * BH * 16, cudaMemcpyDeviceToDevice, stream));
    const double cy = timeGraph(clearY, 8), cg = timeGraph(clearG, 8);
    printf("fp32 H %d memsets %.2f, %.2f us\n", H, cy, cg);
    for (int which = 0; which < 2; which++) {
        std::string line;
        double best = 1e9;
        for (int ahead : {0, 2, 4})
            for (int idle : {0, 400, 800})
                for (int cell : {0, 300}) {
                    const double us = timeGraph([&] { if (which) { clearG(); back(idle, cell, ahead); } else { clearY(); forward(idle, cell, ahead); } }, 4, 7);
                    best = std::min(best, us);
                    char text[60];
                    snprintf(text, sizeof text, " %d:%d,%d=%.3f", ahead, idle, cell, (us - (which ? cg : cy)) / T);
                    line += text;
                }
        printf("fp32 H %d %s us a step by ahead:idle,cell%s; best with memset %.3f%s\n", H, which ? "BACKWARD" : "FORWARD", line.c_str(), best / T, aborted());
        const double us = timeGraph([&] { if (which) back(0, 0, 2); else forward(0, 0, 2); });
        printf("fp32 H %d %s, all there already: %.3f us a step\n", H, which ? "backward" : "forward", us / T);
    }
    CHECK(cudaMemsetAsync(count, 0, 4, stream));
    for (int n = 0; n < 10; n++)
        timeGraph([&] {
            clearY();
            forward(40 * n, 20 * n, 2);
            clearG();
            back(40 * n, 20 * n, 2);
            countDifferent<<<132, 512, 0, stream>>>((u32 *)F.Y, (u32 *)keptY, (T + 1) * BH, count);
            countDifferent<<<132, 512, 0, stream>>>((u32 *)K.dG, (u32 *)keptG, T * BH * 4, count);
        }, 10, 4);
    const u32 other = wordOf(count);
    printf("fp32 H %d 600 runs there and back: %u words differ %s%s\n", H, other, other ? "FAIL" : "ok", aborted());
}
int main(int argc, char **argv) {
    CHECK(cudaSetDevice(0));
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaMalloc(&abortWord, 256));
    CHECK(cudaMemset(abortWord, 0, 256));
    long long *warm = device<long long>(2);
    for (int i = 0; i < 60; i++) spin<<<132, 32, 0, stream>>>(warm);
    CHECK(cudaStreamSynchronize(stream));
    if (argc > 1 && atoi(argv[1]) == 512) all<512>();
    if (argc > 1 && atoi(argv[1]) == 256) all<256>();
    return 0;
}
