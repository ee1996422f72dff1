// The functions of NVIDIA's driver on emulated devices.
#include "Threads.h"
#include "Emulation.h"
#include "CUDAEmulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

using emulation::Kernel;
using emulation::Order;

namespace {

enum { success = 0, invalidValue = 1, outOfMemory = 2, noDevice = 100, invalidDevice = 101, invalidContext = 201,
       invalidImage = 200, notFound = 500, illegalAddress = 700, launchFailed = 719 };

struct Device {
    int multiprocessors;
    Order order;
    size_t memory;
    size_t used = 0;
};

struct Stream {
    int device;
    bool isCapturing = false;
    std::vector<std::function<int()>> captured;
};

struct Graph {
    std::vector<std::function<int()>> nodes;
};

// Guards everything: tests run side by side.
std::recursive_mutex mutex;
Device devices[] = {
    {4, Order::forward, 2ull << 30},
    {4, Order::backward, 2ull << 30},
    {4, Order::mixed, 2ull << 30},
    {64, Order::forward, 2ull << 30},
    {4, Order::forward, 1 << 20},
    {4, Order::forward, 2ull << 30},
};
constexpr int deviceCount = sizeof(devices) / sizeof(devices[0]);
thread_local int current = -1;

struct Allocation {
    size_t bytes, mapped;
    void *start;
    int device;
};
std::map<unsigned long long, Allocation> allocations;
std::map<std::string, int> calls;

int variable(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

// What a function has to return instead of doing its work; 0: it does it.
int fault(const char *function) {
    const char *text = getenv("EMULATED_CUDA_FAULT");
    if (!text) return success;
    char name[64] = "";
    int result = 0, after = 0;
    if (sscanf(text, "%63[^:]:%d:%d", name, &result, &after) < 2 || strcmp(name, function) != 0) return success;
    return calls[function]++ >= after ? result : success;
}

// Whether a piece of device memory was allocated; what lies elsewhere is an illegal address.
bool isAllocated(unsigned long long address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next == allocations.begin()) return false;
    const auto &[start, allocation] = *std::prev(next);
    return address + bytes <= start + allocation.bytes;
}

int enqueue(Stream *stream, std::function<int()> work) {
    if (!stream->isCapturing) return work();
    stream->captured.push_back(std::move(work));
    return success;
}

}  // namespace

#define FUNCTION(name, ...)                                          \
    extern "C" __attribute__((visibility("default"))) int name(__VA_ARGS__)
#define BEGIN(name)                                                  \
    std::lock_guard<std::recursive_mutex> guard(mutex);              \
    if (int result = fault(name)) return result

FUNCTION(cuInit, unsigned) {
    BEGIN("cuInit");
    return success;
}

FUNCTION(cuDriverGetVersion, int *version) {
    *version = variable("EMULATED_CUDA_VERSION", 12040);
    return success;
}

FUNCTION(cuDeviceGetCount, int *count) {
    *count = variable("EMULATED_CUDA_DEVICES", deviceCount);
    return success;
}

FUNCTION(cuDeviceGet, int *device, int ordinal) {
    if (ordinal < 0 || ordinal >= deviceCount) return invalidDevice;
    *device = ordinal;
    return success;
}

FUNCTION(cuDeviceGetName, char *name, int length, int device) {
    snprintf(name, length, "Emulated GPU %d", device);
    return success;
}

FUNCTION(cuDeviceGetAttribute, int *value, int attribute, int device) {
    if (attribute == 16) *value = devices[device].multiprocessors;
    if (attribute == 75) *value = variable("EMULATED_CUDA_CAPABILITY", 80) / 10;
    if (attribute == 76) *value = variable("EMULATED_CUDA_CAPABILITY", 80) % 10;
    return success;
}

FUNCTION(cuDeviceTotalMem_v2, size_t *bytes, int device) {
    *bytes = devices[device].memory;
    return success;
}

FUNCTION(cuDevicePrimaryCtxRetain, void **context, int device) {
    BEGIN("cuDevicePrimaryCtxRetain");
    *context = &devices[device];
    return success;
}

FUNCTION(cuDevicePrimaryCtxRelease_v2, int) { return success; }

FUNCTION(cuCtxSetCurrent, void *context) {
    current = context ? (int)((Device *)context - devices) : -1;
    return success;
}

FUNCTION(cuMemGetInfo_v2, size_t *free, size_t *total) {
    BEGIN("cuMemGetInfo");
    if (current < 0) return invalidContext;
    *total = devices[current].memory;
    *free = *total - devices[current].used;
    return success;
}

FUNCTION(cuMemAlloc_v2, unsigned long long *address, size_t bytes) {
    BEGIN("cuMemAlloc");
    if (current < 0) return invalidContext;
    if (bytes == 0) return invalidValue;
    if (bytes > devices[current].memory - devices[current].used) return outOfMemory;
    // The end lies, but for alignment, at a page that nobody may touch.
    const size_t page = sysconf(_SC_PAGESIZE), rounded = (bytes + 15) / 16 * 16;
    const size_t mapped = (rounded + page - 1) / page * page;
    char *start = (char *)mmap(nullptr, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return outOfMemory;
    mprotect(start + mapped, page, PROT_NONE);
    // No number, as fp32 and as fp16.
    memset(start, 0xFF, mapped);
    *address = (unsigned long long)(start + mapped - rounded);
    allocations[*address] = {bytes, mapped + page, start, current};
    devices[current].used += bytes;
    return success;
}

FUNCTION(cuMemFree_v2, unsigned long long address) {
    BEGIN("cuMemFree");
    auto found = allocations.find(address);
    if (found == allocations.end()) return invalidValue;
    munmap(found->second.start, found->second.mapped);
    devices[found->second.device].used -= found->second.bytes;
    allocations.erase(found);
    return success;
}

FUNCTION(cuMemsetD8Async, unsigned long long to, unsigned char value, size_t bytes, Stream *stream) {
    BEGIN("cuMemsetD8Async");
    return enqueue(stream, [=] {
        if (!isAllocated(to, bytes)) return (int)illegalAddress;
        memset((void *)to, value, bytes);
        return (int)success;
    });
}

FUNCTION(cuMemcpyHtoDAsync_v2, unsigned long long to, const void *from, size_t bytes, Stream *stream) {
    BEGIN("cuMemcpyHtoDAsync");
    if (stream->isCapturing) return invalidValue;
    if (!isAllocated(to, bytes)) return illegalAddress;
    memcpy((void *)to, from, bytes);
    return success;
}

FUNCTION(cuMemcpyDtoHAsync_v2, void *to, unsigned long long from, size_t bytes, Stream *stream) {
    BEGIN("cuMemcpyDtoHAsync");
    if (stream->isCapturing) return invalidValue;
    if (!isAllocated(from, bytes)) return illegalAddress;
    memcpy(to, (const void *)from, bytes);
    return success;
}

FUNCTION(cuStreamCreate, Stream **stream, unsigned) {
    BEGIN("cuStreamCreate");
    if (current < 0) return invalidContext;
    *stream = new Stream{current};
    return success;
}

FUNCTION(cuStreamDestroy_v2, Stream *stream) {
    delete stream;
    return success;
}

FUNCTION(cuStreamSynchronize, Stream *stream) {
    BEGIN("cuStreamSynchronize");
    return stream->isCapturing ? invalidValue : success;
}

FUNCTION(cuStreamBeginCapture_v2, Stream *stream, int) {
    BEGIN("cuStreamBeginCapture");
    stream->isCapturing = true;
    stream->captured.clear();
    return success;
}

FUNCTION(cuStreamEndCapture, Stream *stream, Graph **graph) {
    BEGIN("cuStreamEndCapture");
    stream->isCapturing = false;
    *graph = new Graph{std::move(stream->captured)};
    stream->captured.clear();
    return success;
}

FUNCTION(cuGraphInstantiateWithFlags, Graph **executable, Graph *graph, unsigned long long) {
    BEGIN("cuGraphInstantiate");
    *executable = new Graph(*graph);
    return success;
}

FUNCTION(cuGraphLaunch, Graph *graph, Stream *) {
    BEGIN("cuGraphLaunch");
    for (const auto &node : graph->nodes) {
        if (int result = node()) return result;
    }
    return success;
}

FUNCTION(cuGraphDestroy, Graph *graph) {
    delete graph;
    return success;
}

FUNCTION(cuGraphExecDestroy, Graph *graph) {
    delete graph;
    return success;
}

FUNCTION(cuModuleLoadDataEx, void **module, const void *image, unsigned, int *, void **) {
    BEGIN("cuModuleLoadDataEx");
    const char *text = (const char *)image;
    if (!strstr(text, ".version") && strncmp(text, "\177ELF", 4) != 0) return invalidImage;
    static char loaded;
    *module = &loaded;
    return success;
}

FUNCTION(cuModuleUnload, void *) { return success; }

FUNCTION(cuModuleGetFunction, const Kernel **function, void *, const char *name) {
    BEGIN("cuModuleGetFunction");
    for (const Kernel *kernel = Kernel::first; kernel; kernel = kernel->next) {
        if (strcmp(kernel->name, name) == 0) {
            *function = kernel;
            return success;
        }
    }
    return notFound;
}

FUNCTION(
    cuLaunchKernel, const Kernel *kernel, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
    unsigned blockZ, unsigned, Stream *stream, void **arguments, void **) {
    BEGIN("cuLaunchKernel");
    // As the hardware has it: at most 65,535 blocks in y and z.
    if ((int)blockX != kernel->threads || blockY != 1 || blockZ != 1) return invalidValue;
    if (gridX == 0 || gridY == 0 || gridZ == 0 || gridX > 0x7FFFFFFF || gridY > 65535 || gridZ > 65535) {
        return invalidValue;
    }
    const char *first = (const char *)arguments[0];
    const std::vector<char> copy(first, first + kernel->argumentBytes);
    const Order order = devices[stream->device].order;
    return enqueue(stream, [=] {
        const std::string problem = emulation::run(*kernel, copy.data(), gridX, gridY, gridZ, blockX, order);
        if (problem.empty()) return (int)success;
        fprintf(stderr, "Emulated kernel %s: %s\n", kernel->name, problem.c_str());
        return (int)launchFailed;
    });
}

FUNCTION(cuGetErrorName, int result, const char **name) {
    switch (result) {
    case success: *name = "CUDA_SUCCESS"; break;
    case outOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case 46: *name = "CUDA_ERROR_DEVICE_UNAVAILABLE"; break;
    case noDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case illegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case launchFailed: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN";
    }
    return success;
}
