// Device primitives. The kernels (kernels.h) use only these, so that the very same kernel source also runs on a CPU (emu.cpp).
#pragma once
#ifndef __CUDACC_RTC__
#include <cstdint>
#include <cstddef>
#else
#endif
typedef unsigned short u16;
typedef unsigned int u32;

#ifndef EMU
#ifndef __CUDACC_RTC__
#include <cuda_runtime.h>
#endif
#define DEV static __device__ __forceinline__
#define UNROLL _Pragma("unroll")
DEV int tidx() { return threadIdx.x; }
DEV int bidx() { return blockIdx.x; }
DEV char *smem() {
    extern __shared__ __align__(1024) char dynamicShared[];
    return dynamicShared;
}
// Loads and stores through which blocks talk: relaxed, gpu scope (they skip L1).
DEV uint4 ldRelaxed4(const void *p) {
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
    return v;
}
DEV u32 ldRelaxed1(const void *p) {
    u32 v;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
DEV void stRelaxed4(void *p, uint4 v) {
    asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
DEV void stRelaxed2(void *p, uint2 v) { asm volatile("st.relaxed.gpu.global.v2.u32 [%0], {%1,%2};" ::"l"(p), "r"(v.x), "r"(v.y) : "memory"); }
DEV void prefetchL2(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
DEV void pauseNano(int ns) {
    if (ns > 0) asm volatile("nanosleep.u32 %0;" ::"r"(ns));
}
DEV void stRelaxed1(void *p, u32 v) { asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
DEV void stRelaxedH(void *p, u16 v) { asm volatile("st.relaxed.gpu.global.u16 [%0], %1;" ::"l"(p), "h"(v) : "memory"); }
// Constant for the whole launch. volatile: loaded once, never again in place of keeping the register.
DEV uint4 ldConst4(const void *p) {
    uint4 v;
    asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}
DEV uint2 ldConst2(const void *p) {
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
}
DEV float ldConstF(const void *p) {
    float v;
    asm volatile("ld.global.nc.L1::no_allocate.f32 %0, [%1];" : "=f"(v) : "l"(p));
    return v;
}
DEV void st2(void *p, uint2 v) { asm volatile("st.global.v2.u32 [%0], {%1,%2};" ::"l"(p), "r"(v.x), "r"(v.y)); }
DEV void stF(void *p, float v) { asm volatile("st.global.f32 [%0], %1;" ::"l"(p), "f"(v)); }
DEV void barSync(int id, int n) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n) : "memory"); }
DEV void barArrive(int id, int n) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(n) : "memory"); }
DEV void warpSync() { __syncwarp(); }
DEV bool anySync(bool x) { return __any_sync(0xFFFFFFFFu, x); }
DEV void mma(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEV u16 toHalf(float x) {
    u16 r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
}
DEV float fromHalf(u16 x) {
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
    return r;
}
// lo in the low half.
DEV u32 pack2(float lo, float hi) {
    u32 r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}
DEV float tanhApprox(float x) {
    float r;
    asm("tanh.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEV float expApprox(float x) { return __expf(x); }
DEV float divApprox(float x, float y) { return __fdividef(x, y); }
// ---- thread-block clusters ----
DEV u32 shuffle(u32 x, int lane) { return __shfl_sync(0xFFFFFFFFu, x, lane); }
// The place of this block's shared memory, at `p`, in the block `rank` of the cluster.
DEV u32 remoteAddress(const void *p, int rank) {
    u32 r;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(r) : "r"((u32)__cvta_generic_to_shared(p)), "r"(rank));
    return r;
}
// 16 bytes to a block of the cluster, counted on a barrier there.
DEV void sendAsync(u32 to, uint4 v, u32 barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1,%2,%3,%4}, [%5];"
                 ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"(barrier) : "memory");
}
DEV void barrierInit(void *barrier) { asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"((u32)__cvta_generic_to_shared(barrier)) : "memory"); }
DEV void barrierInitDone() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEV void barrierExpect(void *barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"((u32)__cvta_generic_to_shared(barrier)), "r"(bytes) : "memory");
}
DEV bool barrierPassed(void *barrier, u32 parity) {
    u32 done;
    asm volatile("{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done) : "r"((u32)__cvta_generic_to_shared(barrier)), "r"(parity) : "memory");
    return done != 0;
}
DEV void clusterSync() {
    __syncwarp();
    asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
DEV u32 bits(float x) { return __float_as_uint(x); }
DEV float value(u32 x) { return __uint_as_float(x); }
DEV long long now() { return clock64(); }
DEV void pauseCycles(int cycles) {
    if (cycles > 0) {
        const long long from = clock64();
        while (clock64() - from < cycles) {
        }
    }
}
#endif
