// What the kernels are given: one structure each, the same for Swift, for CUDA and for the emulation in Tests.
//
// Letters: V symbols, E embedding size, H units, L layers, g gates, B streams, T time steps, N = T * B rows, time-major: the
// row of stream b at time t is t * B + b. "Op" is the type of the products' operands, fp32 or fp16; everything else is fp32.
// A stride is the distance of rows in numbers. Strides of fp16 matrices are multiples of 32, and what lies between the
// columns and the stride is zero.
#ifndef CHARNN_CUDA_ARGUMENTS_H
#define CHARNN_CUDA_ARGUMENTS_H

// An address in the device's memory; 0: not given.
typedef unsigned long long CharnnAddress;

enum {
    // Threads of a block of each kernel.
    CharnnProductThreads = 128,
    CharnnWideProductThreads = 256,
    CharnnFloatProductThreads = 256,
    CharnnForwardThreads = 128,
    CharnnBackwardThreads = 256,
    CharnnRowThreads = 256,
    CharnnConcludeThreads = 256,

    // The part of a product that a block makes, and the depth that it takes at a time.
    CharnnProductTile = 64,
    CharnnWideProductTile = 128,
    CharnnProductDepth = 32,
    CharnnFloatProductTile = 64,
    CharnnFloatProductDepth = 16,

    // Rows and units of a block of a time step.
    CharnnStepRows = 32,
    CharnnForwardUnits = 8,
    CharnnForwardUnitsOfOneGate = 16,
    CharnnBackwardUnits = 16,

    // Columns of a block that sums rows.
    CharnnSumColumns = 128,
    // Blocks that sum squares.
    CharnnNormBlocks = 256,
    // Rows and columns of a block that rearranges weights.
    CharnnPackTile = 32,
};

// How a step ended.
enum {
    CharnnStepApplied = 1,
    // Loss or gradient was not finite.
    CharnnStepFailed = 2,
    // The gradient did not fit into fp16 at this scale; nothing was changed.
    CharnnStepOverflowed = 3,
    // A step before it failed or overflowed; nothing was changed.
    CharnnStepHeld = 4,
};

enum { CharnnAdam = 0, CharnnAdamW = 1, CharnnRMSprop = 2, CharnnSGD = 3, CharnnDynamic = 4 };

// What changes from step to step; lies in the device's memory, followed by B starts in the text, 8 bytes each.
typedef struct {
    // Keys dropout.
    unsigned long long number, seed;
    // The text, `textWidth` bytes a symbol.
    CharnnAddress text;
    int textWidth;
    int resetsState;
    // Where the outcome goes.
    int slot;
    int optimizer;
    // What the loss's gradient is multiplied by, a power of two.
    float lossScale;
    float learningRate, beta1, beta2, epsilon, momentum, weightDecay;
    // learningRate / (1 - beta1^n); 1 / sqrt(1 - beta2^n)
    float stepSize, inverseRootBias;
    float oneMinusBeta1, oneMinusBeta2;
    // 0: the average of the weights stays as it is.
    float averageRate;
    // 0: never clipped.
    double clipNorm;
} CharnnStep;

typedef struct {
    double loss, norm;
    int state;
    int reserved;
} CharnnOutcome;

// What lasts from step to step.
typedef struct {
    // Set by a step that failed or overflowed.
    int isHeld;
    // Of the last step: whether parameters and state are to change.
    int applies;
    // What each number of the gradient is multiplied by for the update, clipping included.
    float gradientScale;
    int reserved;
} CharnnStatus;

// inputs[t * B + b] = text[starts[b] + t], targets the symbol after it; [T, B].
typedef struct {
    CharnnAddress step, inputs, targets;
    int batch, length;
} CharnnGather;

// c [m, n] = a b (+ bias [n]), split along k: split z takes k in [z * kPerSplit, (z + 1) * kPerSplit).
//
// "nt": a [m, k], b [n, k]. "nn": a [m, k], b [k, n]. "tn": a [k, m], b [k, n]. Row-major.
typedef struct {
    CharnnAddress a, b, c, bias;
    int m, n, k;
    int aStride, bStride, cStride;
    int kPerSplit;
    int reserved;
    // Numbers between the results of two splits.
    long long splitStride;
} CharnnMatrixProduct;

// result[i] = the sum over splits of partial[split * stride + i]; written to `second` too if it is given.
typedef struct {
    CharnnAddress partial, result, second;
    int count, splits;
    long long stride;
    // Rows of the result: number i goes to (i / columns) * resultStride + i % columns.
    int columns, resultStride;
} CharnnReduction;

// The state before a sequence, for every layer at once: working copies, and the rows before the first time step.
typedef struct {
    // Resets are read there; 0: no reset.
    CharnnAddress step;
    // [L, B, H]; 0: zero.
    CharnnAddress fromHidden, fromCell;
    CharnnAddress toHidden, toCell;
    // Op, of each layer [T + 1, B, hiddenStride], `hiddenLayer` numbers apart; float, [T + 1, B, H].
    CharnnAddress hidden, cell;
    long long hiddenLayer, cellLayer;
    int layers, batch, units, hiddenStride;
} CharnnBegin;

// One time step of one layer: gates = input + hiddenBefore weight^T, then the cell.
typedef struct {
    // Op [B, hiddenStride], Op [gH, weightStride]
    CharnnAddress hiddenBefore, weight;
    // float [rows, gH] with biases: the row of stream b is symbols[b] or, where there are none, b.
    CharnnAddress input, symbols;
    // float [3H], GRU: the recurrent bias, of which the last third lies inside the reset product.
    CharnnAddress recurrentBias;
    // float [B, H], changed in place.
    CharnnAddress hiddenState, cellState;
    // Op [B, hiddenStride]
    CharnnAddress hidden;
    // Kept for the way back, or 0: Op [B, gateStride] activated; Op [B, H] the GRU's W_hn h + b_hn; float [B, H] cell states.
    CharnnAddress gates, candidate, cell;
    int batch, units, hiddenStride, gateStride, weightStride;
    int isRelu;
} CharnnForwardStep;

// The same with the product made already: float [splits, B, gH], to be summed. No split: zero.
typedef struct {
    CharnnForwardStep step;
    CharnnAddress sums;
    int splits;
    int reserved;
} CharnnForwardCell;

// One time step of one layer backward: dh = above + gradientAfter weight, then the cell.
typedef struct {
    // Op [B, gateStride]: the recurrent gates' gradients one step later; 0 at the last step.
    CharnnAddress gradientAfter;
    // The recurrent weights: fp16 transposed [H, weightStride], fp32 as they are [gH, weightStride].
    CharnnAddress weight;
    // float [B, H]
    CharnnAddress above;
    // As the forward step kept them.
    CharnnAddress gates, candidate;
    // Op [B, hiddenStride], before and after the step; float [B, H], likewise.
    CharnnAddress hiddenBefore, hidden, cellBefore, cell;
    // float [B, H], changed in place: the gradient of the cell state (LSTM), or of the hidden state past the weights (GRU).
    CharnnAddress carried;
    // Op [B, gateStride]; GRU: what the input product gets, and what the recurrent product gets. `gradient` may be `gates`.
    CharnnAddress gradient, recurrentGradient;
    int batch, units, hiddenStride, gateStride, weightStride;
    int isRelu;
} CharnnBackwardStep;

// The same with the product made already: float [splits, B, H], to be summed. No split: zero.
typedef struct {
    CharnnBackwardStep step;
    CharnnAddress sums;
    int splits;
    int reserved;
} CharnnBackwardCell;

// What the first layer reads where it is not looked up: row r of the embedding's rows is that of symbols[r]. float [V, columns]
// to Op [rows, stride].
typedef struct {
    CharnnAddress embedding, symbols, to;
    int rows, columns, stride;
    int reserved;
} CharnnEmbed;

// Dropout by mask `mask`: to = from times 0 or `factor`, for `rows` rows from `firstRow` on. Forward Op [N, stride] both, which may
// be the same; backward float [N, units] in place. A mask that is locked has `rows` rows, those of a time step, and is that of
// `lockedSteps` time steps one after the other; 0: it is not.
typedef struct {
    CharnnAddress step, from, to;
    int firstRow, rows, units, stride, mask;
    unsigned threshold;
    float factor;
    int lockedSteps;
} CharnnDropout;

// Of each row of logits float [N, V]: the loss in nats, and its gradient times the step's loss scale, Op [N, stride].
typedef struct {
    CharnnAddress step, logits, targets, losses, gradient;
    int rows, symbols, stride;
    int reserved;
} CharnnLoss;

// Of each row of logits float [N, V]: the loss in nats at each of `temperatures` temperatures, whose inverses are float, into
// losses[temperature * lossStride + row].
typedef struct {
    CharnnAddress logits, targets, inverses, losses;
    int rows, symbols, temperatures, lossStride;
} CharnnScores;

// partial[split][v][j] = the sum of rows of `values` Op [N, stride] whose symbol is v; float [splits, V, columns].
typedef struct {
    CharnnAddress values, symbols, partial;
    int rows, columns, stride, vocabulary, splits;
    int reserved;
} CharnnSymbolSum;

// partial[split][j] = the sum of some rows of `values` [rows, stride].
typedef struct {
    CharnnAddress values, partial;
    int rows, columns, stride, splits;
} CharnnColumnSum;

// partial[block] = the sum of squares of some of gradient[count], each times scale / the step's loss scale.
typedef struct {
    CharnnAddress step, gradient, partial;
    long long count;
    float scale;
    int reserved;
} CharnnNorm;

// Decides what becomes of a step.
typedef struct {
    CharnnAddress step, status, outcomes;
    // float [rows], double [CharnnNormBlocks]
    CharnnAddress losses, norms;
    int rows;
    // Whether a gradient that is not finite may be the scale's fault.
    int isScaled;
} CharnnConclusion;

typedef struct {
    // `average` is read and written only by steps with a rate for it.
    CharnnAddress step, status, parameters, gradient, first, second, average;
    long long count;
    // Whether weight decay applies to these.
    int decays, reserved;
} CharnnParameterUpdate;

// Two buffers of floats, each gets the other's contents.
typedef struct {
    CharnnAddress first, second;
    long long count;
} CharnnExchange;

// A weight matrix float [rows, columns] as fp16: as it is [rows, stride], and transposed [columns, transposedStride].
typedef struct {
    CharnnAddress from, to, transposed;
    int rows, columns, stride, transposedStride;
} CharnnPack;

// What input products get as bias: b_ih + b_hh; of a GRU's last third b_ih alone. [gH] each.
typedef struct {
    CharnnAddress input, recurrent, to;
    int count, both;
} CharnnBias;

// Takes the working state over where the step applies. [L, B, H]
typedef struct {
    CharnnAddress status, fromHidden, fromCell, toHidden, toCell;
    int count;
    int reserved;
} CharnnCommit;

// result[i] = 3 i + 1: tells whether the device computes at all.
typedef struct {
    CharnnAddress result;
    int count;
    int reserved;
} CharnnProbe;

#endif
