// Products with packed weights; part of KernelBody.h.
//
// The recurrence multiplies a few rows by the same weights at every time step. A library would rearrange the weights at
// each call; here that is done once a step of training. A panel holds PANEL columns of the right operand, one row after
// the other, so that the innermost loop reads it from end to end while a tile of TILE_ROWS x PANEL sums stays in
// registers.

#define PANEL (PANEL_VECTORS * W)
#define UNROLL _Pragma("clang loop unroll(full)")

static size_t packed_count(size_t k, size_t n) { return (n + PANEL - 1) / PANEL * PANEL * k; }

// One panel of the right operand, whose element (kk, j) is at source[kk * k_stride + j * n_stride]; columns from n on are
// zero.
static void pack_panel(float *panel, const float *source, size_t k, size_t n, size_t k_stride, size_t n_stride) {
    for (size_t k0 = 0; k0 < k; k0 += 16) {
        const size_t block = k - k0 < 16 ? k - k0 : 16;
        for (size_t j = 0; j < PANEL; j++) {
            for (size_t kk = k0; kk < k0 + block; kk++) {
                panel[kk * PANEL + j] = j < n ? source[kk * k_stride + j * n_stride] : 0;
            }
        }
    }
}

static void pack(float *packed, const float *source, size_t k, size_t n, size_t k_stride, size_t n_stride,
                 size_t first_panel, size_t panels) {
    for (size_t p = first_panel; p < first_panel + panels && p * PANEL < n; p++) {
        pack_panel(packed + p * k * PANEL, source + p * PANEL * n_stride, k, n - p * PANEL, k_stride, n_stride);
    }
}

// Every sum runs over k in order, whatever the number of rows; so a row's result does not depend on its neighbours.
INLINE void tile(const size_t rows, size_t k, const float *a, size_t a_stride, const float *panel, float *c,
                 size_t c_stride, size_t width, int accumulate) {
    vf sums[TILE_ROWS][PANEL_VECTORS];
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < PANEL_VECTORS; v++) {
            sums[r][v] = (vf){0};
            if (accumulate && v * W < width) {
                sums[r][v] = load_n(c + r * c_stride + v * W, width - v * W < W ? width - v * W : W);
            }
        }
    }
    for (size_t kk = 0; kk < k; kk++) {
        vf b[PANEL_VECTORS];
        UNROLL for (size_t v = 0; v < PANEL_VECTORS; v++) b[v] = load(panel + kk * PANEL + v * W);
        UNROLL for (size_t r = 0; r < rows; r++) {
            const float x = a[r * a_stride + kk];
            UNROLL for (size_t v = 0; v < PANEL_VECTORS; v++) sums[r][v] = b[v] * x + sums[r][v];
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t v = 0; v < PANEL_VECTORS; v++) {
            if (v * W < width) {
                store_n(c + r * c_stride + v * W, sums[r][v], width - v * W < W ? width - v * W : W);
            }
        }
    }
}

static void multiply_packed(const CharnnPackedProduct *p) {
    // A block of a panel and of the rows stays in the second-level cache.
    enum { K_BLOCK = 512 };
    for (size_t j = 0; j < p->n; j += PANEL) {
        const size_t width = p->n - j < PANEL ? p->n - j : PANEL;
        const float *panel = p->packed + j / PANEL * p->panelStride;
        for (size_t k0 = 0; k0 < p->k; k0 += K_BLOCK) {
            const size_t k = p->k - k0 < K_BLOCK ? p->k - k0 : K_BLOCK;
            const int accumulate = p->accumulates || k0 > 0;
            for (size_t r = 0; r < p->m; r += TILE_ROWS) {
                const float *a = p->a + r * p->aStride + k0;
                const float *b = panel + k0 * PANEL;
                float *c = p->c + r * p->cStride + j;
#define ROWS(count) \
    case count: tile(count, k, a, p->aStride, b, c, p->cStride, width, accumulate); break;
                switch (p->m - r < TILE_ROWS ? p->m - r : TILE_ROWS) {
                    ROWS(1) ROWS(2) ROWS(3) ROWS(4)
#if TILE_ROWS > 4
                    ROWS(5) ROWS(6)
#endif
#if TILE_ROWS > 6
                    ROWS(7) ROWS(8)
#endif
                }
#undef ROWS
            }
        }
    }
}
