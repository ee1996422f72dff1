// The parts of NVIDIA's driver and of its run-time compiler that the CUDA engine uses, opened at run time, and the kernels.
// The prototypes are written after NVIDIA's documentation; nothing of its headers is needed.
#ifndef CCHARNN_CUDA_H
#define CCHARNN_CUDA_H

#include <stddef.h>
#include "CharnnCUDAArguments.h"

typedef int CharnnCUResult;
typedef int CharnnCUDevice;
typedef struct CharnnCUContext *CharnnCUContextRef;
typedef struct CharnnCUStream *CharnnCUStreamRef;
typedef struct CharnnCUEvent *CharnnCUEventRef;
typedef struct CharnnCUModule *CharnnCUModuleRef;
typedef struct CharnnCUFunction *CharnnCUFunctionRef;
typedef struct CharnnCUGraph *CharnnCUGraphRef;
typedef struct CharnnCUGraphExec *CharnnCUGraphExecRef;

// CUresult and CUdevice_attribute, as far as they are told apart.
enum {
    CharnnCUSuccess = 0,
    CharnnCUOutOfMemory = 2,
    CharnnCUDeviceUnavailable = 46,
    CharnnCUNoDevice = 100,
    CharnnCUInvalidDevice = 101,
    CharnnCUNoBinaryForGPU = 209,
    CharnnCUUnsupportedPTXVersion = 222,
    CharnnCUSystemDriverMismatch = 803,

    CharnnCUMultiprocessorCount = 16,
    CharnnCUComputeCapabilityMajor = 75,
    CharnnCUComputeCapabilityMinor = 76,

    CharnnCUStreamNonBlocking = 1,
    CharnnCUEventDisableTiming = 2,
    CharnnCUCaptureThreadLocal = 1,
    CharnnCUGraphUseNodePriority = 8,
};

// Functions of libcuda.so.1 in the order of `charnn_cuda_driver_names`.
typedef struct {
    CharnnCUResult (*init)(unsigned flags);
    CharnnCUResult (*driverGetVersion)(int *version);
    CharnnCUResult (*deviceGetCount)(int *count);
    CharnnCUResult (*deviceGet)(CharnnCUDevice *device, int ordinal);
    CharnnCUResult (*deviceGetName)(char *name, int length, CharnnCUDevice device);
    CharnnCUResult (*deviceGetAttribute)(int *value, int attribute, CharnnCUDevice device);
    CharnnCUResult (*deviceTotalMem)(size_t *bytes, CharnnCUDevice device);
    CharnnCUResult (*primaryCtxRetain)(CharnnCUContextRef *context, CharnnCUDevice device);
    CharnnCUResult (*primaryCtxRelease)(CharnnCUDevice device);
    CharnnCUResult (*ctxSetCurrent)(CharnnCUContextRef context);
    CharnnCUResult (*memGetInfo)(size_t *free, size_t *total);
    CharnnCUResult (*memAlloc)(CharnnAddress *address, size_t bytes);
    CharnnCUResult (*memFree)(CharnnAddress address);
    CharnnCUResult (*memsetD8Async)(CharnnAddress to, unsigned char value, size_t bytes, CharnnCUStreamRef stream);
    CharnnCUResult (*memcpyHtoDAsync)(CharnnAddress to, const void *from, size_t bytes, CharnnCUStreamRef stream);
    CharnnCUResult (*memcpyDtoHAsync)(void *to, CharnnAddress from, size_t bytes, CharnnCUStreamRef stream);
    CharnnCUResult (*ctxGetStreamPriorityRange)(int *least, int *greatest);
    CharnnCUResult (*streamCreateWithPriority)(CharnnCUStreamRef *stream, unsigned flags, int priority);
    CharnnCUResult (*streamDestroy)(CharnnCUStreamRef stream);
    CharnnCUResult (*streamSynchronize)(CharnnCUStreamRef stream);
    CharnnCUResult (*streamWaitEvent)(CharnnCUStreamRef stream, CharnnCUEventRef event, unsigned flags);
    CharnnCUResult (*eventCreate)(CharnnCUEventRef *event, unsigned flags);
    CharnnCUResult (*eventRecord)(CharnnCUEventRef event, CharnnCUStreamRef stream);
    CharnnCUResult (*eventDestroy)(CharnnCUEventRef event);
    CharnnCUResult (*streamBeginCapture)(CharnnCUStreamRef stream, int mode);
    CharnnCUResult (*streamEndCapture)(CharnnCUStreamRef stream, CharnnCUGraphRef *graph);
    CharnnCUResult (*graphInstantiate)(CharnnCUGraphExecRef *graph, CharnnCUGraphRef from, unsigned long long flags);
    CharnnCUResult (*graphLaunch)(CharnnCUGraphExecRef graph, CharnnCUStreamRef stream);
    CharnnCUResult (*graphDestroy)(CharnnCUGraphRef graph);
    CharnnCUResult (*graphExecDestroy)(CharnnCUGraphExecRef graph);
    CharnnCUResult (*moduleLoadDataEx)(
        CharnnCUModuleRef *module, const void *image, unsigned count, int *options, void **values);
    CharnnCUResult (*moduleUnload)(CharnnCUModuleRef module);
    CharnnCUResult (*moduleGetFunction)(CharnnCUFunctionRef *function, CharnnCUModuleRef module, const char *name);
    CharnnCUResult (*launchKernel)(
        CharnnCUFunctionRef function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
        unsigned blockZ, unsigned sharedBytes, CharnnCUStreamRef stream, void **arguments, void **extra);
    CharnnCUResult (*getErrorName)(CharnnCUResult result, const char **name);
} CharnnCUDADriver;

// Functions of libnvrtc.so in the order of `charnn_cuda_compiler_names`.
typedef struct {
    int (*version)(int *major, int *minor);
    int (*createProgram)(
        void **program, const char *source, const char *name, int headerCount, const char *const *headers,
        const char *const *headerNames);
    int (*destroyProgram)(void **program);
    int (*compileProgram)(void *program, int optionCount, const char *const *options);
    int (*getLogSize)(void *program, size_t *bytes);
    int (*getLog)(void *program, char *log);
    int (*getCUBINSize)(void *program, size_t *bytes);
    int (*getCUBIN)(void *program, char *binary);
    int (*getPTXSize)(void *program, size_t *bytes);
    int (*getPTX)(void *program, char *text);
} CharnnCUDACompiler;

// Fills a table from an opened library; returns the name of the first function that it lacks, or NULL.
const char *charnn_cuda_driver(void *library, CharnnCUDADriver *table);
const char *charnn_cuda_compiler(void *library, CharnnCUDACompiler *table);

// A part of the kernels' source, by the name under which others include it; number 0 is the program itself.
typedef struct {
    const char *name, *text;
} CharnnKernelSource;
int charnn_kernel_source_count(void);
CharnnKernelSource charnn_kernel_source(int index);

// The kernels as PTX for compute_80, ended by a zero.
const char *charnn_kernel_ptx(void);

#endif
