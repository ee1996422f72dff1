// Matrix products. Sums run in a fixed order, so that the same operands give the same bits on the same device.
#ifndef CHARNN_PRODUCTS_H
#define CHARNN_PRODUCTS_H

#include "Platform.h"

// A tile of an fp16 operand in shared memory, in pieces of eight numbers. The pieces of a row change places from row to row,
// so that those of eight rows, which a matrix load reads together, lie in different banks.
template <int tile, bool alongK>
struct OperandTile {
    // alongK: [tile][depth], as the operand lies in memory; otherwise [depth][tile].
    static constexpr int rows = alongK ? tile : CharnnProductDepth;
    static constexpr int columns = alongK ? CharnnProductDepth : tile;
    static constexpr int size = rows * columns;

    // Where the piece lies that begins at a row and column.
    CHARNN_DEVICE_MEMBER int place(int row, int column) {
        // Rows of 64 bytes fill the banks two by two, longer ones each alone.
        const int change = alongK ? row / 2 % 4 : row % 8;
        return row * columns + (column / 8 ^ change) * 8;
    }

    // Copies the part of the operand from row `first` (of m or n) and depth `k` on; zero beyond its borders.
    //
    // In the direction of memory whole pieces are read; what lies behind the border but within the stride is zero (k), or
    // ends in results that nobody stores (m, n).
    template <int threads>
    CHARNN_DEVICE_MEMBER void load(
        Half *to, const Half *from, int operandStride, int first, int count, int k, int kEnd) {
#pragma unroll
        for (int i = 0; i < rows * columns / 8 / threads; i++) {
            const int piece = threadIdx.x + i * threads;
            const int row = piece / (columns / 8), column = piece % (columns / 8) * 8;
            const int outer = (alongK ? first : k) + row, inner = (alongK ? k : first) + column;
            const bool inside = outer < (alongK ? count : kEnd) && inner < (alongK ? kEnd : count);
            const Half *source = inside ? from + (long long)outer * operandStride + inner : from;
            copyAsync(to + place(row, column), source, inside ? 16 : 0);
        }
    }
};

// The product of a block: `tile` rows and columns, by warps of `warpRows` x `warpColumns` each.
template <int tile, int warpRows, int warpColumns, bool aAlongK, bool bAlongK, int threads>
CHARNN_DEVICE void halfProduct(const CharnnMatrixProduct &p) {
    using A = OperandTile<tile, aAlongK>;
    using B = OperandTile<tile, bAlongK>;
    // Pieces of the depth that are under way while one is computed with, as far as shared memory has room.
    constexpr int room = (48 << 10) / (2 * (A::size + B::size)), stages = room < 4 ? room : 4;
    constexpr int mTiles = warpRows / 16, nTiles = warpColumns / 8;
    CHARNN_SHARED Half aTiles[stages * A::size];
    CHARNN_SHARED Half bTiles[stages * B::size];

    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int firstRow = blockIdx.y * tile, firstColumn = blockIdx.x * tile;
    const int warpRow = warp / (tile / warpColumns) * warpRows, warpColumn = warp % (tile / warpColumns) * warpColumns;
    const int kBegin = blockIdx.z * p.kPerSplit;
    const int kEnd = p.k < kBegin + p.kPerSplit ? p.k : kBegin + p.kPerSplit;
    const int rounds = (kEnd - kBegin + CharnnProductDepth - 1) / CharnnProductDepth;
    const Half *a = at<Half>(p.a), *b = at<Half>(p.b);

    float sums[mTiles][nTiles][4];
#pragma unroll
    for (int i = 0; i < mTiles; i++) {
#pragma unroll
        for (int j = 0; j < nTiles; j++) {
#pragma unroll
            for (int c = 0; c < 4; c++) sums[i][j][c] = 0;
        }
    }

    auto load = [&](int round) {
        if (round < rounds) {
            const int stage = round % stages, k = kBegin + round * CharnnProductDepth;
            A::template load<threads>(aTiles + stage * A::size, a, p.aStride, firstRow, p.m, k, kEnd);
            B::template load<threads>(bTiles + stage * B::size, b, p.bStride, firstColumn, p.n, k, kEnd);
        }
        commitCopies();
    };

    for (int stage = 0; stage < stages - 1; stage++) load(stage);
    for (int round = 0; round < rounds; round++) {
        waitForCopies<stages - 2>();
        // From here on all see this piece, and none reads the one before, whose place the next one takes.
        __syncthreads();
        load(round + stages - 1);
        const Half *aTile = aTiles + round % stages * A::size, *bTile = bTiles + round % stages * B::size;
#pragma unroll
        for (int k = 0; k < CharnnProductDepth; k += 16) {
            unsigned left[mTiles][4], right[nTiles / 2][4];
#pragma unroll
            for (int i = 0; i < mTiles; i++) {
                const int row = warpRow + i * 16;
                if (aAlongK) {
                    loadMatrices(left[i], aTile + A::place(row + lane % 16, k + lane / 16 * 8));
                } else {
                    // Stored [k][m]: the matrices of the upper eight k come second in memory, but third in the registers.
                    loadMatricesTransposed(
                        left[i], aTile + A::place(k + lane / 16 * 8 + lane % 8, row + lane / 8 % 2 * 8));
                }
            }
#pragma unroll
            for (int j = 0; j < nTiles / 2; j++) {
                const int column = warpColumn + j * 16;
                if (bAlongK) {
                    loadMatrices(
                        right[j], bTile + B::place(column + lane / 16 * 8 + lane % 8, k + lane / 8 % 2 * 8));
                } else {
                    loadMatricesTransposed(right[j], bTile + B::place(k + lane % 16, column + lane / 16 * 8));
                }
            }
#pragma unroll
            for (int i = 0; i < mTiles; i++) {
#pragma unroll
                for (int j = 0; j < nTiles; j++) {
                    const unsigned pair[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
                    multiplyAdd(sums[i][j], left[i], pair);
                }
            }
        }
    }

    float *c = at<float>(p.c) + (long long)blockIdx.z * p.splitStride;
    const float *bias = at<float>(p.bias);
#pragma unroll
    for (int i = 0; i < mTiles; i++) {
#pragma unroll
        for (int j = 0; j < nTiles; j++) {
#pragma unroll
            for (int part = 0; part < 4; part++) {
                const int row = firstRow + warpRow + i * 16 + lane / 4 + part / 2 * 8;
                const int column = firstColumn + warpColumn + j * 8 + lane % 4 * 2 + part % 2;
                if (row < p.m && column < p.n) {
                    c[(long long)row * p.cStride + column] = sums[i][j][part] + (bias ? bias[column] : 0);
                }
            }
        }
    }
}

CHARNN_KERNEL(CharnnProductThreads, product_half_nt, CharnnMatrixProduct) {
    halfProduct<CharnnProductTile, 32, 32, true, true, CharnnProductThreads>(a);
}
CHARNN_KERNEL(CharnnProductThreads, product_half_tn, CharnnMatrixProduct) {
    halfProduct<CharnnProductTile, 32, 32, false, false, CharnnProductThreads>(a);
}
CHARNN_KERNEL(CharnnWideProductThreads, product_half_nt_wide, CharnnMatrixProduct) {
    halfProduct<CharnnWideProductTile, 64, 32, true, true, CharnnWideProductThreads>(a);
}
CHARNN_KERNEL(CharnnWideProductThreads, product_half_tn_wide, CharnnMatrixProduct) {
    halfProduct<CharnnWideProductTile, 64, 32, false, false, CharnnWideProductThreads>(a);
}

// In fp32 throughout: a thread makes four rows and four columns of its block's tile.
template <bool aAlongK, bool bAlongK>
CHARNN_DEVICE void floatProduct(const CharnnMatrixProduct &p) {
    constexpr int tile = CharnnFloatProductTile, depth = CharnnFloatProductDepth, stride = tile + 4;
    CHARNN_SHARED float aTile[depth * stride];
    CHARNN_SHARED float bTile[depth * stride];
    const int firstRow = blockIdx.y * tile, firstColumn = blockIdx.x * tile;
    const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
    const int kBegin = blockIdx.z * p.kPerSplit;
    const int kEnd = p.k < kBegin + p.kPerSplit ? p.k : kBegin + p.kPerSplit;
    float sums[4][4] = {};

    // Neighbouring threads read neighbouring numbers, whichever way the operand lies.
    auto load = [&](float *to, const float *from, bool alongK, int operandStride, int first, int count, int k) {
        for (int i = threadIdx.x; i < tile * depth; i += CharnnFloatProductThreads) {
            const int across = alongK ? i / depth : i % tile, along = alongK ? i % depth : i / tile;
            float x = 0;
            if (first + across < count && k + along < kEnd) {
                x = alongK ? from[(long long)(first + across) * operandStride + k + along]
                           : from[(long long)(k + along) * operandStride + first + across];
            }
            to[along * stride + across] = x;
        }
    };

    for (int k = kBegin; k < kEnd; k += depth) {
        load(aTile, at<float>(p.a), aAlongK, p.aStride, firstRow, p.m, k);
        load(bTile, at<float>(p.b), bAlongK, p.bStride, firstColumn, p.n, k);
        __syncthreads();
#pragma unroll
        for (int along = 0; along < depth; along++) {
            float left[4], right[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                left[i] = aTile[along * stride + row + i];
                right[i] = bTile[along * stride + column + i];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) sums[i][j] += left[i] * right[j];
            }
        }
        __syncthreads();
    }

    float *c = at<float>(p.c) + (long long)blockIdx.z * p.splitStride;
    const float *bias = at<float>(p.bias);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const int m = firstRow + row + i, n = firstColumn + column + j;
            if (m < p.m && n < p.n) c[(long long)m * p.cStride + n] = sums[i][j] + (bias ? bias[n] : 0);
        }
    }
}

CHARNN_KERNEL(CharnnFloatProductThreads, product_float_nt, CharnnMatrixProduct) { floatProduct<true, true>(a); }
CHARNN_KERNEL(CharnnFloatProductThreads, product_float_nn, CharnnMatrixProduct) { floatProduct<true, false>(a); }
CHARNN_KERNEL(CharnnFloatProductThreads, product_float_tn, CharnnMatrixProduct) { floatProduct<false, false>(a); }

CHARNN_KERNEL(CharnnRowThreads, reduce, CharnnReduction) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.count) return;
    const float *partial = at<float>(a.partial) + i;
    float sum = 0;
    for (int split = 0; split < a.splits; split++) sum += partial[split * a.stride];
    const long long place = (long long)(i / a.columns) * a.resultStride + i % a.columns;
    at<float>(a.result)[place] = sum;
    if (a.second) at<float>(a.second)[place] = sum;
}

#endif
