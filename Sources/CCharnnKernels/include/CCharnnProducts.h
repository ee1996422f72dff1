// Products of packed operands with fp32 sums.
//
// Training multiplies a few rows by the same weights at every time step. A library would rearrange the weights at each
// call; here that is done once a step of training. Operands are kept in words of four bytes: an fp32 number, or two bf16
// numbers, which a dot-product instruction takes at once. Those are neighbours along the summed dimension, the even one
// in the low half; a last one without a partner stands beside zero. Numbers are rounded to nearest, ties to even; NaN and
// infinity stay what they are.
#ifndef CCHARNN_PRODUCTS_H
#define CCHARNN_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

// c = a b, or c += a b.
typedef struct {
    size_t m;
    size_t n;
    size_t words;  // The summed dimension over `depth`, rounded up.
    // Word (row, word) is at row / tileRows * aTileStride + row % tileRows * aRowStride + word * aWordStride.
    const void *_Nonnull a;
    size_t aTileStride;
    size_t aRowStride;
    size_t aWordStride;
    const void *_Nonnull packed;  // May start at a later word of the operand: word * panel further.
    size_t panelStride;           // All words of the operand times panel.
    float *_Nonnull c;            // [m, n], rows cStride apart
    size_t cStride;
    int accumulates;
} CharnnProduct;

typedef struct {
    // The numbers in a word.
    size_t depth;
    // The columns of a panel of a right operand, and the rows of a tile of a left one.
    size_t panel;
    size_t tileRows;
    // words[r, columns / depth rounded up] = source[r, columns], whose rows are `stride` apart; NULL where a word is a
    // number of the source.
    void (*_Nullable round)(uint32_t *_Nonnull words, const float *_Nonnull source, size_t rows, size_t columns,
                            size_t stride);
    // Packs panels of `width` columns (the panel's or the tile's) of the operand [k, n] whose element (row, column) is at
    // source[row * kStride + column * nStride], one stride being 1: panel p has its k / depth rows of words, rounded up,
    // from packed + p * panelStride on. Columns from n on are zero.
    void (*_Nonnull pack)(void *_Nonnull packed, const float *_Nonnull source, size_t k, size_t n, size_t kStride,
                          size_t nStride, size_t width, size_t panelStride, size_t firstPanel, size_t panels);
    // A row of c depends on that row of a alone, bit for bit.
    void (*_Nonnull multiply)(const CharnnProduct *_Nonnull);
    // For measuring the machine. Multiplies and adds in registers alone, `rounds` times, and returns the number of
    // operations; the sums, of no use but to be kept from the optimiser, are added to `sink`.
    double (*_Nonnull peak)(size_t rounds, float *_Nonnull sink);
} CharnnProductKernels;

// Those with bf16 operands, or NULL where this processor or this build has none.
const CharnnProductKernels *_Nullable charnn_bf16_products(void);

#endif
