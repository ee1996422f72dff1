// The kernels for AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#include <immintrin.h>

#define W 16
#define TILE_ROWS 8
#define PANEL_VECTORS 3
#define LEVEL_NAME "avx512"
#define LEVEL_TABLE charnn_kernels_avx512
#define INTERLEAVE(a, b)                                                                                             \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, \
                            27, 12, 28, 13, 29, 14, 30, 15, 31)
// The hardware's estimate to 14 bits and one step of Newton's method: about 1 ulp, and cheaper than a division.
static inline __attribute__((always_inline)) __m512 reciprocal(__m512 x) {
    const __m512 r = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(1)), r);
}
#define RECIPROCAL(x) (vf)reciprocal((__m512)(x))
#include "KernelBody.h"
#pragma clang attribute pop
#endif
