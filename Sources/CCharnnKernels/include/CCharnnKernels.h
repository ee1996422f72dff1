// The vector kernels of the CPU engine.
//
// Each kernel exists once, in KernelBody.h, and is compiled at several levels of instruction set; a table of function
// pointers is one level. Which level runs is decided at run time. All matrices are row-major and packed.
//
// Every sum has a fixed order that depends on sizes and level only. NaN and infinity pass through every kernel, so that
// a diverged step shows in its loss.
//
// Letters: B rows of a batch, H units, g gates, V symbols; gates stand in PyTorch's order (i f g o; r z n). Gates apart are
// those whose recurrent sum stands inside a product, such as a GRU's n (gatesApart of NetworkPlan in CharnnEngine).
#ifndef CCHARNN_KERNELS_H
#define CCHARNN_KERNELS_H

#include "CCharnnProducts.h"

#include <stddef.h>
#include <stdint.h>

// One time step of a cell, forward.
typedef struct {
    size_t rows;   // B
    size_t units;  // H
    // [rows, gH], the product of the input and its weights; with `symbols`, row r is at symbols[r] instead.
    const float *_Nonnull input;
    const int32_t *_Nullable symbols;
    const float *_Nonnull recurrent;       // [rows, gH], the product of the hidden state before and its weights.
    const float *_Nonnull bias;            // [gH], both biases added, but for gates apart only the input's.
    const float *_Nullable candidateBias;  // [apart * H]: the recurrent bias of gates apart.
    float *_Nonnull gates;                 // [rows, gH], out, after activation; may be `input`. An RNN leaves it.
    float *_Nullable candidate;            // [rows, apart * H], out: recurrent sums of gates apart, with their bias.
    const float *_Nonnull hiddenBefore;    // [rows, H]
    const float *_Nullable cellBefore;     // [rows, H], LSTM
    float *_Nonnull hidden;                // [rows, H], out
    float *_Nullable cell;                 // [rows, H], LSTM, out
} CharnnCellForward;

// One time step of a cell, backward.
typedef struct {
    size_t rows;
    size_t units;
    float *_Nonnull gates;       // [rows, gH], in: activated gates (an RNN reads none), out: gradient before activation.
    float *_Nullable candidate;  // [rows, apart * H], in: as the forward step left it, out: its gradient.
    const float *_Nonnull hiddenBefore;
    const float *_Nonnull hidden;
    const float *_Nullable cellBefore;
    const float *_Nullable cell;
    const float *_Nonnull outputGradient;  // [rows, H], from the layer above or the head.
    // [rows, H], in: from the step after; out, where a part of the hidden state passes beside the weights: that part's.
    float *_Nonnull hiddenGradient;
    float *_Nullable cellGradient;           // [rows, H], LSTM, in: from the step after, out: to the step before.
    float *_Nonnull biasGradient;            // [gH], added to.
    float *_Nullable candidateBiasGradient;  // [apart * H], added to.
} CharnnCellBackward;

// One update of `count` parameters. What the fields mean is said at Optimizer and UpdateConstants in CharnnEngine.
typedef struct {
    size_t count;
    float *_Nonnull parameters;
    const float *_Nonnull gradient;
    float *_Nonnull first;
    float *_Nonnull second;
    float scale;  // The gradient is multiplied by this first (clipping).
    float learningRate;
    float beta1;
    float beta2;
    float epsilon;
    float momentum;
    float weightDecay;
    float stepSize;         // Adam: learningRate / (1 - beta1^n).
    float inverseRootBias;  // Adam: 1 / sqrt(1 - beta2^n).
    float oneMinusBeta1;
    float oneMinusBeta2;
} CharnnUpdate;

typedef struct {
    const char *_Nonnull name;
    // Vectorised functions, for tests. Stated errors, against correctly rounded results, over all finite inputs whose
    // result is a normal number: exp 2 ulp (inputs are clamped to -87.3...88.3), sigmoid 4 ulp, tanh 6 ulp.
    void (*_Nonnull exponential)(float *_Nonnull x, size_t count);
    void (*_Nonnull sigmoid)(float *_Nonnull x, size_t count);
    void (*_Nonnull tanh)(float *_Nonnull x, size_t count);

    void (*_Nonnull lstmForward)(const CharnnCellForward *_Nonnull);
    void (*_Nonnull gruForward)(const CharnnCellForward *_Nonnull);
    void (*_Nonnull rnnTanhForward)(const CharnnCellForward *_Nonnull);
    void (*_Nonnull rnnReluForward)(const CharnnCellForward *_Nonnull);
    void (*_Nonnull lstmBackward)(const CharnnCellBackward *_Nonnull);
    void (*_Nonnull gruBackward)(const CharnnCellBackward *_Nonnull);
    void (*_Nonnull rnnTanhBackward)(const CharnnCellBackward *_Nonnull);
    void (*_Nonnull rnnReluBackward)(const CharnnCellBackward *_Nonnull);

    // destination[i] = source[i] * scale where word (first + i) % 4 of the Philox block ((first + i) / 4, c1, c2, c3) is
    // at least `threshold`, else 0. `destination` may be `source`.
    void (*_Nonnull dropout)(float *_Nonnull destination, const float *_Nonnull source, size_t count, uint64_t first,
                             uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t threshold, float scale);

    // Adds `bias` [V] to `logits` [rows, V] and writes each row's cross-entropy in nats to `losses`. Logits become their
    // gradient times `scale`, which is added to `biasGradient` [V], too.
    void (*_Nonnull crossEntropy)(float *_Nonnull logits, const float *_Nonnull bias, const int32_t *_Nonnull targets,
                                  size_t rows, size_t symbols, float scale, float *_Nonnull losses,
                                  float *_Nonnull biasGradient);

    // Adds `bias` [V] to `logits` [rows, V] and writes each row's cross-entropy in nats at temperature k to
    // losses[k * stride + row]; the same bits as crossEntropy's at temperature 1.
    void (*_Nonnull scores)(float *_Nonnull logits, const float *_Nonnull bias, const int32_t *_Nonnull targets,
                            size_t rows, size_t symbols, const float *_Nonnull inverseTemperatures, size_t temperatures,
                            float *_Nonnull losses, size_t stride);

    // table[symbols[r], column...] += source[r, column...] for r = 0, 1, ... in that order; `width` columns, with rows
    // `stride` apart in both.
    void (*_Nonnull scatterAdd)(float *_Nonnull table, const float *_Nonnull source, const int32_t *_Nonnull symbols,
                                size_t rows, size_t width, size_t stride);

    void (*_Nonnull add)(float *_Nonnull destination, const float *_Nonnull source, size_t count);
    double (*_Nonnull sumOfSquares)(const float *_Nonnull x, size_t count);
    void (*_Nonnull adam)(const CharnnUpdate *_Nonnull);
    void (*_Nonnull adamw)(const CharnnUpdate *_Nonnull);
    void (*_Nonnull rmsprop)(const CharnnUpdate *_Nonnull);
    void (*_Nonnull sgd)(const CharnnUpdate *_Nonnull);
    void (*_Nonnull dynamic)(const CharnnUpdate *_Nonnull);
    // x += (goal - x) * rate, exactly `goal` where x is 0 and the rate 1.
    void (*_Nonnull approach)(float *_Nonnull x, const float *_Nonnull goal, size_t count, float rate);

    // result[s * stride + r] = sum over k of matrix[r, k] * vectors[s, k]; each element's sum has the same order
    // whatever `rows` and `streams` are.
    void (*_Nonnull matrixVector)(float *_Nonnull result, const float *_Nonnull matrix, const float *_Nonnull vectors,
                                  size_t rows, size_t columns, size_t streams, size_t stride);

    // With fp32 operands.
    CharnnProductKernels products;

    // Reads memory from end to end as fast as one thread can; the sum is added to `sink`.
    void (*_Nonnull read)(const float *_Nonnull x, size_t count, float *_Nonnull sink);
} CharnnKernels;

enum { CharnnLevelPlain = 0, CharnnLevelAVX2 = 1, CharnnLevelAVX512 = 2 };

// The kernels of a level, or NULL where this processor or this build has none.
const CharnnKernels *_Nullable charnn_kernels(int level);

// Whether the processor is AMD's and has AVX-512. OpenBLAS of some age, left alone, takes AVX2 kernels there.
int charnn_amds_avx512(void);

// The processor's name, at most 48 characters; empty where it does not tell.
void charnn_processor_name(char name[_Nonnull 49]);

// How many processors this process may be scheduled on; 1 where the system does not tell.
int charnn_affinity_count(void);

#endif
