// What is done row by row: the batch, the state before a sequence, dropout, the loss, and sums over rows.
#ifndef CHARNN_ROWS_H
#define CHARNN_ROWS_H

#include "Platform.h"

CHARNN_KERNEL(CharnnRowThreads, gather, CharnnGather) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.batch * (a.length + 1)) return;
    const int t = i / a.batch, b = i % a.batch;
    const CharnnStep *step = at<CharnnStep>(a.step);
    const long long place = ((const long long *)(step + 1))[b] + t;
    int symbol;
    if (step->textWidth == 1) {
        symbol = at<unsigned char>(step->text)[place];
    } else if (step->textWidth == 2) {
        symbol = at<unsigned short>(step->text)[place];
    } else {
        symbol = at<int>(step->text)[place];
    }
    if (t < a.length) at<int>(a.inputs)[i] = symbol;
    if (t > 0) at<int>(a.targets)[i - a.batch] = symbol;
}

template <typename Op>
CHARNN_DEVICE void beginSequence(const CharnnBegin &a) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x, plane = a.batch * a.units;
    if (i >= a.layers * plane) return;
    const int layer = i / plane, b = i % plane / a.units, u = i % a.units;
    const bool resets = a.step && at<CharnnStep>(a.step)->resetsState;
    const float h = resets || !a.fromHidden ? 0 : at<float>(a.fromHidden)[i];
    at<float>(a.toHidden)[i] = h;
    put(at<Op>(a.hidden) + layer * a.hiddenLayer + (long long)b * a.hiddenStride + u, h);
    if (!a.toCell) return;
    const float c = resets || !a.fromCell ? 0 : at<float>(a.fromCell)[i];
    at<float>(a.toCell)[i] = c;
    if (a.cell) at<float>(a.cell)[layer * a.cellLayer + i % plane] = c;
}
CHARNN_KERNEL(CharnnRowThreads, begin_float, CharnnBegin) { beginSequence<float>(a); }
CHARNN_KERNEL(CharnnRowThreads, begin_half, CharnnBegin) { beginSequence<Half>(a); }

template <typename Op>
CHARNN_DEVICE void embedRows(const CharnnEmbed &a) {
    const long long i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= (long long)a.rows * a.columns) return;
    const long long row = i / a.columns, column = i % a.columns;
    const long long symbol = at<int>(a.symbols)[row];
    put(at<Op>(a.to) + row * a.stride + column, at<float>(a.embedding)[symbol * a.columns + column]);
}
CHARNN_KERNEL(CharnnRowThreads, embed_float, CharnnEmbed) { embedRows<float>(a); }
CHARNN_KERNEL(CharnnRowThreads, embed_half, CharnnEmbed) { embedRows<Half>(a); }

// Ten rounds of Philox-4x32; the same numbers as Philox in CharnnEngine.
CHARNN_DEVICE void philox(unsigned (&c)[4], unsigned long long key) {
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const unsigned long long x = (unsigned long long)c[0] * 0xD2511F53u;
        const unsigned long long y = (unsigned long long)c[2] * 0xCD9E8D57u;
        c[0] = (unsigned)(y >> 32) ^ c[1] ^ k0;
        c[2] = (unsigned)(x >> 32) ^ c[3] ^ k1;
        c[1] = (unsigned)y;
        c[3] = (unsigned)x;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

// A thread takes the four numbers of one Philox block; their places as DropoutMask in CharnnEngine says.
template <typename Op, bool isInPlace>
CHARNN_DEVICE void dropOut(const CharnnDropout &a) {
    const long long first = a.lockedSteps ? 0 : (long long)a.firstRow * a.units;
    const long long end = first + (long long)a.rows * a.units;
    const long long block = first / 4 + (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (block * 4 >= end) return;
    const CharnnStep *step = at<CharnnStep>(a.step);
    unsigned words[4] = {
        (unsigned)block, (unsigned)step->number, (unsigned)(step->number >> 32) << 16 | (unsigned)a.mask, 2};
    philox(words, step->seed);
    for (int word = 0; word < 4; word++) {
        const long long i = block * 4 + word;
        if (i < first || i >= end) continue;
        const bool isKept = words[word] >= a.threshold;
        long long row = a.firstRow + (i - first) / a.units;
        for (int steps = a.lockedSteps ? a.lockedSteps : 1; steps > 0; steps--, row += a.rows) {
            const long long place = row * (isInPlace ? a.units : a.stride) + i % a.units;
            put(at<Op>(a.to) + place, isKept ? toFloat(at<Op>(a.from)[place]) * a.factor : 0);
        }
    }
}
CHARNN_KERNEL(CharnnRowThreads, dropout_float, CharnnDropout) { dropOut<float, false>(a); }
CHARNN_KERNEL(CharnnRowThreads, dropout_half, CharnnDropout) { dropOut<Half, false>(a); }
CHARNN_KERNEL(CharnnRowThreads, dropout_gradient, CharnnDropout) { dropOut<float, true>(a); }

// A warp takes a row.

// The largest number of a row, for all lanes of the warp.
CHARNN_DEVICE float rowMaximum(const float *x, int symbols, int lane) {
    float top = x[0];
    for (int v = lane; v < symbols; v += 32) top = top > x[v] || top != top ? top : x[v];
    return laneMaximum(top);
}

// The sum of exp((x - top) * inverse) over a row, for all lanes of the warp.
CHARNN_DEVICE float rowExponentials(const float *x, int symbols, float top, float inverse, int lane) {
    float sum = 0;
    for (int v = lane; v < symbols; v += 32) sum += expf((x[v] - top) * inverse);
    return laneSum(sum);
}

CHARNN_KERNEL(CharnnRowThreads, scores, CharnnScores) {
    const int row = blockIdx.x * (CharnnRowThreads / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= a.rows) return;
    const float *x = at<float>(a.logits) + (long long)row * a.symbols;
    const float top = rowMaximum(x, a.symbols, lane), target = x[at<int>(a.targets)[row]] - top;
    for (int k = 0; k < a.temperatures; k++) {
        const float inverse = at<float>(a.inverses)[k];
        const float sum = rowExponentials(x, a.symbols, top, inverse, lane);
        if (lane == 0) at<float>(a.losses)[(long long)k * a.lossStride + row] = logf(sum) - target * inverse;
    }
}

template <typename Op>
CHARNN_DEVICE void rowLoss(const CharnnLoss &a) {
    const int row = blockIdx.x * (CharnnRowThreads / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= a.rows) return;
    const float *x = at<float>(a.logits) + (long long)row * a.symbols;
    const int target = at<int>(a.targets)[row];
    const float top = rowMaximum(x, a.symbols, lane), sum = rowExponentials(x, a.symbols, top, 1, lane);
    if (lane == 0) at<float>(a.losses)[row] = logf(sum) - (x[target] - top);
    const float scale = at<CharnnStep>(a.step)->lossScale;
    Op *gradient = at<Op>(a.gradient) + (long long)row * a.stride;
    for (int v = lane; v < a.symbols; v += 32) {
        put(gradient + v, (expf(x[v] - top) / sum - (v == target ? 1 : 0)) * scale);
    }
}
CHARNN_KERNEL(CharnnRowThreads, loss_float, CharnnLoss) { rowLoss<float>(a); }
CHARNN_KERNEL(CharnnRowThreads, loss_half, CharnnLoss) { rowLoss<Half>(a); }

// A block takes a symbol, some columns and a part of the rows; it gathers the rows of its symbol, then adds them in order.
template <typename Op>
CHARNN_DEVICE void sumBySymbol(const CharnnSymbolSum &a) {
    CHARNN_SHARED int found[CharnnSumColumns];
    CHARNN_SHARED int counts[CharnnSumColumns / 32];
    const int symbol = blockIdx.x, column = blockIdx.y * CharnnSumColumns + threadIdx.x;
    const int each = (a.rows + a.splits - 1) / a.splits, first = blockIdx.z * each;
    const int end = first + each < a.rows ? first + each : a.rows;
    const Op *values = at<Op>(a.values) + column;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sum = 0;
    for (int start = first; start < end; start += CharnnSumColumns) {
        const int row = start + threadIdx.x;
        const bool isOne = row < end && at<int>(a.symbols)[row] == symbol;
        const unsigned ones = laneBallot(isOne);
        if (lane == 0) counts[warp] = laneCount(ones);
        __syncthreads();
        int place = laneCount(ones & ((1u << lane) - 1)), total = 0;
        for (int w = 0; w < CharnnSumColumns / 32; w++) {
            if (w < warp) place += counts[w];
            total += counts[w];
        }
        if (isOne) found[place] = row;
        __syncthreads();
        if (column < a.columns) {
#pragma unroll 8
            for (int i = 0; i < total; i++) sum += toFloat(values[(long long)found[i] * a.stride]);
        }
        __syncthreads();
    }
    if (column < a.columns) {
        at<float>(a.partial)[((long long)blockIdx.z * a.vocabulary + symbol) * a.columns + column] = sum;
    }
}
CHARNN_KERNEL(CharnnSumColumns, symbol_sum_float, CharnnSymbolSum) { sumBySymbol<float>(a); }
CHARNN_KERNEL(CharnnSumColumns, symbol_sum_half, CharnnSymbolSum) { sumBySymbol<Half>(a); }

template <typename Op>
CHARNN_DEVICE void sumColumns(const CharnnColumnSum &a) {
    const int column = blockIdx.x * CharnnSumColumns + threadIdx.x;
    if (column >= a.columns) return;
    const int each = (a.rows + a.splits - 1) / a.splits, first = blockIdx.y * each;
    const int end = first + each < a.rows ? first + each : a.rows;
    const Op *values = at<Op>(a.values) + column;
    float sum = 0;
#pragma unroll 8
    for (int row = first; row < end; row++) sum += toFloat(values[(long long)row * a.stride]);
    at<float>(a.partial)[(long long)blockIdx.y * a.columns + column] = sum;
}
CHARNN_KERNEL(CharnnSumColumns, column_sum_float, CharnnColumnSum) { sumColumns<float>(a); }
CHARNN_KERNEL(CharnnSumColumns, column_sum_half, CharnnColumnSum) { sumColumns<Half>(a); }

#endif
