// The bf16 products for AVX-512 BF16.
#include "CCharnnProducts.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("clang loop unroll(full)")

enum { W = 16, TILE_ROWS = 8, VECTORS = 3, PANEL = VECTORS * W, PACK_ROWS = 32 };

// Words of sixteen pairs: low[i] beside high[i].
INLINE __m512i words_of(__m512 low, __m512 high) {
    const __m512i low_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    const __m512i high_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_or_si512(low_words, _mm512_slli_epi32(high_words, 16));
}

INLINE __mmask16 mask_of(size_t count) { return count >= W ? 0xFFFF : (__mmask16)((1u << count) - 1); }

TARGET static void round_rows(uint32_t *words, const float *source, size_t rows, size_t columns, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *x = source + r * stride;
        uint32_t *target = words + r * ((columns + 1) / 2);
        for (size_t j = 0; j < columns; j += 2 * W) {
            const size_t left = columns - j;
            const __m512 first = _mm512_maskz_loadu_ps(mask_of(left), x + j);
            const __m512 second = _mm512_maskz_loadu_ps(left > W ? mask_of(left - W) : 0, x + j + W);
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
            _mm512_mask_storeu_epi32(target + j / 2, mask_of((left + 1) / 2), both);
        }
    }
}

// Rows of the source are contiguous: two rows make a row of words. `k` is at most PACK_ROWS.
INLINE void pack_rows(uint32_t *panel, const float *source, size_t k, size_t n, size_t k_stride, size_t width) {
    for (size_t kk = 0; kk < k; kk += 2) {
        for (size_t j = 0; j < width; j += W) {
            const __mmask16 mask = n > j ? mask_of(n - j) : 0;
            const __m512 low = _mm512_maskz_loadu_ps(mask, source + kk * k_stride + j);
            const __m512 high = _mm512_maskz_loadu_ps(kk + 1 < k ? mask : 0, source + (kk + 1) * k_stride + j);
            _mm512_mask_storeu_epi32(panel + kk / 2 * width + j, mask_of(width - j), words_of(low, high));
        }
    }
}

// The same for two tiles of a left operand, each TILE_ROWS wide.
INLINE void pack_two_tiles(uint32_t *first, uint32_t *second, const float *source, size_t k, size_t k_stride) {
    // Word i: number i of the lower half beside number i of the upper one.
    const __m512i pairs = _mm512_or_si512(
        _mm512_cvtepu16_epi32(_mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)),
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(
            _mm256_setr_epi16(16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)), 16));
    for (size_t kk = 0; kk < k; kk += 2) {
        const __m512 low = _mm512_loadu_ps(source + kk * k_stride);
        const __m512 high = _mm512_maskz_loadu_ps(kk + 1 < k ? 0xFFFF : 0, source + (kk + 1) * k_stride);
        const __m512i words = _mm512_permutexvar_epi16(pairs, (__m512i)_mm512_cvtne2ps_pbh(high, low));
        _mm256_storeu_si256((__m256i *)(first + kk / 2 * TILE_ROWS), _mm512_castsi512_si256(words));
        _mm256_storeu_si256((__m256i *)(second + kk / 2 * TILE_ROWS), _mm512_extracti64x4_epi64(words, 1));
    }
}

// Columns of the source are contiguous. `k` is at most PACK_ROWS.
INLINE void pack_columns(uint32_t *panel, const float *source, size_t k, size_t n, size_t n_stride, size_t width) {
    uint32_t words[PACK_ROWS / 2];
    for (size_t j = 0; j < width; j++) {
        memset(words, 0, sizeof words);
        if (j < n) round_rows(words, source + j * n_stride, 1, k, 0);
        for (size_t i = 0; i < (k + 1) / 2; i++) panel[i * width + j] = words[i];
    }
}

// Some rows of all panels at a time, so that every line of the source is read once.
TARGET static void pack(void *packed, const float *source, size_t k, size_t n, size_t k_stride, size_t n_stride,
                        size_t width, size_t panel_stride, size_t first_panel, size_t panels) {
    const size_t block = n_stride == 1 ? 8 : PACK_ROWS;
    for (size_t k0 = 0; k0 < k; k0 += block) {
        const size_t rows = k - k0 < block ? k - k0 : block;
        for (size_t p = first_panel; p < first_panel + panels && p * width < n; p++) {
            const float *columns = source + p * width * n_stride + k0 * k_stride;
            uint32_t *panel = (uint32_t *)packed + p * panel_stride + k0 / 2 * width;
            const int are_two = p + 1 < first_panel + panels && (p + 2) * width <= n;
            if (n_stride == 1 && width == TILE_ROWS && are_two) {
                pack_two_tiles(panel, panel + panel_stride, columns, rows, k_stride);
                p++;
            } else if (n_stride == 1) {
                pack_rows(panel, columns, rows, n - p * width, k_stride, width);
            } else {
                pack_columns(panel, columns, rows, n - p * width, n_stride, width);
            }
        }
    }
}

// A last panel may be narrower: `vectors` of its columns are computed.
INLINE void tile(const size_t rows, const size_t vectors, const CharnnProduct *p, size_t pairs, const uint32_t *a,
                 const uint32_t *panel, float *c, size_t width, int accumulates) {
    __m512 sums[TILE_ROWS][VECTORS];
    __mmask16 masks[VECTORS];
    UNROLL for (size_t v = 0; v < vectors; v++) masks[v] = width > v * W ? mask_of(width - v * W) : 0;
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = _mm512_maskz_loadu_ps(accumulates ? masks[v] : 0, c + r * p->cStride + v * W);
        }
    }
    const size_t row_stride = p->aRowStride, pair_stride = p->aWordStride;
    for (size_t kk = 0; kk < pairs; kk++) {
        __m512bh b[VECTORS];
        UNROLL for (size_t v = 0; v < vectors; v++) {
            b[v] = (__m512bh)_mm512_loadu_si512(panel + kk * PANEL + v * W);
        }
        UNROLL for (size_t r = 0; r < rows; r++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r * row_stride + kk * pair_stride]);
            UNROLL for (size_t v = 0; v < vectors; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], b[v], x);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < vectors; v++) {
            _mm512_mask_storeu_ps(c + r * p->cStride + v * W, masks[v], sums[r][v]);
        }
    }
}

TARGET static void multiply(const CharnnProduct *p) {
    // A block of a panel and of the rows stays in the second-level cache.
    enum { BLOCK = 512 };
    for (size_t j = 0; j < p->n; j += PANEL) {
        const size_t width = p->n - j < PANEL ? p->n - j : PANEL;
        for (size_t k0 = 0; k0 < p->words; k0 += BLOCK) {
            const size_t pairs = p->words - k0 < BLOCK ? p->words - k0 : BLOCK;
            const uint32_t *b = (const uint32_t *)p->packed + j / PANEL * p->panelStride + k0 * PANEL;
            for (size_t r = 0; r < p->m; r += TILE_ROWS) {
                const uint32_t *a = (const uint32_t *)p->a + r / TILE_ROWS * p->aTileStride + k0 * p->aWordStride;
                float *c = p->c + r * p->cStride + j;
                const size_t rows = p->m - r < TILE_ROWS ? p->m - r : TILE_ROWS;
                const int accumulates = p->accumulates || k0 > 0;
#define TILE(count, vectors) \
    case count * 4 + vectors: tile(count, vectors, p, pairs, a, b, c, width, accumulates); break;
#define ROWS(count) TILE(count, 1) TILE(count, 2) TILE(count, 3)
                switch (rows * 4 + (width + W - 1) / W) {
                    ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)
                }
#undef ROWS
#undef TILE
            }
        }
    }
}

TARGET static double peak(size_t rounds, float *sink) {
    enum { CHAINS = 16, REPEATS = 16 };
    __m512 sums[CHAINS];
    const __m512bh x = (__m512bh)_mm512_set1_epi32((int)*sink + 1);
    UNROLL for (size_t i = 0; i < CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL for (size_t repeat = 0; repeat < REPEATS; repeat++) {
            UNROLL for (size_t i = 0; i < CHAINS; i++) sums[i] = _mm512_dpbf16_ps(sums[i], x, x);
        }
    }
    UNROLL for (size_t i = 1; i < CHAINS; i++) sums[0] = _mm512_add_ps(sums[0], sums[i]);
    *sink += _mm512_reduce_add_ps(sums[0]);
    return (double)rounds * REPEATS * CHAINS * 2 * W * 2;
}

static const CharnnProductKernels kernels = {
    .depth = 2,
    .panel = PANEL,
    .tileRows = TILE_ROWS,
    .round = round_rows,
    .pack = pack,
    .multiply = multiply,
    .peak = peak,
};

const CharnnProductKernels *charnn_bf16_products(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? &kernels
               : NULL;
}
#else
const CharnnProductKernels *charnn_bf16_products(void) { return NULL; }
#endif
