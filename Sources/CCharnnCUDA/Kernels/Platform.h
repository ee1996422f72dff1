// What the kernels need of the hardware. They are written in the common part of CUDA and C++: compiled by NVRTC they run
// on a GPU; compiled as C++ against the emulation in Tests, which brings its own version of these, on a processor.
#ifndef CHARNN_PLATFORM_H
#define CHARNN_PLATFORM_H

#include "CharnnCUDAArguments.h"

#ifdef CHARNN_EMULATION
#include "Emulation.h"
#else

#define CHARNN_DEVICE static __device__ __forceinline__
#define CHARNN_DEVICE_MEMBER static __device__ __forceinline__
#define CHARNN_SHARED __shared__ __align__(16)
#define CHARNN_KERNEL(threads, name, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads, 1) name(const Arguments a)

struct Half {
    unsigned short bits;
};

CHARNN_DEVICE float toFloat(Half x) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
    return result;
}

// What is too large becomes infinite.
CHARNN_DEVICE Half toHalf(float x) {
    Half result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
    return result;
}

// c += a b for a [16, 16], b [16, 8], c [16, 8]. Lane i holds, with r = i / 4 and q = 2 (i % 4), of a the pairs at (r, q),
// (r + 8, q), (r, q + 8), (r + 8, q + 8); of b those at rows q and q + 8 of column r; of c (r, q), (r, q + 1), (r + 8, q), (r + 8, q + 1).
CHARNN_DEVICE void multiplyAdd(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

CHARNN_DEVICE unsigned sharedAddress(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

// Four matrices [8, 8] of fp16: lane i names row i % 8 of matrix i / 8, 16 aligned bytes, and gets of each matrix the pair
// of row i / 4 from column 2 (i % 4) on.
CHARNN_DEVICE void loadMatrices(unsigned (&to)[4], const Half *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(sharedAddress(row))
                 : "memory");
}

// The same of the transposed matrices.
CHARNN_DEVICE void loadMatricesTransposed(unsigned (&to)[4], const Half *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(sharedAddress(row))
                 : "memory");
}

// Begins to copy 16 aligned bytes to shared memory, of which those from `bytes` on become zero.
CHARNN_DEVICE void copyAsync(Half *to, const Half *from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(from), "r"(bytes)
                 : "memory");
}

CHARNN_DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `pending` groups of copies are under way.
template <int pending>
CHARNN_DEVICE void waitForCopies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

CHARNN_DEVICE float laneExchange(float x, int mask) { return __shfl_xor_sync(0xFFFFFFFFu, x, mask); }
CHARNN_DEVICE unsigned laneBallot(bool x) { return __ballot_sync(0xFFFFFFFFu, x); }
CHARNN_DEVICE int laneCount(unsigned lanes) { return __popc(lanes); }

#endif

CHARNN_DEVICE float toFloat(float x) { return x; }

CHARNN_DEVICE void put(float *to, float x) { *to = x; }
CHARNN_DEVICE void put(Half *to, float x) { *to = toHalf(x); }

template <typename T>
CHARNN_DEVICE T *at(CharnnAddress address) {
    return (T *)address;
}

CHARNN_DEVICE float laneSum(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x += laneExchange(x, mask);
    return x;
}

CHARNN_DEVICE float laneMaximum(float x) {
    for (int mask = 16; mask > 0; mask /= 2) {
        // Written so that NaN, which no comparison holds for, is kept once it is there.
        const float other = laneExchange(x, mask);
        x = x > other || x != x ? x : other;
    }
    return x;
}

CHARNN_DEVICE float sigmoid(float x) { return 1 / (1 + expf(-x)); }

#endif
