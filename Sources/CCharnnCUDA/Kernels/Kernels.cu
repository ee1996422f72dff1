// The CUDA engine's kernels, as one program.
#include "Products.h"
#include "Rows.h"
#include "Steps.h"
#include "Update.h"
