// A driver library for a machine without a GPU: the functions of libcuda.so.1 that charnnd calls, on emulated devices.
//
// The kernels are the real ones, compiled as C++. Each thread of a block is a coroutine; barriers, shared memory, lane
// exchanges, matrix loads and the matrix instruction do what NVIDIA's documents say. Memory ends at a page that nobody may touch,
// and is no number where nothing was written. There are several devices, which differ in what a program must not depend on:
//
// | device | multiprocessors | threads, blocks and streams run in | memory |
// |---|---|---|---|
// | 0 | 4 | order | 2 GiB |
// | 1 | 4 | reverse order, each warp as far as it gets | 2 GiB |
// | 2 | 4 | an order that changes at every barrier | 2 GiB |
// | 3 | 64 | order | 2 GiB |
// | 4 | 4 | order | 1 MiB |
// | 5 | 4 | order | 2 GiB |
//
// What goes wrong in a kernel is told by the next call that waits, and by every one after it.
//
// EMULATED_CUDA_FAULT=FUNCTION:RESULT[:AFTER] makes a function return that CUresult from its call number AFTER + 1 on;
// EMULATED_CUDA_VERSION=N tells another driver version; EMULATED_CUDA_DEVICES=N another number of devices.
#ifndef CUDA_EMULATION_H
#define CUDA_EMULATION_H
#ifdef __cplusplus
extern "C"
#endif
int cuInit(unsigned flags);
#endif
