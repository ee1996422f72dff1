// Which kernels this processor can run.
#define _GNU_SOURCE
#include "CCharnnKernels.h"

#include <string.h>
#ifdef __linux__
#include <sched.h>
#endif

int charnn_affinity_count(void) {
#ifdef __linux__
    // Room for 65,536 processors: the kernel refuses a set that is smaller than its own.
    cpu_set_t sets[64];
    if (sched_getaffinity(0, sizeof sets, sets) == 0) return CPU_COUNT_S(sizeof sets, sets);
#endif
    return 1;
}

extern const CharnnKernels charnn_kernels_plain;

#if defined(__x86_64__)
#include <cpuid.h>

extern const CharnnKernels charnn_kernels_avx2;
extern const CharnnKernels charnn_kernels_avx512;

static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const CharnnKernels *charnn_kernels(int level) {
    __builtin_cpu_init();
    switch (level) {
        case CharnnLevelAVX512: return has_avx512() ? &charnn_kernels_avx512 : NULL;
        case CharnnLevelAVX2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &charnn_kernels_avx2 : NULL;
        case CharnnLevelPlain: return &charnn_kernels_plain;
        default: return NULL;
    }
}

int charnn_amds_avx512(void) {
    unsigned leaf, b = 0, c = 0, d = 0;
    __builtin_cpu_init();
    // The vendor's name, AuthenticAMD, in the order b d c.
    return __get_cpuid(0, &leaf, &b, &c, &d) && b == signature_AMD_ebx && d == signature_AMD_edx &&
           c == signature_AMD_ecx && has_avx512();
}

void charnn_processor_name(char name[49]) {
    unsigned words[12] = {0}, largest = 0, ignored;
    memset(name, 0, 49);
    if (!__get_cpuid(0x80000000u, &largest, &ignored, &ignored, &ignored) || largest < 0x80000004u) return;
    for (unsigned i = 0; i < 3; i++) {
        unsigned *w = words + 4 * i;
        __get_cpuid(0x80000002u + i, w, w + 1, w + 2, w + 3);
    }
    memcpy(name, words, sizeof words);
}
#else
const CharnnKernels *charnn_kernels(int level) { return level == CharnnLevelPlain ? &charnn_kernels_plain : NULL; }
int charnn_amds_avx512(void) { return 0; }
void charnn_processor_name(char name[49]) { memset(name, 0, 49); }
#endif
