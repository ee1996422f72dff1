// What the machine can do at most; part of KernelBody.h.

// Twelve chains hide the latency of two fused operations a cycle and fit 16 registers.
static double peak(size_t rounds, float *sink) {
    enum { CHAINS = 12, REPEATS = 16 };
    vf sums[CHAINS];
    // Not known to the compiler, so that nothing is worked out beforehand; near one, so that nothing overflows.
    const vf factor = splat(*sink * 1e-30f + 0.5f);
    UNROLL for (size_t i = 0; i < CHAINS; i++) sums[i] = splat((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL for (size_t repeat = 0; repeat < REPEATS; repeat++) {
            UNROLL for (size_t i = 0; i < CHAINS; i++) sums[i] = sums[i] * factor + factor;
        }
    }
    vf total = {0};
    UNROLL for (size_t i = 0; i < CHAINS; i++) total += sums[i];
    *sink += lane_sum(total);
    return (double)rounds * REPEATS * CHAINS * W * 2;
}

static void read_all(const float *x, size_t count, float *sink) {
    vf sums[8] = {{0}};
    size_t i = 0;
    for (; i + 8 * W <= count; i += 8 * W) {
        UNROLL for (size_t j = 0; j < 8; j++) sums[j] += load(x + i + j * W);
    }
    for (; i + W <= count; i += W) sums[0] += load(x + i);
    UNROLL for (size_t j = 1; j < 8; j++) sums[0] += sums[j];
    *sink += lane_sum(sums[0]);
}
