// The kernels for vectors of four floats: what every x86-64 and every arm64 processor has.
#define W 4
#define TILE_ROWS 4
#define PANEL_VECTORS 2
#define LEVEL_NAME "plain"
#define LEVEL_TABLE charnn_kernels_plain
#define INTERLEAVE(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5, 2, 6, 3, 7)
#include "KernelBody.h"
