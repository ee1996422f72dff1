// The part of OpenBLAS's C interface that the CPU engine uses. The library is opened at run time, after its kernels were
// chosen through the environment; linked, it would have chosen before our first line runs.
#ifndef COPENBLAS_H
#define COPENBLAS_H

enum { CharnnRowMajor = 101, CharnnNoTranspose = 111, CharnnTranspose = 112 };

// cblas_sgemm: c = alpha op(a) op(b) + beta c, with op(a) [m, k], op(b) [k, n], c [m, n].
typedef void (*CharnnSgemm)(int order, int transposeA, int transposeB, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
// openblas_get_config, openblas_get_corename
typedef const char *(*CharnnBlasText)(void);
// openblas_set_num_threads
typedef void (*CharnnBlasSetThreads)(int threads);

#endif
