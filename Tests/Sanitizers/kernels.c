// Calls every kernel of every level that this processor has, at sizes that do not divide evenly, with buffers of just the
// documented size, and compares with plain loops in double. `kernels` compiles it with AddressSanitizer and
// UndefinedBehaviorSanitizer, so that a byte read or written beside a buffer ends it.
//
// What a kernel writes is NaN before, so that one which reads its own output, or leaves a part of it, differs.

#include "CCharnnKernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A kernel that is added must be called here too.
_Static_assert(sizeof(CharnnProductKernels) == 7 * sizeof(void *), "a product kernel is added or gone: check it here");
_Static_assert(sizeof(CharnnKernels) == 26 * sizeof(void *) + sizeof(CharnnProductKernels),
               "a kernel is added or gone: check it here");

// MARK: - Buffers and comparisons

static const char *level, *kernel;
static size_t first_size, second_size, comparisons;
static void *blocks[64];
static size_t block_count;

// Exactly so many bytes, none of which AddressSanitizer lets anybody pass; freed by `done`.
static void *bytes(size_t count) {
    void *block = malloc(count);
    if (!block || block_count == sizeof blocks / sizeof *blocks) abort();
    return blocks[block_count++] = block;
}

static void done(void) {
    while (block_count > 0) free(blocks[--block_count]);
}

static float *unset(size_t count) {
    float *x = bytes(count * sizeof(float));
    for (size_t i = 0; i < count; i++) x[i] = NAN;
    return x;
}

// Numbers in -1 ... 1, the same in every run.
static uint64_t state = 1;
static float number(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / (double)(1u << 30) - 1);
}

static float *numbers(size_t count) {
    float *x = bytes(count * sizeof(float));
    for (size_t i = 0; i < count; i++) x[i] = number();
    return x;
}

// Numbers in 0 ... 1, as activated gates and second moments are.
static float *shares(size_t count) {
    float *x = numbers(count);
    for (size_t i = 0; i < count; i++) x[i] = fabsf(x[i]);
    return x;
}

static float *copy(const float *source, size_t count) {
    float *x = bytes(count * sizeof(float));
    memcpy(x, source, count * sizeof(float));
    return x;
}

static int32_t *symbols(size_t count, size_t below) {
    int32_t *x = bytes(count * sizeof(int32_t));
    for (size_t i = 0; i < count; i++) {
        x[i] = (int32_t)((fabs((double)number()) * (double)below));
        if ((size_t)x[i] >= below) x[i] = (int32_t)below - 1;
    }
    // Both ends of a table are looked at, wherever there is room for them.
    x[0] = (int32_t)below - 1;
    if (count > 1) x[1] = 0;
    return x;
}

static void begin(const char *name, size_t first, size_t second) {
    kernel = name;
    first_size = first;
    second_size = second;
}

static void fail(const char *what, size_t place, double found, double expected) {
    fprintf(stderr, "%s %s at sizes %zu and %zu: %s[%zu] is %.9g and should be %.9g\n", level, kernel, first_size,
            second_size, what, place, found, expected);
    exit(1);
}

// Within a few units of single precision; a NaN never is.
static void same(const char *what, size_t place, double found, double expected) {
    comparisons++;
    if (!(fabs(found - expected) <= 4e-6 * (1 + fabs(expected)))) fail(what, place, found, expected);
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }

// MARK: - Functions, sums and products with vectors

static void check_functions(const CharnnKernels *k, size_t n) {
    float *x = numbers(n);
    for (size_t i = 0; i < n; i++) x[i] *= 5;
    float *e = copy(x, n), *s = copy(x, n), *t = copy(x, n);
    begin("exponential", n, 0);
    k->exponential(e, n);
    for (size_t i = 0; i < n; i++) same("x", i, e[i], exp(x[i]));
    begin("sigmoid", n, 0);
    k->sigmoid(s, n);
    for (size_t i = 0; i < n; i++) same("x", i, s[i], logistic(x[i]));
    begin("tanh", n, 0);
    k->tanh(t, n);
    for (size_t i = 0; i < n; i++) same("x", i, t[i], tanh(x[i]));
    // Whatever a diverged step brings is answered, and is no undefined conversion.
    const float extremes[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 1e-40f, -0.0f};
    for (size_t i = 0; i < n; i++) e[i] = s[i] = t[i] = extremes[i % (sizeof extremes / sizeof *extremes)];
    k->exponential(e, n);
    k->sigmoid(s, n);
    k->tanh(t, n);
    done();
}

static void check_sums(const CharnnKernels *k, size_t n) {
    float *a = numbers(n), *b = numbers(n), *sum = copy(a, n), *between = copy(a, n);
    begin("add", n, 0);
    k->add(sum, b, n);
    for (size_t i = 0; i < n; i++) same("destination", i, sum[i], (double)a[i] + b[i]);
    begin("approach", n, 0);
    k->approach(between, b, n, 0.25f);
    for (size_t i = 0; i < n; i++) same("x", i, between[i], a[i] + ((double)b[i] - a[i]) * 0.25);
    begin("sumOfSquares", n, 0);
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)a[i] * a[i];
    same("sum", 0, k->sumOfSquares(a, n), squares);
    begin("read", n, 0);
    float *sink = bytes(sizeof(float));
    *sink = 0;
    k->read(a, n, sink);
    same("finite", 0, isfinite(*sink) ? 1 : 0, 1);
    done();
}

static void check_scatter(const CharnnKernels *k, size_t rows, size_t width) {
    // A narrower part of a wider table: the last row ends with that part.
    const size_t stride = width + 3, entries = 5, offset = 2;
    int32_t *which = symbols(rows, entries);
    float *source = numbers((rows - 1) * stride + offset + width);
    float *table = numbers((entries - 1) * stride + offset + width);
    const size_t count = (entries - 1) * stride + offset + width;
    double *expected = bytes(count * sizeof(double));
    for (size_t i = 0; i < count; i++) expected[i] = table[i];
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < width; j++) {
            expected[(size_t)which[r] * stride + offset + j] += source[r * stride + offset + j];
        }
    }
    begin("scatterAdd", rows, width);
    k->scatterAdd(table + offset, source + offset, which, rows, width, stride);
    for (size_t i = 0; i < count; i++) same("table", i, table[i], expected[i]);
    done();
}

static void check_matrix_vector(const CharnnKernels *k, size_t rows, size_t columns) {
    const size_t streams = 3, stride = rows + 2, count = (streams - 1) * stride + rows;
    float *matrix = numbers(rows * columns), *vectors = numbers(streams * columns), *result = unset(count);
    begin("matrixVector", rows, columns);
    k->matrixVector(result, matrix, vectors, rows, columns, streams, stride);
    for (size_t s = 0; s < streams; s++) {
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t j = 0; j < columns; j++) sum += (double)matrix[r * columns + j] * vectors[s * columns + j];
            same("result", s * stride + r, result[s * stride + r], sum);
        }
        // What lies between two results is another's.
        for (size_t r = rows; s + 1 < streams && r < stride; r++) same("gap", r, isnan(result[s * stride + r]), 1);
    }
    done();
}

// MARK: - Cells

typedef enum { LSTM, GRU, RNN_TANH, RNN_RELU } Cell;
static const char *const cell_names[] = {"lstm", "gru", "rnnTanh", "rnnRelu"};
static const size_t gate_counts[] = {4, 3, 1, 1};

static void check_forward(const CharnnKernels *k, Cell cell, size_t B, size_t H, int looks_up, int in_place) {
    const size_t gH = gate_counts[cell] * H, entries = 4;
    const int is_rnn = cell == RNN_TANH || cell == RNN_RELU;
    int32_t *which = looks_up ? symbols(B, entries) : NULL;
    float *input = numbers((looks_up ? entries : B) * gH), *recurrent = numbers(B * gH), *bias = numbers(gH);
    float *candidate_bias = cell == GRU ? numbers(H) : NULL;
    float *x = copy(input, (looks_up ? entries : B) * gH);
    // An RNN leaves its gates, so it may be given none at all.
    float *gates = is_rnn ? bytes(0) : in_place ? input : unset(B * gH);
    float *candidate = cell == GRU ? unset(B * H) : NULL;
    float *before = numbers(B * H), *cell_before = cell == LSTM ? numbers(B * H) : NULL;
    float *hidden = unset(B * H), *cell_after = cell == LSTM ? unset(B * H) : NULL;
    CharnnCellForward step = {
        .rows = B, .units = H, .input = input, .symbols = which, .recurrent = recurrent, .bias = bias,
        .candidateBias = candidate_bias, .gates = gates, .candidate = candidate, .hiddenBefore = before,
        .cellBefore = cell_before, .hidden = hidden, .cell = cell_after,
    };
    void (*const kernels[])(const CharnnCellForward *) = {
        k->lstmForward, k->gruForward, k->rnnTanhForward, k->rnnReluForward};
    begin(cell_names[cell], B, H);
    kernels[cell](&step);
    for (size_t r = 0; r < B; r++) {
        const float *row = x + (which ? (size_t)which[r] : r) * gH, *w = recurrent + r * gH;
        for (size_t j = 0; j < H; j++) {
            const size_t at = r * H + j;
#define SUM(g) ((double)row[(g) * H + j] + w[(g) * H + j] + bias[(g) * H + j])
            if (cell == LSTM) {
                const double i = logistic(SUM(0)), f = logistic(SUM(1)), g = tanh(SUM(2)), o = logistic(SUM(3));
                const double c = f * cell_before[at] + i * g, all[] = {i, f, g, o};
                for (size_t q = 0; q < 4; q++) same("gates", r * gH + q * H + j, gates[r * gH + q * H + j], all[q]);
                same("cell", at, cell_after[at], c);
                same("hidden", at, hidden[at], o * tanh(c));
            } else if (cell == GRU) {
                const double reset = logistic(SUM(0)), z = logistic(SUM(1));
                const double m = (double)w[2 * H + j] + candidate_bias[j];
                const double n = tanh((double)row[2 * H + j] + bias[2 * H + j] + reset * m);
                const double all[] = {reset, z, n};
                for (size_t q = 0; q < 3; q++) same("gates", r * gH + q * H + j, gates[r * gH + q * H + j], all[q]);
                same("candidate", at, candidate[at], m);
                same("hidden", at, hidden[at], (1 - z) * n + z * before[at]);
            } else {
                same("hidden", at, hidden[at], cell == RNN_TANH ? tanh(SUM(0)) : fmax(SUM(0), 0));
            }
#undef SUM
        }
    }
    done();
}

static void check_backward(const CharnnKernels *k, Cell cell, size_t B, size_t H) {
    const size_t gates_of_cell = gate_counts[cell], gH = gates_of_cell * H;
    const int is_rnn = cell == RNN_TANH || cell == RNN_RELU;
    float *gates = is_rnn ? unset(B * gH) : shares(B * gH);
    float *candidate = cell == GRU ? numbers(B * H) : NULL;
    float *before = numbers(B * H), *hidden = numbers(B * H);
    float *cell_before = cell == LSTM ? numbers(B * H) : NULL, *cell_after = cell == LSTM ? numbers(B * H) : NULL;
    float *above = numbers(B * H), *dhidden = numbers(B * H), *dcell = cell == LSTM ? numbers(B * H) : NULL;
    float *dbias = numbers(gH), *dcandidate_bias = cell == GRU ? numbers(H) : NULL;
    const float *old_gates = copy(gates, B * gH), *old_dhidden = copy(dhidden, B * H);
    const float *old_candidate = cell == GRU ? copy(candidate, B * H) : NULL;
    const float *old_dcell = cell == LSTM ? copy(dcell, B * H) : NULL;
    double *bias_sums = bytes(gH * sizeof(double)), *candidate_sums = bytes(H * sizeof(double));
    for (size_t i = 0; i < gH; i++) bias_sums[i] = dbias[i];
    for (size_t i = 0; i < H; i++) candidate_sums[i] = cell == GRU ? dcandidate_bias[i] : 0;
    CharnnCellBackward step = {
        .rows = B, .units = H, .gates = gates, .candidate = candidate, .hiddenBefore = before, .hidden = hidden,
        .cellBefore = cell_before, .cell = cell_after, .outputGradient = above, .hiddenGradient = dhidden,
        .cellGradient = dcell, .biasGradient = dbias, .candidateBiasGradient = dcandidate_bias,
    };
    void (*const kernels[])(const CharnnCellBackward *) = {
        k->lstmBackward, k->gruBackward, k->rnnTanhBackward, k->rnnReluBackward};
    begin(cell_names[cell], B, H);
    kernels[cell](&step);
    for (size_t r = 0; r < B; r++) {
        for (size_t j = 0; j < H; j++) {
            const size_t at = r * H + j;
            const float *g = old_gates + r * gH + j;
            const double dh = (double)above[at] + old_dhidden[at];
            double all[4] = {0};
            if (cell == LSTM) {
                const double i = g[0], f = g[H], n = g[2 * H], o = g[3 * H], t = tanh(cell_after[at]);
                const double dc = old_dcell[at] + dh * o * (1 - t * t);
                all[0] = dc * n * i * (1 - i);
                all[1] = dc * cell_before[at] * f * (1 - f);
                all[2] = dc * i * (1 - n * n);
                all[3] = dh * t * o * (1 - o);
                same("cellGradient", at, dcell[at], dc * f);
            } else if (cell == GRU) {
                const double reset = g[0], z = g[H], n = g[2 * H], m = old_candidate[at];
                all[1] = dh * (before[at] - n) * z * (1 - z);
                all[2] = dh * (1 - z) * (1 - n * n);
                all[0] = all[2] * m * reset * (1 - reset);
                same("candidate", at, candidate[at], all[2] * reset);
                same("hiddenGradient", at, dhidden[at], dh * z);
                candidate_sums[j] += all[2] * reset;
            } else {
                const double h = hidden[at];
                all[0] = cell == RNN_TANH ? dh * (1 - h * h) : h > 0 ? dh : 0;
            }
            if (cell != GRU) same("hiddenGradient", at, dhidden[at], old_dhidden[at]);
            for (size_t q = 0; q < gates_of_cell; q++) {
                same("gates", r * gH + q * H + j, gates[r * gH + q * H + j], all[q]);
                bias_sums[q * H + j] += all[q];
            }
        }
    }
    for (size_t i = 0; i < gH; i++) same("biasGradient", i, dbias[i], bias_sums[i]);
    for (size_t i = 0; cell == GRU && i < H; i++) {
        same("candidateBiasGradient", i, dcandidate_bias[i], candidate_sums[i]);
    }
    done();
}

// MARK: - Dropout, loss, optimisers

static uint32_t philox(uint64_t place, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3) {
    uint32_t c[4] = {(uint32_t)(place / 4), c1, c2, c3};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k1,
                                  (uint32_t)a};
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c[place % 4];
}

static void check_dropout(const CharnnKernels *k, size_t n, uint64_t first, int in_place) {
    const uint64_t key = 0xDEADBEEF12345678u;
    const uint32_t threshold = 0x60000000u;
    float *source = numbers(n), *x = copy(source, n), *destination = in_place ? source : unset(n);
    begin("dropout", n, (size_t)first);
    k->dropout(destination, source, n, first, key, 5, 6, 7, threshold, 1.5f);
    for (size_t i = 0; i < n; i++) {
        const int is_kept = philox(first + i, key, 5, 6, 7) >= threshold;
        same("destination", i, destination[i], is_kept ? x[i] * 1.5 : 0);
    }
    done();
}

static void check_loss(const CharnnKernels *k, size_t rows, size_t V) {
    const double scale = 0.25;
    float *logits = numbers(rows * V), *bias = numbers(V), *losses = unset(rows);
    for (size_t i = 0; i < rows * V; i++) logits[i] *= 9;
    const float *x = copy(logits, rows * V);
    int32_t *targets = symbols(rows, V);
    float *dbias = numbers(V);
    double *sums = bytes(V * sizeof(double));
    for (size_t v = 0; v < V; v++) sums[v] = dbias[v];
    begin("crossEntropy", rows, V);
    k->crossEntropy(logits, bias, targets, rows, V, (float)scale, losses, dbias);
    for (size_t r = 0; r < rows; r++) {
        const size_t target = (size_t)targets[r];
        double total = 0;
        for (size_t v = 0; v < V; v++) total += exp((double)x[r * V + v] + bias[v]);
        same("losses", r, losses[r], log(total) - ((double)x[r * V + target] + bias[target]));
        for (size_t v = 0; v < V; v++) {
            const double share = exp((double)x[r * V + v] + bias[v]) / total;
            const double gradient = scale * (share - (v == target ? 1 : 0));
            same("logits", r * V + v, logits[r * V + v], gradient);
            sums[v] += gradient;
        }
    }
    for (size_t v = 0; v < V; v++) same("biasGradient", v, dbias[v], sums[v]);
    done();
}

// Rows of losses that lie apart: what is between them stays as it is.
static void check_scores(const CharnnKernels *k, size_t rows, size_t V, size_t temperatures) {
    const size_t stride = rows + 3;
    float *logits = numbers(rows * V), *bias = numbers(V), *losses = numbers(temperatures * stride - 3);
    for (size_t i = 0; i < rows * V; i++) logits[i] *= 9;
    const float *x = copy(logits, rows * V), *before = copy(losses, temperatures * stride - 3);
    int32_t *targets = symbols(rows, V);
    float *inverses = unset(temperatures);
    for (size_t t = 0; t < temperatures; t++) inverses[t] = 1.5f / (float)(t + 1);
    begin("scores", rows, V);
    k->scores(logits, bias, targets, rows, V, inverses, temperatures, losses, stride);
    for (size_t t = 0; t < temperatures; t++) {
        for (size_t r = 0; r < rows; r++) {
            double total = 0;
            for (size_t v = 0; v < V; v++) total += exp(((double)x[r * V + v] + bias[v]) * inverses[t]);
            const double target = ((double)x[r * V + (size_t)targets[r]] + bias[targets[r]]) * inverses[t];
            same("losses", t * stride + r, losses[t * stride + r], log(total) - target);
        }
        for (size_t gap = rows; gap < stride && t + 1 < temperatures; gap++) {
            same("between", t * stride + gap, losses[t * stride + gap], before[t * stride + gap]);
        }
    }
    done();
}

typedef enum { ADAM, ADAMW, RMSPROP, SGD } Optimizer;
static const char *const optimizer_names[] = {"adam", "adamw", "rmsprop", "sgd"};

static void check_update(const CharnnKernels *k, Optimizer optimizer, size_t n, double momentum) {
    const int is_adam = optimizer == ADAM || optimizer == ADAMW;
    const double beta1 = 0.75, beta2 = 0.875, rate = 0.125, decay = 0.0625, epsilon = 0.03125, scale = 0.5;
    // What an optimiser has no use for it is not given.
    const int uses_first = is_adam || momentum > 0, uses_second = optimizer != SGD;
    float *parameters = numbers(n), *gradient = numbers(n);
    float *first = uses_first ? numbers(n) : bytes(0), *second = uses_second ? shares(n) : bytes(0);
    const float *p = copy(parameters, n);
    const float *m = uses_first ? copy(first, n) : NULL, *v = uses_second ? copy(second, n) : NULL;
    CharnnUpdate update = {
        .count = n, .parameters = parameters, .gradient = gradient, .first = first, .second = second,
        .scale = (float)scale, .learningRate = (float)rate, .beta1 = (float)beta1, .beta2 = (float)beta2,
        .epsilon = (float)epsilon, .momentum = (float)momentum, .weightDecay = (float)decay,
        .stepSize = (float)(rate / (1 - beta1 * beta1)), .inverseRootBias = (float)(1 / sqrt(1 - beta2 * beta2)),
        .oneMinusBeta1 = (float)(1 - beta1), .oneMinusBeta2 = (float)(1 - beta2),
    };
    void (*const kernels[])(const CharnnUpdate *) = {k->adam, k->adamw, k->rmsprop, k->sgd};
    begin(optimizer_names[optimizer], n, 0);
    kernels[optimizer](&update);
    for (size_t i = 0; i < n; i++) {
        const double g = gradient[i] * scale + (optimizer == ADAMW ? 0 : p[i] * decay);
        if (is_adam) {
            const double m1 = m[i] * beta1 + g * (1 - beta1), v1 = v[i] * beta2 + g * g * (1 - beta2);
            const double kept = optimizer == ADAMW ? p[i] * (1 - rate * decay) : p[i];
            same("first", i, first[i], m1);
            same("second", i, second[i], v1);
            same("parameters", i, parameters[i],
                 kept - m1 * update.stepSize / (sqrt(v1) * update.inverseRootBias + epsilon));
        } else {
            double step = g;
            if (optimizer == RMSPROP) {
                const double v1 = v[i] * beta2 + g * g * (1 - beta2);
                same("second", i, second[i], v1);
                step = g / (sqrt(v1) + epsilon);
            }
            if (momentum > 0) {
                step += m[i] * momentum;
                same("first", i, first[i], step);
            }
            same("parameters", i, parameters[i], p[i] - step * rate);
        }
    }
    done();
}

static void check_dynamic(const CharnnKernels *k, size_t n) {
    float *parameters = numbers(n), *gradient = numbers(n), *anchor = numbers(n), *s = shares(n);
    const float *p = copy(parameters, n), *a = copy(anchor, n), *roots = copy(s, n);
    // Some are drawn back all the way, some in part.
    const CharnnUpdate update = {
        .count = n, .parameters = parameters, .gradient = gradient, .first = anchor, .second = s, .scale = 0.5f,
        .learningRate = 0.125f, .epsilon = 0.03125f, .weightDecay = 2,
    };
    begin("dynamic", n, 0);
    k->dynamic(&update);
    for (size_t i = 0; i < n; i++) {
        const double moved = p[i] - gradient[i] * 0.5 * 0.125 / (roots[i] + 0.03125);
        const double pull = roots[i] * 2.0 < 1 ? roots[i] * 2.0 : 1;
        same("parameters", i, parameters[i], moved + (a[i] - moved) * pull);
        same("first", i, anchor[i], a[i]);
        same("second", i, s[i], roots[i]);
    }
    done();
}

// MARK: - Products of packed operands

// A number as a word of that depth holds it: bf16, nearest, ties to even.
static double held(float x, size_t depth) {
    if (depth == 1) return x;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7FFFu + (bits >> 16 & 1)) & 0xFFFF0000u;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

// Number `index` of a packed operand's column or row, whose words are `stride` apart.
static double word_number(const uint32_t *words, size_t stride, size_t index, size_t depth) {
    uint32_t bits = words[index / depth * stride];
    if (depth == 2) bits = index % 2 == 0 ? bits << 16 : bits & 0xFFFF0000u;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Packs [k, n] numbers that lie one way or the other, all panels in two calls, and looks at every word.
static uint32_t *check_pack(const CharnnProductKernels *p, const float *x, size_t k, size_t n, size_t width,
                            int turned) {
    const size_t words = (k + p->depth - 1) / p->depth, panels = (n + width - 1) / width, stride = words * width;
    // The source as it lies, with a gap between its rows, and no more behind the last one than belongs to it.
    const size_t rows = turned ? n : k, columns = turned ? k : n, gap = columns + 2;
    float *source = unset((rows - 1) * gap + columns);
    for (size_t row = 0; row < k; row++) {
        for (size_t column = 0; column < n; column++) {
            source[turned ? column * gap + row : row * gap + column] = x[row * n + column];
        }
    }
    uint32_t *packed = bytes(panels * stride * sizeof(uint32_t));
    memset(packed, 0xFF, panels * stride * sizeof(uint32_t));
    begin(turned ? "pack, turned" : "pack", k, n);
    const size_t half = panels / 2;
    p->pack(packed, source, k, n, turned ? 1 : gap, turned ? gap : 1, width, stride, 0, half);
    p->pack(packed, source, k, n, turned ? 1 : gap, turned ? gap : 1, width, stride, half, panels - half);
    for (size_t column = 0; column < panels * width; column++) {
        const uint32_t *start = packed + column / width * stride + column % width;
        for (size_t row = 0; row < words * p->depth; row++) {
            const double expected = row < k && column < n ? held(x[row * n + column], p->depth) : 0;
            same("packed", row * n + column, word_number(start, width, row, p->depth), expected);
        }
    }
    return packed;
}

static void check_product(const CharnnProductKernels *p, size_t m, size_t n, size_t k) {
    const size_t words = (k + p->depth - 1) / p->depth;
    const float *a = numbers(m * k), *b = numbers(k * n);
    float *a_turned = bytes(k * m * sizeof(float));
    for (size_t i = 0; i < k * m; i++) a_turned[i] = a[i % m * k + i / m];

    // The left operand in rows and in tiles, the right one in panels.
    const void *in_rows = a;
    if (p->round) {
        const size_t gap = k + 1;
        float *source = unset((m - 1) * gap + k);
        for (size_t r = 0; r < m; r++) memcpy(source + r * gap, a + r * k, k * sizeof(float));
        uint32_t *rounded = bytes(m * words * sizeof(uint32_t));
        memset(rounded, 0xFF, m * words * sizeof(uint32_t));
        begin("round", m, k);
        p->round(rounded, source, m, k, gap);
        for (size_t r = 0; r < m; r++) {
            for (size_t j = 0; j < words * p->depth; j++) {
                same("words", r * k + j, word_number(rounded + r * words, 1, j, p->depth),
                     j < k ? held(a[r * k + j], p->depth) : 0);
            }
        }
        in_rows = rounded;
    }
    const uint32_t *in_tiles = check_pack(p, a_turned, k, m, p->tileRows, 0);
    check_pack(p, a_turned, k, m, p->tileRows, 1);
    const uint32_t *right = check_pack(p, b, k, n, p->panel, 0);
    check_pack(p, b, k, n, p->panel, 1);

    for (int variant = 0; variant < 4; variant++) {
        const int tiles = variant & 1, accumulates = variant >> 1;
        const size_t stride = n + 3, count = (m - 1) * stride + n;
        float *c = accumulates ? numbers(count) : unset(count);
        const float *before = copy(c, count);
        const CharnnProduct product = {
            .m = m, .n = n, .words = words, .a = tiles ? in_tiles : in_rows, .aTileStride = p->tileRows * words,
            .aRowStride = tiles ? 1 : words, .aWordStride = tiles ? p->tileRows : 1, .packed = right,
            .panelStride = words * p->panel, .c = c, .cStride = stride, .accumulates = accumulates,
        };
        kernel = "multiply";
        p->multiply(&product);
        for (size_t r = 0; r < m; r++) {
            for (size_t j = 0; j < n; j++) {
                double sum = accumulates ? before[r * stride + j] : 0, size = 1;
                for (size_t i = 0; i < k; i++) {
                    const double term = held(a[r * k + i], p->depth) * held(b[i * n + j], p->depth);
                    sum += term;
                    size += fabs(term);
                }
                comparisons++;
                const double found = c[r * stride + j];
                if (!(fabs(found - sum) <= 1e-6 * size)) fail("c", r * stride + j, found, sum);
            }
            for (size_t j = n; r + 1 < m && j < stride; j++) {
                const float x = c[r * stride + j], y = before[r * stride + j];
                same("gap", j, memcmp(&x, &y, sizeof x), 0);
            }
        }
    }
    done();
}

static void check_products(const CharnnProductKernels *p) {
    // All heights of a tile, all widths of a panel, one and several blocks of the summed dimension.
    for (size_t m = 1; m <= p->tileRows; m++) {
        for (size_t n = 1; n <= p->panel; n += n % 3 + 1) check_product(p, m, n, 3);
    }
    const size_t shapes[][3] = {
        {1, 1, 1}, {2, 5, 2}, {9, 100, 1101}, {13, 49, 513}, {8, 48, 512}, {7, 16, 66}, {12, 80, 20}, {37, 20, 33},
        {33, 97, 1}, {17, 33, 31},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_product(p, shapes[i][0], shapes[i][1], shapes[i][2]);
    }
    begin("peak", 1, 0);
    float sink = 0;
    same("operations", 0, p->peak(2, &sink) > 0, 1);
    same("sink", 0, isfinite(sink) ? 1 : 0, 1);
}

// MARK: - Levels

static void check_level(const CharnnKernels *k) {
    const size_t widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 49, 64, 65, 127, 129, 271};
    const size_t heights[] = {1, 2, 3, 5, 9};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const size_t width = widths[i];
        check_functions(k, width);
        check_sums(k, width);
        for (uint64_t first = 0; first < 6; first++) check_dropout(k, width, first, first % 2 == 0);
        check_dropout(k, width, ((uint64_t)1 << 34) - 5, 0);
        for (Optimizer optimizer = ADAM; optimizer <= SGD; optimizer++) {
            check_update(k, optimizer, width, 0);
            check_update(k, optimizer, width, 0.5);
        }
        check_dynamic(k, width);
        for (size_t j = 0; j < sizeof heights / sizeof *heights; j++) {
            const size_t height = heights[j];
            check_scatter(k, height, width);
            check_matrix_vector(k, height, width);
            check_scores(k, height, width, 3);
            check_loss(k, height, width);
            for (Cell cell = LSTM; cell <= RNN_RELU; cell++) {
                check_forward(k, cell, height, width, 0, 0);
                check_forward(k, cell, height, width, 0, 1);
                check_forward(k, cell, height, width, 1, 0);
                check_backward(k, cell, height, width);
            }
        }
    }
    check_products(&k->products);
}

static void told(void) {
    printf("  %s: %zu numbers compared\n", level, comparisons);
    comparisons = 0;
}

int main(void) {
    char *name = bytes(49);
    charnn_processor_name(name);
    printf("  %s, %d processors%s\n", *name ? name : "a processor without a name", charnn_affinity_count(),
           charnn_amds_avx512() ? ", AMD's with AVX-512" : "");
    done();
    if (charnn_kernels(-1) || charnn_kernels(CharnnLevelAVX512 + 1)) return 1;
    const char *const names[] = {"plain", "avx2", "avx512"};
    for (int i = CharnnLevelPlain; i <= CharnnLevelAVX512; i++) {
        const CharnnKernels *kernels = charnn_kernels(i);
        level = names[i];
        if (!kernels) {
            printf("  %s: not on this processor\n", level);
            continue;
        }
        if (strcmp(kernels->name, level) != 0) return 1;
        check_level(kernels);
        told();
    }
    level = "bf16";
    const CharnnProductKernels *bf16 = charnn_bf16_products();
    if (bf16) {
        check_products(bf16);
        told();
    } else {
        printf("  bf16: not on this processor\n");
    }
    return 0;
}
