// All kernels, written once for vectors of W floats. The file that includes this one has set W, TILE_ROWS and
// PANEL_VECTORS (the tile of sums that fits the registers), LEVEL_NAME, LEVEL_TABLE and INTERLEAVE, and the instruction set its functions are compiled for.
//
// A multiplication and an addition in one expression become one fused operation where the level has it
// (-ffp-contract=on, clang's default).

#include "CCharnnKernels.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint64_t vu64 __attribute__((vector_size(W * 8)));
typedef double vd __attribute__((vector_size(W * 8)));
typedef float vf_unaligned __attribute__((vector_size(W * 4), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vf splat(float x) { return x - (vf){0}; }

// The first n lanes; with n == W known to the compiler, one instruction.
INLINE vf load_n(const float *p, size_t n) {
    if (n == W) return load(p);
    vf v = {0};
    memcpy(&v, p, n * sizeof(float));
    return v;
}

INLINE void store_n(float *p, vf v, size_t n) {
    if (n == W) {
        store(p, v);
    } else {
        memcpy(p, &v, n * sizeof(float));
    }
}

// mask ? a : b
INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

// x within least ... most; NaN stays NaN.
INLINE vf clamp(vf x, float least, float most) {
    x = choose(x > splat(most), splat(most), x);
    return choose(x < splat(least), splat(least), x);
}

// Runs BLOCK(j, n) over 0..<count in vectors and a remainder.
#define OVER(count, BLOCK)                                              \
    do {                                                                \
        size_t j_ = 0;                                                  \
        for (; j_ + W <= (count); j_ += W) BLOCK(j_, (size_t)W);        \
        if (j_ < (count)) BLOCK(j_, ((count) - j_));                    \
    } while (0)

// MARK: - Functions

// exp(x): x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) as a polynomial (Cephes' expf), times 2^n. Comparisons let NaN
// pass. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits, with no undefined conversion.
INLINE vf exp_v(vf x) {
    x = clamp(x, -87.3f, 88.3f);
    vf t = x * 1.44269504088896341f + 12582912.0f;
    vf n = t - 12582912.0f;
    vf r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    vu scale = ((vu)t - 0x4B400000u + 127u) << 23;
    return p * (vf)scale;
}

#ifndef RECIPROCAL
#define RECIPROCAL(x) (1.0f / (x))
#endif

INLINE vf sigmoid_v(vf x) { return RECIPROCAL(1.0f + exp_v(-x)); }

// tanh(x) = x P(x^2) / Q(x^2), fitted to the least relative error (2.1e-8) over |x| <= 9.02, from where on tanh is 1 in
// single precision and the quotient rises beyond 1, where it is cut. Comparisons let NaN pass.
INLINE vf tanh_v(vf x) {
    vf a = clamp(x, -9.5f, 9.5f);
    vf z = a * a;
    vf p = z * 1.3319099e-8f + 2.0583511e-5f;
    p = p * z + 3.4940369e-3f;
    p = p * z + 1.33797201e-1f;
    p = p * z + 9.9999998e-1f;
    vf q = z * 7.7620338e-7f + 3.2830963e-4f;
    q = q * z + 2.5871082e-2f;
    q = q * z + 4.6713035e-1f;
    q = q * z + 1.0f;
    return clamp(a * p * RECIPROCAL(q), -1, 1);
}

static void exponential(float *x, size_t count) {
#define BLOCK(j, n) store_n(x + j, exp_v(load_n(x + j, n)), n)
    OVER(count, BLOCK);
#undef BLOCK
}

static void sigmoid(float *x, size_t count) {
#define BLOCK(j, n) store_n(x + j, sigmoid_v(load_n(x + j, n)), n)
    OVER(count, BLOCK);
#undef BLOCK
}

static void tanh_all(float *x, size_t count) {
#define BLOCK(j, n) store_n(x + j, tanh_v(load_n(x + j, n)), n)
    OVER(count, BLOCK);
#undef BLOCK
}

// MARK: - Reductions and small things

// Lanes are added pairwise from the ends inwards: one order for a given W.
INLINE float lane_sum(vf v) {
    float lanes[W];
    memcpy(lanes, &v, sizeof v);
    for (size_t width = W / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++) lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

INLINE float lane_max(vf v) {
    float largest = v[0];
    for (size_t i = 1; i < W; i++) largest = v[i] > largest ? v[i] : largest;
    return largest;
}

static void add(float *destination, const float *source, size_t count) {
#define BLOCK(j, n) store_n(destination + j, load_n(destination + j, n) + load_n(source + j, n), n)
    OVER(count, BLOCK);
#undef BLOCK
}

static double sum_of_squares(const float *x, size_t count) {
    vd total = {0};
#define BLOCK(j, n)                                            \
    do {                                                       \
        vd v_ = __builtin_convertvector(load_n(x + j, n), vd); \
        total += v_ * v_;                                      \
    } while (0)
    OVER(count, BLOCK);
#undef BLOCK
    double sum = 0;
    for (size_t i = 0; i < W; i++) sum += total[i];
    return sum;
}

static void scatter_add(float *table, const float *source, const int32_t *symbols, size_t rows, size_t width,
                        size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        add(table + (size_t)symbols[r] * stride, source + r * stride, width);
    }
}

// Four rows at a time share the loads of the vector; a row's sum is that of its W lanes, whatever runs beside it.
static void matrix_vector(float *result, const float *matrix, const float *vectors, size_t rows, size_t columns,
                          size_t streams, size_t stride) {
    for (size_t r = 0; r < rows; r += 4) {
        size_t group = rows - r < 4 ? rows - r : 4;
        const float *m0 = matrix + r * columns;
        const float *m1 = m0 + (group > 1 ? columns : 0);
        const float *m2 = m0 + (group > 2 ? 2 * columns : 0);
        const float *m3 = m0 + (group > 3 ? 3 * columns : 0);
        for (size_t s = 0; s < streams; s++) {
            const float *x = vectors + s * columns;
            vf a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0};
#define BLOCK(j, n)                             \
    do {                                        \
        vf x_ = load_n(x + j, n);               \
        a0 = load_n(m0 + j, n) * x_ + a0;       \
        a1 = load_n(m1 + j, n) * x_ + a1;       \
        a2 = load_n(m2 + j, n) * x_ + a2;       \
        a3 = load_n(m3 + j, n) * x_ + a3;       \
    } while (0)
            OVER(columns, BLOCK);
#undef BLOCK
            float sums[4] = {lane_sum(a0), lane_sum(a1), lane_sum(a2), lane_sum(a3)};
            memcpy(result + s * stride + r, sums, group * sizeof(float));
        }
    }
}

#include "KernelCells.h"
#include "KernelProducts.h"
#include "KernelTraining.h"
#include "KernelMeasures.h"

const CharnnKernels LEVEL_TABLE = {
    .name = LEVEL_NAME,
    .exponential = exponential,
    .sigmoid = sigmoid,
    .tanh = tanh_all,
    CELL_KERNELS
    .dropout = dropout,
    .crossEntropy = cross_entropy,
    .scores = scores,
    .scatterAdd = scatter_add,
    .add = add,
    .sumOfSquares = sum_of_squares,
    .adam = adam,
    .adamw = adamw,
    .rmsprop = rmsprop,
    .sgd = sgd,
    .dynamic = dynamic,
    .approach = approach,
    .matrixVector = matrix_vector,
    .products = {
        .depth = 1,
        .panel = PANEL,
        .tileRows = TILE_ROWS,
        .pack = pack,
        .multiply = multiply,
        .peak = peak,
    },
    .read = read_all,
};
