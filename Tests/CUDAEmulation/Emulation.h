// What Kernels/Platform.h has for CUDA, for a processor.
#ifndef CHARNN_EMULATION_H
#define CHARNN_EMULATION_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHARNN_DEVICE static inline
#define CHARNN_DEVICE_MEMBER static inline
// One block runs at a time, so that one copy is enough.
#define CHARNN_SHARED alignas(16) static
#define CHARNN_KERNEL(threads, name, Arguments)                                                        \
    static void name(const Arguments &a);                                                              \
    static const emulation::Kernel registered_##name(                                                  \
        #name, threads, sizeof(Arguments), [](const void *p) { name(*(const Arguments *)p); });        \
    static void name(const Arguments &a)

struct uint4 {
    unsigned x, y, z, w;
};

namespace emulation {

struct Place {
    int x, y, z;
};

struct Kernel {
    const char *name;
    int threads;
    size_t argumentBytes;
    void (*run)(const void *);
    const Kernel *next;
    static const Kernel *first;

    Kernel(const char *name, int threads, size_t argumentBytes, void (*run)(const void *))
        : name(name), threads(threads), argumentBytes(argumentBytes), run(run), next(first) {
        first = this;
    }
};

// Waits for all threads of the block.
void barrier();
// Waits for all lanes of the warp; the last calls `all` with what each brought.
void together(void *own, void (*all)(void *const *lanes));

}  // namespace emulation

// Of the thread that runs.
static emulation::Place threadIdx, blockIdx;

static inline void __syncthreads() { emulation::barrier(); }
[[noreturn]] static inline void __trap() { abort(); }

struct Half {
    unsigned short bits;
};

static inline float toFloat(Half x) {
    _Float16 value;
    memcpy(&value, &x, 2);
    return (float)value;
}

static inline Half toHalf(float x) {
    const _Float16 value = (_Float16)x;
    Half result;
    memcpy(&result, &value, 2);
    return result;
}

static inline float halfOf(unsigned pair, int index) { return toFloat(Half{(unsigned short)(pair >> (16 * index))}); }

static inline void multiplyAdd(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    struct Lane {
        float *c;
        const unsigned *a, *b;
    } own = {c, a, b};
    emulation::together(&own, [](void *const *lanes) {
        float left[16][16], right[16][8];
        for (int i = 0; i < 32; i++) {
            const Lane &lane = *(const Lane *)lanes[i];
            const int r = i / 4, q = 2 * (i % 4);
            for (int n = 0; n < 2; n++) {
                left[r][q + n] = halfOf(lane.a[0], n);
                left[r + 8][q + n] = halfOf(lane.a[1], n);
                left[r][q + 8 + n] = halfOf(lane.a[2], n);
                left[r + 8][q + 8 + n] = halfOf(lane.a[3], n);
                right[q + n][r] = halfOf(lane.b[0], n);
                right[q + 8 + n][r] = halfOf(lane.b[1], n);
            }
        }
        for (int i = 0; i < 32; i++) {
            const Lane &lane = *(const Lane *)lanes[i];
            for (int part = 0; part < 4; part++) {
                const int row = i / 4 + part / 2 * 8, column = 2 * (i % 4) + part % 2;
                float sum = 0;
                for (int k = 0; k < 16; k++) sum += left[row][k] * right[k][column];
                lane.c[part] += sum;
            }
        }
    });
}

template <bool isTransposed>
static inline void loadFourMatrices(unsigned (&to)[4], const Half *row) {
    struct Lane {
        unsigned *to;
        const Half *row;
    } own = {to, row};
    emulation::together(&own, [](void *const *lanes) {
        auto number = [&](int matrix, int row, int column) -> unsigned {
            return ((const Lane *)lanes[matrix * 8 + row])->row[column].bits;
        };
        for (int i = 0; i < 32; i++) {
            const int r = i / 4, q = 2 * (i % 4);
            for (int matrix = 0; matrix < 4; matrix++) {
                const unsigned low = isTransposed ? number(matrix, q, r) : number(matrix, r, q);
                const unsigned high = isTransposed ? number(matrix, q + 1, r) : number(matrix, r, q + 1);
                ((const Lane *)lanes[i])->to[matrix] = low | high << 16;
            }
        }
    });
}
static inline void loadMatrices(unsigned (&to)[4], const Half *row) { loadFourMatrices<false>(to, row); }
static inline void loadMatricesTransposed(unsigned (&to)[4], const Half *row) { loadFourMatrices<true>(to, row); }

static inline void requireAlignment(const void *p) {
    if ((size_t)p % 16 != 0) __builtin_trap();
}

// Copies are made as late as the hardware may make them, at the wait that they are over at; where threads run in reverse order,
// as early.
struct PendingCopy {
    Half *to;
    const Half *from;
    int bytes;
};
namespace emulation {
void beginCopy(PendingCopy copy);
void endGroup();
void wait(int pending);
}  // namespace emulation
static inline void copyAsync(Half *to, const Half *from, int bytes) {
    requireAlignment(to);
    requireAlignment(from);
    emulation::beginCopy({to, from, bytes});
}
static inline void commitCopies() { emulation::endGroup(); }
template <int pending>
static inline void waitForCopies() {
    emulation::wait(pending);
}

static inline float laneExchange(float x, int mask) {
    struct Lane {
        float in, out;
        int mask;
    } own = {x, 0, mask};
    emulation::together(&own, [](void *const *lanes) {
        for (int i = 0; i < 32; i++) ((Lane *)lanes[i])->out = ((Lane *)lanes[i ^ ((Lane *)lanes[i])->mask])->in;
    });
    return own.out;
}

static inline unsigned laneBallot(bool x) {
    struct Lane {
        bool in;
        unsigned out;
    } own = {x, 0};
    emulation::together(&own, [](void *const *lanes) {
        unsigned ones = 0;
        for (int i = 0; i < 32; i++) ones |= (unsigned)((Lane *)lanes[i])->in << i;
        for (int i = 0; i < 32; i++) ((Lane *)lanes[i])->out = ones;
    });
    return own.out;
}

static inline int laneCount(unsigned lanes) { return __builtin_popcount(lanes); }

#endif
