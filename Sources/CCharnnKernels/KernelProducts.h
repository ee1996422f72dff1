// Products of packed fp32 operands; part of KernelBody.h. What the operands look like is said in CCharnnProducts.h.
//
// A panel holds PANEL columns of the right operand, one row after the other, so that the innermost loop reads it from end
// to end while a tile of TILE_ROWS x PANEL sums stays in registers.

#define PANEL (PANEL_VECTORS * W)
#define UNROLL _Pragma("clang loop unroll(full)")

// Rows of the source are contiguous.
INLINE void pack_rows(float *panel, const float *source, size_t k, size_t n, size_t k_stride, size_t width) {
    const size_t columns = n < width ? n : width;
    for (size_t kk = 0; kk < k; kk++) {
        float *row = panel + kk * width;
        const float *x = source + kk * k_stride;
        if (columns == PANEL && width == PANEL) {
            UNROLL for (size_t v = 0; v < PANEL_VECTORS; v++) store(row + v * W, load(x + v * W));
        } else if (columns == TILE_ROWS && width == TILE_ROWS) {
            memcpy(row, x, TILE_ROWS * sizeof(float));
        } else {
            for (size_t j = 0; j < width; j++) row[j] = j < columns ? x[j] : 0;
        }
    }
}

// Columns of the source are contiguous.
INLINE void pack_columns(float *panel, const float *source, size_t k, size_t n, size_t n_stride, size_t width) {
    for (size_t j = 0; j < width; j++) {
        for (size_t kk = 0; kk < k; kk++) panel[kk * width + j] = j < n ? source[kk + j * n_stride] : 0;
    }
}

// Some rows of all panels at a time, so that every line of the source is read once.
static void pack(void *packed, const float *source, size_t k, size_t n, size_t k_stride, size_t n_stride, size_t width,
                 size_t panel_stride, size_t first_panel, size_t panels) {
    enum { ROWS = 8 };
    for (size_t k0 = 0; k0 < k; k0 += ROWS) {
        const size_t rows = k - k0 < ROWS ? k - k0 : ROWS;
        for (size_t p = first_panel; p < first_panel + panels && p * width < n; p++) {
            const float *columns = source + p * width * n_stride + k0 * k_stride;
            float *panel = (float *)packed + p * panel_stride + k0 * width;
            if (n_stride == 1) {
                pack_rows(panel, columns, rows, n - p * width, k_stride, width);
            } else {
                pack_columns(panel, columns, rows, n - p * width, n_stride, width);
            }
        }
    }
}

// How many rows of a panel are asked for ahead.
#define AHEAD 40

// Every sum runs over k in order, whatever the number of rows; so a row's result does not depend on its neighbours. A last
// panel may be narrower: `vectors` of its columns are computed.
INLINE void tile(const size_t rows, const size_t vectors, const CharnnProduct *p, size_t k, const float *a,
                 const float *panel, float *c, size_t width, int accumulates) {
    vf sums[TILE_ROWS][PANEL_VECTORS];
    const size_t c_stride = p->cStride, row_stride = p->aRowStride, word_stride = p->aWordStride;
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = (vf){0};
            if (accumulates && v * W < width) {
                sums[r][v] = load_n(c + r * c_stride + v * W, width - v * W < W ? width - v * W : W);
            }
        }
    }
    for (size_t kk = 0; kk < k; kk++) {
        vf b[PANEL_VECTORS];
        UNROLL for (size_t v = 0; v < vectors; v++) b[v] = load(panel + kk * PANEL + v * W);
        // A row or two do not give the processor's own prefetching the time it needs.
        if (rows <= 2) {
            UNROLL for (size_t v = 0; v < vectors; v++) __builtin_prefetch(panel + (kk + AHEAD) * PANEL + v * W);
        }
        UNROLL for (size_t r = 0; r < rows; r++) {
            const float x = a[r * row_stride + kk * word_stride];
            UNROLL for (size_t v = 0; v < vectors; v++) sums[r][v] = b[v] * x + sums[r][v];
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < vectors; v++) {
            if (v * W < width) {
                store_n(c + r * c_stride + v * W, sums[r][v], width - v * W < W ? width - v * W : W);
            }
        }
    }
}

static void multiply(const CharnnProduct *p) {
    // A block of a panel and of the rows stays in the second-level cache.
    enum { BLOCK = 512 };
    for (size_t j = 0; j < p->n; j += PANEL) {
        const size_t width = p->n - j < PANEL ? p->n - j : PANEL;
        for (size_t k0 = 0; k0 < p->words; k0 += BLOCK) {
            const size_t k = p->words - k0 < BLOCK ? p->words - k0 : BLOCK;
            const float *b = (const float *)p->packed + j / PANEL * p->panelStride + k0 * PANEL;
            const int accumulates = p->accumulates || k0 > 0;
            for (size_t r = 0; r < p->m; r += TILE_ROWS) {
                const float *a = (const float *)p->a + r / TILE_ROWS * p->aTileStride + k0 * p->aWordStride;
                float *c = p->c + r * p->cStride + j;
                const size_t rows = p->m - r < TILE_ROWS ? p->m - r : TILE_ROWS;
#define TILE(count, vectors) \
    case count * 4 + vectors: tile(count, vectors, p, k, a, b, c, width, accumulates); break;
#if PANEL_VECTORS > 2
#define ROWS(count) TILE(count, 1) TILE(count, 2) TILE(count, 3)
#else
#define ROWS(count) TILE(count, 1) TILE(count, 2)
#endif
                switch (rows * 4 + (width + W - 1) / W) {
                    ROWS(1) ROWS(2) ROWS(3) ROWS(4)
#if TILE_ROWS > 4
                    ROWS(5) ROWS(6)
#endif
#if TILE_ROWS > 6
                    ROWS(7) ROWS(8)
#endif
                }
#undef ROWS
#undef TILE
            }
        }
    }
}
