// The kernels for AVX2 with FMA.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define W 8
#define TILE_ROWS 6
#define PANEL_VECTORS 2
#define LEVEL_NAME "avx2"
#define LEVEL_TABLE charnn_kernels_avx2
#define INTERLEAVE(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
#include "KernelBody.h"
#pragma clang attribute pop
#endif
