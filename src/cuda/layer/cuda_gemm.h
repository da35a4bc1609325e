/* cuda_gemm.h: runs GEMMs by cuBLASLt of which only the number of rows is known in the call. */
#ifndef GRU_CUDA_GEMM_H
#define GRU_CUDA_GEMM_H

#include "cuda_gemm_describe.h"

/* Bytes of workspace for any number of rows up to this. */
size_t gru_cuda_gemm_workspace(const gru_cuda_gemm *gemm, int64_t rows);
/* Rows that a product runs with: rows itself, or with GRU_BATCH_INVARIANT the next multiple of one fixed number. Rows past
 * the given ones must exist; their content does not matter. A sum over rows always has rows itself: it is the batch's. */
int64_t gru_cuda_gemm_rows(const gru_cuda_gemm *gemm, int64_t rows);
/* 0: out lacks the bias, because cuBLASLt cannot add it. */
int gru_cuda_gemm_adds_bias(const gru_cuda_gemm *gemm);

/* Arguments of one call, all in device memory. Rows are aligned to 16 bytes, everything else to 64. */
typedef struct gru_cuda_gemm_args {
    const void
        *in; /* in_stride numbers from row to row; all inputs are read, padding too: it must be finite */
    int64_t in_stride;
    const void *weights; /* or left, left_stride numbers from row to row */
    int64_t left_stride;
    const float *bias;
    int64_t rows;
    int64_t sums_of; /* the algorithm is that of so many rows, at least `rows`; 0: of `rows` */
    int add;         /* SUM_ROWS: adds to what out holds */
    float *out;
    void *workspace;
} gru_cuda_gemm_args;

/* Whether each row of so many, cut into pieces of which the last has `last` rows, has its sums by one algorithm. */
int gru_cuda_gemm_sums_alike(const gru_cuda_gemm *gemm, int64_t rows, int64_t last);
/* Any number of rows. Call it between gru_cuda_enter and gru_cuda_leave, as the next. */
gru_status gru_cuda_gemm_run(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                             const gru_cuda_gemm_args *args, cudaStream_t stream);
/* By one algorithm, at most as many rows as its bucket serves. */
gru_status gru_cuda_gemm_run_bucket(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                                    const gru_cuda_gemm_bucket *bucket, const gru_cuda_gemm_args *args,
                                    cudaStream_t stream);

#endif
