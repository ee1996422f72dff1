// One time step of one layer: the recurrent product of a few rows and units, and the cell on its sums; or the cell alone, on
// sums that a product of Products.h made.
//
// Formulas as in ReferenceNetwork; gates are i, f, g, o (LSTM) and r, z, n (GRU, whose reset gate multiplies the recurrent
// product with its bias).
#ifndef CHARNN_STEPS_H
#define CHARNN_STEPS_H

#include "Platform.h"

enum { CellRNN, CellGRU, CellLSTM };
// By cell.
constexpr int gateCounts[] = {1, 3, 4};

template <int cell>
struct CellShape {
    static constexpr int gates = gateCounts[cell];
    // Units of a block going forward: of a cell with one gate only it takes more.
    static constexpr int units = gates == 1 ? CharnnForwardUnitsOfOneGate : CharnnForwardUnits;
};

// sums[r][c] = the product of row firstRow + r of `left` and of the row of `right` that place(c) tells (negative: none),
// for 32 rows and `columns` columns, k numbers deep.
//
// fp16: both have k contiguous, in strides that are multiples of 32. A lane reads eight neighbouring numbers of a row and
// uses them as the pairs of two instructions; what is the k-th number of an instruction differs, but for both operands alike.
// The warps take pieces of k in turn, and their sums are added in their order.
template <int columns, int threads, typename Place>
CHARNN_DEVICE void stepProduct(
    float (&sums)[CharnnStepRows][columns + 1], const Half *left, int leftStride, int firstRow, int rows,
    const Half *right, int rightStride, int k, Place place) {
    constexpr int warps = threads / 32, nTiles = columns / 8;
    CHARNN_SHARED float partial[warps][CharnnStepRows][columns + 1];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint4 zero = {0, 0, 0, 0};
    float c[2][nTiles][4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < nTiles; j++) {
#pragma unroll
            for (int part = 0; part < 4; part++) c[i][j][part] = 0;
        }
    }
    // Null where there is no such row.
    const Half *leftRows[4], *rightRows[nTiles];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = firstRow + lane / 4 + i * 8;
        leftRows[i] = row < rows ? left + (long long)row * leftStride + lane % 4 * 8 : nullptr;
    }
#pragma unroll
    for (int j = 0; j < nTiles; j++) {
        const int row = place(j * 8 + lane / 4);
        rightRows[j] = row >= 0 ? right + (long long)row * rightStride + lane % 4 * 8 : nullptr;
    }
#pragma unroll 4
    for (int depth = warp * 32; depth < k; depth += warps * 32) {
        uint4 l[4], r[nTiles];
#pragma unroll
        for (int i = 0; i < 4; i++) l[i] = leftRows[i] ? *(const uint4 *)(leftRows[i] + depth) : zero;
#pragma unroll
        for (int j = 0; j < nTiles; j++) r[j] = rightRows[j] ? *(const uint4 *)(rightRows[j] + depth) : zero;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const unsigned first[4] = {l[2 * i].x, l[2 * i + 1].x, l[2 * i].y, l[2 * i + 1].y};
            const unsigned second[4] = {l[2 * i].z, l[2 * i + 1].z, l[2 * i].w, l[2 * i + 1].w};
#pragma unroll
            for (int j = 0; j < nTiles; j++) {
                const unsigned low[2] = {r[j].x, r[j].y}, high[2] = {r[j].z, r[j].w};
                multiplyAdd(c[i][j], first, low);
                multiplyAdd(c[i][j], second, high);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < nTiles; j++) {
#pragma unroll
            for (int part = 0; part < 4; part++) {
                partial[warp][i * 16 + lane / 4 + part / 2 * 8][j * 8 + lane % 4 * 2 + part % 2] = c[i][j][part];
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < CharnnStepRows * columns; i += threads) {
        float sum = 0;
#pragma unroll
        for (int w = 0; w < warps; w++) sum += partial[w][i / columns][i % columns];
        sums[i / columns][i % columns] = sum;
    }
    __syncthreads();
}

// The same in fp32, for operands of any stride. The right one has k contiguous, or lies [k, rows] where `rightAlongK` is false.
template <int columns, int threads, bool rightAlongK, typename Place>
CHARNN_DEVICE void stepProduct(
    float (&sums)[CharnnStepRows][columns + 1], const float *left, int leftStride, int firstRow, int rows,
    const float *right, int rightStride, int k, Place place) {
    constexpr int depth = 32, count = CharnnStepRows * columns / threads;
    CHARNN_SHARED float lefts[CharnnStepRows][depth + 1];
    CHARNN_SHARED float rights[depth][columns + 1];
    float own[count] = {};
    for (int first = 0; first < k; first += depth) {
        for (int i = threadIdx.x; i < CharnnStepRows * depth; i += threads) {
            const int row = firstRow + i / depth, along = first + i % depth;
            lefts[i / depth][i % depth] = row < rows && along < k ? left[(long long)row * leftStride + along] : 0;
        }
        for (int i = threadIdx.x; i < columns * depth; i += threads) {
            const int column = rightAlongK ? i / depth : i % columns, along = rightAlongK ? i % depth : i / columns;
            const int row = place(column);
            float x = 0;
            if (row >= 0 && first + along < k) {
                x = rightAlongK ? right[(long long)row * rightStride + first + along]
                                : right[(long long)(first + along) * rightStride + row];
            }
            rights[along][column] = x;
        }
        __syncthreads();
#pragma unroll 8
        for (int along = 0; along < depth; along++) {
#pragma unroll
            for (int i = 0; i < count; i++) {
                const int place = threadIdx.x + i * threads;
                own[i] += lefts[place / columns][along] * rights[along][place % columns];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < count; i++) {
        const int place = threadIdx.x + i * threads;
        sums[place / columns][place % columns] = own[i];
    }
    __syncthreads();
}

// One unit of one stream; w: the recurrent product of its gates.
template <int cell, typename Op>
CHARNN_DEVICE void forwardCell(const CharnnForwardStep &p, int b, int u, const float (&w)[CellShape<cell>::gates]) {
    const int H = p.units;
    const long long row = p.symbols ? at<int>(p.symbols)[b] : b;
    const float *x = at<float>(p.input) + row * CellShape<cell>::gates * H + u;
    Op *gates = at<Op>(p.gates);
    const long long gate = (long long)b * p.gateStride + u, own = (long long)b * H + u;
    float h;
    if constexpr (cell == CellRNN) {
        const float sum = x[0] + w[0];
        h = p.isRelu ? (sum < 0 ? 0 : sum) : tanhf(sum);
    } else if constexpr (cell == CellGRU) {
        const float *bias = at<float>(p.recurrentBias) + u;
        const float r = sigmoid(x[0] + w[0]);
        const float z = sigmoid(x[H] + w[1]);
        const float candidate = w[2] + bias[2 * H];
        const float n = tanhf(x[2 * H] + r * candidate);
        h = (1 - z) * n + z * at<float>(p.hiddenState)[own];
        if (gates) {
            put(gates + gate, r);
            put(gates + gate + H, z);
            put(gates + gate + 2 * H, n);
            put(at<Op>(p.candidate) + own, candidate);
        }
    } else {
        const float i = sigmoid(x[0] + w[0]), f = sigmoid(x[H] + w[1]);
        const float g = tanhf(x[2 * H] + w[2]), o = sigmoid(x[3 * H] + w[3]);
        const float c = f * at<float>(p.cellState)[own] + i * g;
        h = o * tanhf(c);
        at<float>(p.cellState)[own] = c;
        if (gates) {
            put(gates + gate, i);
            put(gates + gate + H, f);
            put(gates + gate + 2 * H, g);
            put(gates + gate + 3 * H, o);
            at<float>(p.cell)[own] = c;
        }
    }
    at<float>(p.hiddenState)[own] = h;
    put(at<Op>(p.hidden) + (long long)b * p.hiddenStride + u, h);
}

template <int cell, typename Op>
CHARNN_DEVICE void forwardStep(const CharnnForwardStep &p) {
    using Shape = CellShape<cell>;
    constexpr int columns = Shape::gates * Shape::units;
    CHARNN_SHARED float sums[CharnnStepRows][columns + 1];
    const int firstRow = blockIdx.y * CharnnStepRows, firstUnit = blockIdx.x * Shape::units, H = p.units;
    // Column c is gate c / units of unit c % units.
    auto place = [&](int column) {
        const int unit = firstUnit + column % Shape::units;
        return unit < H ? column / Shape::units * H + unit : -1;
    };
    if constexpr (sizeof(Op) == 2) {
        stepProduct<columns, CharnnForwardThreads>(
            sums, at<Op>(p.hiddenBefore), p.hiddenStride, firstRow, p.batch, at<Op>(p.weight), p.weightStride, H, place);
    } else {
        stepProduct<columns, CharnnForwardThreads, true>(
            sums, at<Op>(p.hiddenBefore), p.hiddenStride, firstRow, p.batch, at<Op>(p.weight), p.weightStride, H, place);
    }

    for (int item = threadIdx.x; item < CharnnStepRows * Shape::units; item += CharnnForwardThreads) {
        const int b = firstRow + item / Shape::units, j = item % Shape::units, u = firstUnit + j;
        if (b >= p.batch || u >= H) continue;
        float w[Shape::gates];
#pragma unroll
        for (int gate = 0; gate < Shape::gates; gate++) w[gate] = sums[item / Shape::units][gate * Shape::units + j];
        forwardCell<cell, Op>(p, b, u, w);
    }
}

template <int cell, typename Op>
CHARNN_DEVICE void forwardSums(const CharnnForwardCell &a) {
    constexpr int gates = CellShape<cell>::gates;
    const long long H = a.step.units, i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.step.batch * H) return;
    const int b = (int)(i / H), u = (int)(i % H);
    float w[gates] = {};
    for (int split = 0; split < a.splits; split++) {
        const float *sums = at<float>(a.sums) + ((long long)split * a.step.batch + b) * gates * H + u;
#pragma unroll
        for (int gate = 0; gate < gates; gate++) w[gate] += sums[gate * H];
    }
    forwardCell<cell, Op>(a.step, b, u, w);
}

// One unit of one stream; sum: what the step after it hands back through the recurrent weights.
template <int cell, typename Op>
CHARNN_DEVICE void backwardCell(const CharnnBackwardStep &p, int b, int u, float sum) {
    const int H = p.units;
    const bool isLast = p.gradientAfter == 0;
    const long long own = (long long)b * H + u, gate = (long long)b * p.gateStride + u;
    const long long hiddenPlace = (long long)b * p.hiddenStride + u;
    float dh = at<float>(p.above)[own] + sum;
    Op *d = at<Op>(p.gradient) + gate;
    if constexpr (cell == CellRNN) {
        const float h = toFloat(at<Op>(p.hidden)[hiddenPlace]);
        put(d, p.isRelu ? (h > 0 ? dh : 0) : dh * (1 - h * h));
    } else if constexpr (cell == CellGRU) {
        const Op *gates = at<Op>(p.gates) + gate;
        const float r = toFloat(gates[0]), z = toFloat(gates[H]), n = toFloat(gates[2 * H]);
        const float before = toFloat(at<Op>(p.hiddenBefore)[hiddenPlace]);
        if (!isLast) dh += at<float>(p.carried)[own];
        const float dn = dh * (1 - z) * (1 - n * n);
        const float dr = dn * toFloat(at<Op>(p.candidate)[own]) * r * (1 - r);
        const float dz = dh * (before - n) * z * (1 - z);
        Op *w = at<Op>(p.recurrentGradient) + gate;
        put(d, dr);
        put(d + H, dz);
        put(d + 2 * H, dn);
        put(w, dr);
        put(w + H, dz);
        put(w + 2 * H, dn * r);
        at<float>(p.carried)[own] = dh * z;
    } else {
        const Op *gates = at<Op>(p.gates) + gate;
        const float i = toFloat(gates[0]), f = toFloat(gates[H]), g = toFloat(gates[2 * H]), o = toFloat(gates[3 * H]);
        const float t = tanhf(at<float>(p.cell)[own]);
        const float dc = (isLast ? 0 : at<float>(p.carried)[own]) + dh * o * (1 - t * t);
        put(d, dc * g * i * (1 - i));
        put(d + H, dc * at<float>(p.cellBefore)[own] * f * (1 - f));
        put(d + 2 * H, dc * i * (1 - g * g));
        put(d + 3 * H, dh * t * o * (1 - o));
        at<float>(p.carried)[own] = dc * f;
    }
}

template <int cell, typename Op>
CHARNN_DEVICE void backwardStep(const CharnnBackwardStep &p) {
    constexpr int gateCount = CellShape<cell>::gates, units = CharnnBackwardUnits;
    CHARNN_SHARED float sums[CharnnStepRows][units + 1];
    const int firstRow = blockIdx.y * CharnnStepRows, firstUnit = blockIdx.x * units, H = p.units;
    auto place = [&](int column) { return firstUnit + column < H ? firstUnit + column : -1; };
    const bool isLast = p.gradientAfter == 0;
    if (!isLast) {
        if constexpr (sizeof(Op) == 2) {
            stepProduct<units, CharnnBackwardThreads>(
                sums, at<Op>(p.gradientAfter), p.gateStride, firstRow, p.batch, at<Op>(p.weight), p.weightStride,
                gateCount * H, place);
        } else {
            stepProduct<units, CharnnBackwardThreads, false>(
                sums, at<Op>(p.gradientAfter), p.gateStride, firstRow, p.batch, at<Op>(p.weight), p.weightStride,
                gateCount * H, place);
        }
    }

    for (int item = threadIdx.x; item < CharnnStepRows * units; item += CharnnBackwardThreads) {
        const int b = firstRow + item / units, u = firstUnit + item % units;
        if (b >= p.batch || u >= H) continue;
        backwardCell<cell, Op>(p, b, u, isLast ? 0 : sums[item / units][item % units]);
    }
}

template <int cell, typename Op>
CHARNN_DEVICE void backwardSums(const CharnnBackwardCell &a) {
    const long long H = a.step.units, i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.step.batch * H) return;
    float sum = 0;
    for (int split = 0; split < a.splits; split++) sum += at<float>(a.sums)[split * a.step.batch * H + i];
    backwardCell<cell, Op>(a.step, (int)(i / H), (int)(i % H), sum);
}

#define STEP(cell, type, name)                                                                             \
    CHARNN_KERNEL(CharnnForwardThreads, forward_##name, CharnnForwardStep) { forwardStep<cell, type>(a); }    \
    CHARNN_KERNEL(CharnnRowThreads, forward_cell_##name, CharnnForwardCell) { forwardSums<cell, type>(a); }   \
    CHARNN_KERNEL(CharnnBackwardThreads, backward_##name, CharnnBackwardStep) { backwardStep<cell, type>(a); } \
    CHARNN_KERNEL(CharnnRowThreads, backward_cell_##name, CharnnBackwardCell) { backwardSums<cell, type>(a); }

STEP(CellRNN, float, rnn_float)
STEP(CellRNN, Half, rnn_half)
STEP(CellGRU, float, gru_float)
STEP(CellGRU, Half, gru_half)
STEP(CellLSTM, float, lstm_float)
STEP(CellLSTM, Half, lstm_half)
#undef STEP

#endif
