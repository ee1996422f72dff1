#include <dlfcn.h>
#include "CCharnnCUDA.h"

static const char *const charnn_cuda_driver_names[] = {
    "cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent",
    "cuMemGetInfo_v2", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemsetD8Async", "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2", "cuCtxGetStreamPriorityRange", "cuStreamCreateWithPriority", "cuStreamDestroy_v2",
    "cuStreamSynchronize", "cuStreamWaitEvent", "cuEventCreate", "cuEventRecord", "cuEventDestroy_v2",
    "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuModuleLoadDataEx", "cuModuleUnload", "cuModuleGetFunction", "cuLaunchKernel", "cuGetErrorName",
};

static const char *const charnn_cuda_compiler_names[] = {
    "nvrtcVersion", "nvrtcCreateProgram", "nvrtcDestroyProgram", "nvrtcCompileProgram", "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog", "nvrtcGetCUBINSize", "nvrtcGetCUBIN", "nvrtcGetPTXSize", "nvrtcGetPTX",
};

// Function pointers are as large as those to data wherever there is dlsym.
static const char *fill(void *library, void **table, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        table[i] = dlsym(library, names[i]);
        if (!table[i]) return names[i];
    }
    return NULL;
}

#define FILL(library, table, names)                                                                              \
    _Static_assert(sizeof(*(table)) == sizeof(names), "one name for each function");                             \
    return fill(library, (void **)(table), names, sizeof(names) / sizeof(*(names)))

const char *charnn_cuda_driver(void *library, CharnnCUDADriver *table) {
    FILL(library, table, charnn_cuda_driver_names);
}

const char *charnn_cuda_compiler(void *library, CharnnCUDACompiler *table) {
    FILL(library, table, charnn_cuda_compiler_names);
}
