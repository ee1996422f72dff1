// The functions of NVIDIA's driver on emulated devices.
#include "Threads.h"
#include "Emulation.h"
#include "CUDAEmulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

using emulation::Kernel;
using emulation::Order;

namespace {

enum { success = 0, invalidValue = 1, outOfMemory = 2, noDevice = 100, invalidDevice = 101, invalidContext = 201,
       invalidImage = 200, notFound = 500, illegalAddress = 700, launchFailed = 719, captureUnjoined = 904,
       captureIsolation = 905 };

// A piece of work, and those before it that it has to wait for.
struct Node {
    std::function<int()> work;
    std::vector<size_t> after;
};
using Nodes = std::vector<Node>;

// What streams were asked for and is not done yet. As on a GPU, nothing but what they waited for orders streams: the work is
// done only when somebody waits for it, and of what could be next a device takes the oldest, the newest, or any.
struct Device {
    int multiprocessors;
    Order order;
    size_t memory;
    size_t used = 0;
    Nodes pending;
    // Counts how often all was done, which is when the numbers of nodes begin anew.
    unsigned long long generation = 0;
    // What went wrong; a device that failed stays so.
    int failure = 0;
};

struct Capture {
    Nodes nodes;
    // Streams that have a part in it, and were not joined again by the first of them.
    std::vector<struct Stream *> streams;
};

struct Event {
    std::shared_ptr<Capture> capture;
    unsigned long long generation = 0;
    std::vector<size_t> after;
};

struct Stream {
    int device;
    std::shared_ptr<Capture> capture;
    bool isOrigin = false;
    // What its next work comes after on the device, of that generation, and in the capture.
    std::vector<size_t> after;
    unsigned long long generation = 0;
    std::vector<size_t> captured;
};

struct Graph {
    Nodes nodes;
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

// Does all of them, each after those that it waits for.
int perform(const Nodes &nodes, Order order) {
    std::vector<size_t> waiting(nodes.size());
    std::vector<std::vector<size_t>> next(nodes.size());
    std::vector<size_t> ready;
    for (size_t i = 0; i < nodes.size(); i++) {
        waiting[i] = nodes[i].after.size();
        for (size_t before : nodes[i].after) next[before].push_back(i);
        if (waiting[i] == 0) ready.push_back(i);
    }
    unsigned seed = 1;
    while (!ready.empty()) {
        size_t place = 0;
        if (order == Order::mixed) {
            seed = seed * 1664525 + 1013904223;
            place = (seed >> 8) % ready.size();
        } else {
            for (size_t i = 1; i < ready.size(); i++) {
                if (order == Order::forward ? ready[i] < ready[place] : ready[i] > ready[place]) place = i;
            }
        }
        const size_t node = ready[place];
        ready.erase(ready.begin() + place);
        if (int result = nodes[node].work()) return result;
        for (size_t i : next[node]) {
            if (--waiting[i] == 0) ready.push_back(i);
        }
    }
    return success;
}

int finish(Device &device) {
    Nodes pending;
    pending.swap(device.pending);
    device.generation++;
    if (device.failure == success) device.failure = perform(pending, device.order);
    return device.failure;
}

std::vector<size_t> &after(Stream *stream) {
    if (stream->capture) return stream->captured;
    if (stream->generation != devices[stream->device].generation) {
        stream->after.clear();
        stream->generation = devices[stream->device].generation;
    }
    return stream->after;
}

int enqueue(Stream *stream, std::function<int()> work) {
    Device &device = devices[stream->device];
    if (device.failure) return device.failure;
    Nodes &nodes = stream->capture ? stream->capture->nodes : device.pending;
    nodes.push_back({std::move(work), after(stream)});
    after(stream) = {nodes.size() - 1};
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
    if (current >= 0) finish(devices[current]);
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
    if (stream->capture) return invalidValue;
    if (!isAllocated(to, bytes)) return illegalAddress;
    const std::vector<char> copy((const char *)from, (const char *)from + bytes);
    return enqueue(stream, [=] {
        memcpy((void *)to, copy.data(), copy.size());
        return (int)success;
    });
}

FUNCTION(cuMemcpyDtoHAsync_v2, void *to, unsigned long long from, size_t bytes, Stream *stream) {
    BEGIN("cuMemcpyDtoHAsync");
    if (stream->capture) return invalidValue;
    if (!isAllocated(from, bytes)) return illegalAddress;
    if (int result = finish(devices[stream->device])) return result;
    memcpy(to, (const void *)from, bytes);
    return success;
}

FUNCTION(cuCtxGetStreamPriorityRange, int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return success;
}

FUNCTION(cuStreamCreateWithPriority, Stream **stream, unsigned, int) {
    BEGIN("cuStreamCreate");
    if (current < 0) return invalidContext;
    *stream = new Stream{current};
    return success;
}

FUNCTION(cuStreamDestroy_v2, Stream *stream) {
    BEGIN("cuStreamDestroy");
    finish(devices[stream->device]);
    delete stream;
    return success;
}

FUNCTION(cuStreamSynchronize, Stream *stream) {
    BEGIN("cuStreamSynchronize");
    return stream->capture ? (int)invalidValue : finish(devices[stream->device]);
}

FUNCTION(cuEventCreate, Event **event, unsigned) {
    BEGIN("cuEventCreate");
    *event = new Event;
    return success;
}

FUNCTION(cuEventDestroy_v2, Event *event) {
    delete event;
    return success;
}

FUNCTION(cuEventRecord, Event *event, Stream *stream) {
    BEGIN("cuEventRecord");
    event->after = after(stream);
    event->capture = stream->capture;
    event->generation = stream->generation;
    return success;
}

FUNCTION(cuStreamWaitEvent, Stream *stream, const Event *event, unsigned) {
    BEGIN("cuStreamWaitEvent");
    if (event->capture) {
        // A stream that waits for what is captured is captured from there on.
        if (!stream->capture) {
            stream->capture = event->capture;
            stream->capture->streams.push_back(stream);
            stream->captured.clear();
        }
        if (stream->capture != event->capture) return captureIsolation;
    } else if (stream->capture) {
        return captureIsolation;
    } else if (event->generation != devices[stream->device].generation) {
        return success;  // Done already.
    }
    std::vector<size_t> &all = after(stream);
    for (size_t node : event->after) {
        if (std::find(all.begin(), all.end(), node) == all.end()) all.push_back(node);
    }
    return success;
}

FUNCTION(cuStreamBeginCapture_v2, Stream *stream, int) {
    BEGIN("cuStreamBeginCapture");
    if (stream->capture) return invalidValue;
    stream->capture = std::make_shared<Capture>();
    stream->isOrigin = true;
    stream->captured.clear();
    return success;
}

FUNCTION(cuStreamEndCapture, Stream *stream, Graph **graph) {
    BEGIN("cuStreamEndCapture");
    if (!stream->capture || !stream->isOrigin) return invalidValue;
    const std::shared_ptr<Capture> capture = stream->capture;
    // Nothing that another stream did last may be left that the first does not come after.
    std::vector<bool> reached(capture->nodes.size());
    for (size_t node : stream->captured) reached[node] = true;
    for (size_t node = capture->nodes.size(); node-- > 0;) {
        if (!reached[node]) continue;
        for (size_t before : capture->nodes[node].after) reached[before] = true;
    }
    capture->streams.push_back(stream);
    for (Stream *each : capture->streams) {
        each->capture = nullptr;
        each->isOrigin = false;
    }
    if (std::find(reached.begin(), reached.end(), false) != reached.end()) return captureUnjoined;
    *graph = new Graph{std::move(capture->nodes)};
    return success;
}

FUNCTION(cuGraphInstantiateWithFlags, Graph **executable, Graph *graph, unsigned long long flags) {
    BEGIN("cuGraphInstantiate");
    if (flags != 8) return invalidValue;  // Without it the branches' priorities are lost.
    *executable = new Graph(*graph);
    return success;
}

FUNCTION(cuGraphLaunch, const Graph *graph, Stream *stream) {
    BEGIN("cuGraphLaunch");
    if (stream->capture) return invalidValue;
    const Order order = devices[stream->device].order;
    return enqueue(stream, [nodes = graph->nodes, order] { return perform(nodes, order); });
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
