// The kernels inside the program: as source for NVRTC, and as PTX for the driver alone (`make-ptx` writes it).
#include "CCharnnCUDA.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char program[] = {
#embed "Kernels/Kernels.cu"
    , 0};
static const char arguments[] = {
#embed "include/CharnnCUDAArguments.h"
    , 0};
static const char platform[] = {
#embed "Kernels/Platform.h"
    , 0};
static const char products[] = {
#embed "Kernels/Products.h"
    , 0};
static const char rows[] = {
#embed "Kernels/Rows.h"
    , 0};
static const char steps[] = {
#embed "Kernels/Steps.h"
    , 0};
static const char update[] = {
#embed "Kernels/Update.h"
    , 0};

static const CharnnKernelSource sources[] = {
    {"Kernels.cu", program}, {"CharnnCUDAArguments.h", arguments}, {"Platform.h", platform},
    {"Products.h", products}, {"Rows.h", rows}, {"Steps.h", steps}, {"Update.h", update},
};

static const char ptx[] = {
#embed "Kernels/Kernels.ptx"
    , 0};

int charnn_kernel_source_count(void) { return sizeof(sources) / sizeof(sources[0]); }
CharnnKernelSource charnn_kernel_source(int index) { return sources[index]; }
const char *charnn_kernel_ptx(void) { return ptx; }
