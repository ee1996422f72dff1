// The kernels of group.h on a CPU, each launched several times on the same buffers.
// g++ -O2 -std=c++17 -DEMU emu_group.cpp -o emulation && ./emulation
#define main emu_main
#include "emu.cpp"
#undef main
#include "group.h"
#include "fp32.h"

static void oldRepeated() {
    // The first prototype's backward, three times, wide and narrow.
    const int H = 256, B = 16, T = 9, P = H / 32, G = B / 8;
    const size_t BH = (size_t)B * H;
    clusterBlocks = P;
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<u16> WT(4 * H * H), gates(T * BH * 4), dG(T * BH * 4), kept;
    std::vector<float> C((T + 1) * BH), dY(T * BH);
    for (auto &x : WT) x = toHalf(2 * uniform(rng) / std::sqrt((float)H));
    for (auto &x : gates) x = toHalf(0.5f + 0.4f * uniform(rng));
    for (auto &x : C) x = uniform(rng);
    for (auto &x : dY) x = 0.1f * uniform(rng);
    std::vector<u32> slots((size_t)2 * G * P * P * 256, 0);
    u32 abortWord = 0;
    for (int narrow = 0; narrow < 2; narrow++)
        for (int run = 0; run < 3; run++) {
            std::fill(slots.begin(), slots.end(), 0u);
            BackwardArguments b = {WT.data(), gates.data(), C.data(), dY.data(), dG.data(), slots.data(), &abortWord, T, B, 0};
            if (narrow) launch(G * P, 512, BackwardSharedBytes, [=] { backwardBody<H, true, 0, 16, 0>(b); });
            else launch(G * P, 512, BackwardSharedBytes, [=] { backwardBody<H, false, 0, 16, 0>(b); });
            if (run == 0) kept = dG;
            printf("old backward, %s, run %d: %s, abort word %u\n", narrow ? "narrow" : "wide", run, kept == dG ? "same" : "DIFFERS", abortWord);
            failures += kept != dG;
        }
}
// The first prototype's forward when the abort word is set: must end.
static void oldAborted() {
    const int H = 256, B = 8, T = 9, P = H / 32;
    const size_t BH = (size_t)B * H;
    std::vector<u16> W(4 * H * H), xg(T * BH * 4), Y((T + 1) * BH), gates(T * BH * 4);
    std::vector<float> C((T + 1) * BH);
    u32 abortWord = 1;
    ForwardArguments f = {W.data(), xg.data(), Y.data(), C.data(), gates.data(), &abortWord, 0, T, B, 0, 0};
    launch(P, 512, ForwardShape<H>::SharedBytes, [=] { forwardBody<H, false, 0, 4, 0>(f); });
    printf("old forward with the abort word set: ended\n");
}

// "Computing only" (mode 1: no waiting for data): must end.
static void oldUnwaiting() {
    const int H = 256, B = 8, T = 9, P = H / 32;
    const size_t BH = (size_t)B * H;
    std::vector<u16> W(4 * H * H), xg(T * BH * 4), Y((T + 1) * BH), gates(T * BH * 4);
    std::vector<float> C((T + 1) * BH);
    u32 abortWord = 0;
    ForwardArguments f = {W.data(), xg.data(), Y.data(), C.data(), gates.data(), &abortWord, 0, T, B, 0, 0};
    launch(P, 512, ForwardShape<H>::SharedBytes, [=] { forwardBody<H, false, 1, 4, 0>(f); });
    printf("old forward without waiting: ended\n");
}
static float sig(float x) { return 1 / (1 + std::exp(-x)); }
template <int type, int H, int R, int warpsF, int warpsB, bool probe, bool tiled = false> static void recur(int G, int T, int pauseIdle) {
    // type 0 LSTM, 1 GRU, 2 RNN
    const int B = G * R, P = H / 32, g = type == 0 ? 4 : type == 1 ? 3 : 1, xs = type == 2 ? 1 : 4;
    const size_t BH = (size_t)B * H;
    constexpr int back = type == 0 ? LSTMBack : type == 1 ? GRUBack : RNNBack;
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<u16> W((size_t)g * H * H), WT((size_t)g * H * H), xg(T * BH * xs), Y((T + 1) * BH, 0xFFFF), gates(T * BH * 4, 0xFFFF), dG(T * BH * g, 0xFFFF), dN(T * BH, 0xFFFF), keptY, keptG;
    std::vector<float> C((T + 1) * BH, NAN), dY(T * BH), bias(H);
    for (int r = 0; r < g * H; r++) for (int k = 0; k < H; k++) WT[(size_t)k * g * H + r] = W[(size_t)r * H + k] = toHalf(2 * uniform(rng) / std::sqrt((float)H));
    for (auto &x : xg) x = toHalf(0.7f * normal(rng));
    for (auto &x : dY) x = 0.1f * normal(rng);
    for (auto &x : bias) x = 0.3f * normal(rng);
    for (size_t i = 0; i < BH; i++) { Y[i] = toHalf(0.9f * uniform(rng)); C[i] = uniform(rng); }
    u32 abortWord = 0;
    printf("type %d H %d R %d G %d T %d, warps %d %d probe %d\n", type, H, R, G, T, warpsF, warpsB, probe);
    std::vector<float> carryOut(BH);
    std::vector<u16> exchange((T + 1) * BH * g, 0xFFFF);
    u16 *E = exchange.data();
    GroupArguments a = {W.data(), xg.data(), bias.data(), Y.data(), C.data(), gates.data(), dY.data(), dG.data(), E, dN.data(), &abortWord, carryOut.data(), T, B, 0, T, pauseIdle, 0, 0, 0, -1, 0};
    GroupArguments b = a;
    b.W = WT.data();
    for (int run = 0; run < 2; run++) {
        std::fill(Y.begin() + BH, Y.end(), 0xFFFF);
        std::fill(exchange.begin(), exchange.end(), 0xFFFF);
        for (size_t i = 0; i < BH; i++) { const size_t r = i / H, u = i % H; E[((r / 8) * (H / 32) + u / 32) * 256 + r % 8 * 32 + u % 32] = Y[i]; }
        if constexpr (type == 0) launch(G * P, 32 * warpsF, GatedShape<LSTMForward, H, R, warpsF>::SharedBytes, [=] { gatedForwardBody<LSTMForward, H, R, warpsF, false, tiled>(a); });
        if constexpr (type == 1) launch(G * P, 32 * warpsF, GatedShape<GRUForward, H, R, warpsF>::SharedBytes, [=] { gatedForwardBody<GRUForward, H, R, warpsF, false, tiled>(a); });
        if constexpr (type == 2) launch(G * P, 32 * warpsF, DirectShape<RNNForward, H, R, warpsF>::SharedBytes, [=] { directBody<RNNForward, H, R, warpsF, false, probe, tiled>(a); });
        std::fill(dG.begin(), dG.end(), 0xFFFF);
        std::fill(exchange.begin(), exchange.end(), 0xFFFF);
        launch(G * P, 32 * warpsB, DirectShape<back, H, R, warpsB>::SharedBytes, [=] { directBody<back, H, R, warpsB, false, probe, tiled>(b); });
        if (run == 0) keptY = Y, keptG = dG;
        else check("again: words that differ", keptY != Y || keptG != dG, 0.5);
    }
    // Reference
    std::vector<float> rY((T + 1) * BH), rC((T + 1) * BH), rg(T * BH * 4), rdG(T * BH * g), rdN(T * BH);
    for (size_t i = 0; i < BH; i++) { rY[i] = fromHalf(Y[i]); rC[i] = C[i]; }
    std::vector<float> Wf = floats(W);
    for (int t = 0; t < T; t++) for (int r = 0; r < B; r++) for (int u = 0; u < H; u++) {
        float s[4] = {}, x[4] = {};
        const size_t at = t * BH + (size_t)r * H + u;
        for (int q = 0; q < g; q++) {
            x[q] = fromHalf(xg[at * xs + q]);
            for (int k = 0; k < H; k++) s[q] += Wf[(size_t)(g * u + q) * H + k] * rY[t * BH + (size_t)r * H + k];
        }
        if (type == 0) {
            const float i = sig(x[0] + s[0]), f = sig(x[1] + s[1]), n = std::tanh(x[2] + s[2]), o = sig(x[3] + s[3]);
            rC[at + BH] = f * rC[at] + i * n;
            rY[at + BH] = o * std::tanh(rC[at + BH]);
            rg[at * 4] = i; rg[at * 4 + 1] = f; rg[at * 4 + 2] = n; rg[at * 4 + 3] = o;
        } else if (type == 1) {
            const float rr = sig(x[0] + s[0]), z = sig(x[1] + s[1]), m = s[2] + bias[u], n = std::tanh(x[2] + rr * m);
            rY[at + BH] = (1 - z) * n + z * rY[at];
            rg[at * 4] = rr; rg[at * 4 + 1] = z; rg[at * 4 + 2] = n; rg[at * 4 + 3] = m;
        } else rY[at + BH] = std::tanh(x[0] + s[0]);
    }
    check("Y", relative(floats(Y), rY), 2e-3);
    if (type == 0) check("C", relative(C, rC), 2e-3);
    if (type != 2) check("gates", relative(floats(gates), rg), 2e-3);
    std::vector<float> carry(BH, 0), next(BH, 0);
    for (int t = T - 1; t >= 0; t--) {
        for (size_t j = 0; j < BH; j++) {
            const size_t at = t * BH + j;
            float d = dY[at] + next[j];
            if (type == 0) {
                const float i = rg[at * 4], ff = rg[at * 4 + 1], n = rg[at * 4 + 2], o = rg[at * 4 + 3], tc = std::tanh(rC[at + BH]);
                const float dc = carry[j] + d * o * (1 - tc * tc);
                rdG[at * 4] = dc * n * i * (1 - i); rdG[at * 4 + 1] = dc * rC[at] * ff * (1 - ff); rdG[at * 4 + 2] = dc * i * (1 - n * n); rdG[at * 4 + 3] = d * tc * o * (1 - o);
                carry[j] = dc * ff;
            } else if (type == 1) {
                d += carry[j];
                const float r = rg[at * 4], z = rg[at * 4 + 1], n = rg[at * 4 + 2], m = rg[at * 4 + 3];
                const float dn = d * (1 - z) * (1 - n * n);
                rdN[at] = dn; rdG[at * 3 + 2] = dn * r; rdG[at * 3] = dn * m * r * (1 - r); rdG[at * 3 + 1] = d * (rY[at] - n) * z * (1 - z);
                carry[j] = d * z;
            } else rdG[at] = d * (1 - rY[at + BH] * rY[at + BH]);
        }
        for (int r = 0; r < B; r++) {
            float *to = &next[(size_t)r * H];
            std::fill(to, to + H, 0.f);
            for (int j = 0; j < g * H; j++) { const float d = rdG[(t * BH + (size_t)r * H) * g + j]; for (int u = 0; u < H; u++) to[u] += d * Wf[(size_t)j * H + u]; }
        }
    }
    check("dG", relative(floats(dG), rdG), 4e-3);
    if (type == 1) check("dN", relative(floats(dN), rdN), 4e-3);
    check("abort word", abortWord, 0.5);
    printf("  %.1f M switches\n", yields * 1e-6);
    fflush(stdout);
}
// One block stops: the others must end and the word be set.
template <int type> static void stopped(int stopBlock, int stopStep) {
    const int H = 256, R = 8, B = 8, T = 40, P = H / 32;
    const size_t BH = (size_t)B * H;
    std::vector<u16> W(4 * H * H, 0x1000), xg(T * BH * 4, 0), Y((T + 1) * BH, 0xFFFF), gates(T * BH * 4, 0x2000), dG(T * BH * 4, 0xFFFF), dN(T * BH);
    std::vector<float> C((T + 1) * BH, 0.5f), dY(T * BH, 0.1f), bias(H);
    std::fill(Y.begin(), Y.begin() + BH, 0);
    u32 abortWord = 0;
    std::vector<float> carryOut(BH);
    u16 *E = nullptr;
    GroupArguments a = {W.data(), xg.data(), bias.data(), Y.data(), C.data(), gates.data(), dY.data(), dG.data(), E, dN.data(), &abortWord, carryOut.data(), T, B, 0, T, 0, 0, 0, 0, stopBlock, stopStep};
    if (type == 0) launch(P, 512, GatedShape<LSTMForward, H, R, 16>::SharedBytes, [=] { gatedForwardBody<LSTMForward, H, R, 16, false, false>(a); });
    else launch(P, 512, DirectShape<LSTMBack, H, R, 16>::SharedBytes, [=] { directBody<LSTMBack, H, R, 16, false, false, false>(a); });
    printf("block %d stopped at step %d, %s: ended, abort word %u %s\n", stopBlock, stopStep, type ? "back" : "forward", abortWord, abortWord ? "ok" : "FAIL");
    failures += !abortWord;
}

template <int H> static void strict(int G, int T) {
    const int B = G * 8, P = H / 32;
    const size_t BH = (size_t)B * H;
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> W(4 * H * H), xg(T * BH * 4), E((T + 1) * BH), E2(T * BH * 4), Y((T + 1) * BH, NAN), C((T + 1) * BH, NAN), gates(T * BH * 4, NAN), dY(T * BH), dG(T * BH * 4, NAN);
    for (auto &x : W) x = 2 * uniform(rng) / std::sqrt((float)H);
    for (auto &x : xg) x = 0.7f * normal(rng);
    for (auto &x : dY) x = 0.1f * normal(rng);
    memset(E.data(), 0xFF, E.size() * 4);
    memset(E2.data(), 0xFF, E2.size() * 4);
    for (size_t i = 0; i < BH; i++) { const size_t r = i / H, u = i % H; Y[i] = 0.9f * uniform(rng); C[i] = uniform(rng); E[(r / 8 * P + u / 32) * 256 + u % 32 * 8 + r % 8] = Y[i]; }
    u32 abortWord = 0;
    FloatArguments a = {W.data(), xg.data(), E.data(), Y.data(), C.data(), gates.data(), dY.data(), dG.data(), &abortWord, T, B, 0, 0, 0}, b = a;
    b.E = E2.data();
    printf("fp32 H %d G %d T %d\n", H, G, T);
    launch(G * P, 512, FloatShape<H>::ForwardBytes, [=] { floatForwardBody<H>(a); });
    launch(G * P, 512, FloatShape<H>::BackBytes, [=] { floatBackBody<H>(b); });
    std::vector<float> rY(Y), rC(C), rdG(T * BH * 4), carry(BH, 0), next(BH, 0), rg(T * BH * 4);
    for (int t = 0; t < T; t++) for (int r = 0; r < B; r++) for (int u = 0; u < H; u++) {
        double s[4];
        const size_t at = t * BH + (size_t)r * H + u;
        for (int q = 0; q < 4; q++) { s[q] = xg[at * 4 + q]; for (int k = 0; k < H; k++) s[q] += (double)W[(size_t)(4 * u + q) * H + k] * rY[t * BH + (size_t)r * H + k]; }
        const float i = sig(s[0]), f = sig(s[1]), n = std::tanh(s[2]), o = sig(s[3]);
        rC[at + BH] = f * rC[at] + i * n;
        rY[at + BH] = o * std::tanh(rC[at + BH]);
        rg[at * 4] = i; rg[at * 4 + 1] = f; rg[at * 4 + 2] = n; rg[at * 4 + 3] = o;
    }
    for (int t = T - 1; t >= 0; t--) {
        for (size_t j = 0; j < BH; j++) {
            const size_t at = t * BH + j;
            const float i = rg[at * 4], f = rg[at * 4 + 1], n = rg[at * 4 + 2], o = rg[at * 4 + 3], tc = std::tanh(rC[at + BH]), d = dY[at] + next[j], dc = carry[j] + d * o * (1 - tc * tc);
            rdG[at * 4] = dc * n * i * (1 - i); rdG[at * 4 + 1] = dc * rC[at] * f * (1 - f); rdG[at * 4 + 2] = dc * i * (1 - n * n); rdG[at * 4 + 3] = d * tc * o * (1 - o);
            carry[j] = dc * f;
        }
        for (int r = 0; r < B; r++) for (int u = 0; u < H; u++) next[(size_t)r * H + u] = 0;
        for (int r = 0; r < B; r++) for (int j = 0; j < 4 * H; j++) { const float d = rdG[(t * BH + (size_t)r * H) * 4 + j]; for (int u = 0; u < H; u++) next[(size_t)r * H + u] += d * W[(size_t)j * H + u]; }
    }
    check("Y", relative(Y, rY), 2e-6);
    check("C", relative(C, rC), 2e-6);
    check("gates", relative(gates, rg), 2e-6);
    check("dG", relative(dG, rdG), 4e-6);
    check("abort word", abortWord, 0.5);
}

int main(int argc, char **argv) {
    const int which = argc > 1 ? atoi(argv[1]) : 0;
    if (which == 1) oldRepeated();
    if (which == 2) oldAborted();
    if (which == 13) oldUnwaiting();
    if (which == 0 || which == 3) recur<0, 256, 8, 16, 16, false>(2, 5, 0);
    if (which == 0 || which == 4) recur<1, 256, 8, 16, 8, true>(1, 5, 0);
    if (which == 0 || which == 5) recur<2, 256, 8, 8, 8, false>(2, 5, 0);
    if (which == 0 || which == 6) recur<0, 512, 8, 16, 16, true>(1, 4, 0);
    if (which == 0 || which == 7) recur<1, 512, 8, 16, 16, false>(1, 4, 0);
    if (which == 0 || which == 8) recur<2, 512, 8, 16, 16, false>(1, 4, 0);
    if (which == 15) { recur<0, 256, 16, 8, 16, false, true>(1, 4, 0); recur<1, 256, 8, 8, 8, false, true>(1, 4, 0); recur<0, 384, 8, 16, 16, false, true>(1, 4, 0); }
    if (which == 16) { recur<0, 640, 16, 16, 16, false, true>(1, 3, 0); recur<0, 768, 16, 8, 16, false, true>(1, 3, 0); }
    if (which == 17) { strict<256>(1, 4); strict<512>(1, 3); }
    if (which == 14) { recur<0, 256, 8, 16, 16, false, true>(2, 4, 0); recur<1, 256, 8, 16, 8, false, true>(1, 4, 0); recur<0, 256, 16, 16, 16, false, true>(1, 4, 0); recur<2, 256, 8, 8, 8, false, true>(2, 4, 0); }
    if (which == 9) recur<0, 1024, 16, 16, 16, false>(1, 3, 0);
    if (which == 10) recur<1, 1024, 16, 16, 16, false>(1, 3, 0);
    if (which == 11) recur<2, 1024, 16, 16, 16, false>(1, 3, 0);
    if (which == 0 || which == 12) { stopped<0>(3, 7); stopped<1>(5, 9); }
    printf(failures ? "FAILED\n" : "all ok\n");
    return failures != 0;
}
