// Products of bf16 operands with fp32 sums, for processors with AVX-512 BF16.
//
// A dot-product instruction takes two neighbours of the summed dimension at once, so operands are kept as words: the
// even neighbour in the low half, the odd one in the high half; a last one without a partner stands beside zero. Numbers
// are rounded to nearest, ties to even; NaN and infinity stay what they are.
#ifndef CCHARNN_HALF_H
#define CCHARNN_HALF_H

#include <stddef.h>
#include <stdint.h>

// c = a b, or c += a b.
typedef struct {
    size_t m;
    size_t n;
    size_t pairs;  // Half the summed dimension, rounded up.
    // Word (row, pair) is at row / tileRows * aTileStride + row % tileRows * aRowStride + pair * aPairStride.
    const uint32_t *_Nonnull a;
    size_t aTileStride;
    size_t aRowStride;
    size_t aPairStride;
    const uint32_t *_Nonnull packed;  // May start at a later pair of the operand: pair * panel further.
    size_t panelStride;               // All pairs of the operand times panel.
    float *_Nonnull c;                // [m, n], rows cStride apart
    size_t cStride;
    int accumulates;
} CharnnHalfProduct;

typedef struct {
    // The columns of a panel of a right operand, and the rows of a tile of a left one.
    size_t panel;
    size_t tileRows;
    // words[r, (columns + 1) / 2] = source[r, columns], whose rows are `stride` apart.
    void (*_Nonnull round)(uint32_t *_Nonnull words, const float *_Nonnull source, size_t rows, size_t columns,
                           size_t stride);
    // Packs panels of `width` columns (a multiple of 8, at most 64) of the operand [k, n] whose element (row, column) is at
    // source[row * kStride + column * nStride], one stride being 1: panel p has its (k + 1) / 2 rows of words from
    // packed + p * panelStride on. Columns from n on are zero.
    void (*_Nonnull pack)(uint32_t *_Nonnull packed, const float *_Nonnull source, size_t k, size_t n, size_t kStride,
                          size_t nStride, size_t width, size_t panelStride, size_t firstPanel, size_t panels);
    // A row of c depends on that row of a alone, bit for bit.
    void (*_Nonnull multiply)(const CharnnHalfProduct *_Nonnull);
    // As `peak` of CharnnKernels.
    double (*_Nonnull peak)(size_t rounds, float *_Nonnull sink);
} CharnnHalfKernels;

// NULL where this processor or this build has none.
const CharnnHalfKernels *_Nullable charnn_half_kernels(void);

#endif
