/* cuda_gemm.h: matrix products by cuBLASLt of which one size, the count of rows, is known only in the run. */
#ifndef GRU_CUDA_GEMM_H
#define GRU_CUDA_GEMM_H

#include "cuda/device/cuda_blaslt.h"

/* What a product makes of in, [rows][inputs] of math's type; out is f32.
 *   PROJECT     out[rows][outputs] = in weights' + bias     weights [outputs][inputs], bias [outputs] f32, if wanted
 *   BACK        out[rows][outputs] = in weights             weights [inputs][outputs]
 *   SUM_ROWS    out[outputs][inputs] = left' in             left [rows][outputs] of math's type */
typedef enum gru_cuda_gemm_kind {
    GRU_CUDA_GEMM_PROJECT,
    GRU_CUDA_GEMM_BACK,
    GRU_CUDA_GEMM_SUM_ROWS
} gru_cuda_gemm_kind;

typedef struct gru_cuda_gemm_form {
    const char *name; /* in sentences: "the projection" */
    gru_cuda_gemm_kind kind;
    int64_t inputs, outputs; /* each a multiple of 16 bytes */
    int64_t out_stride;      /* numbers from row to row of out */
    int32_t adds_bias;
} gru_cuda_gemm_form;

typedef struct gru_cuda_gemm gru_cuda_gemm;

/* Finds algorithms for a ladder of row counts, up to those of a whole chunk, and runs each once, so that no run has to
 * load anything. Called between gru_cuda_enter and gru_cuda_leave, as gru_cuda_multiply is. Release: NULL is nothing.
 * GRU_UNSUPPORTED: cuBLASLt has none. */
gru_status gru_cuda_gemm_create(gru_layer *layer, const gru_cuda_gemm_form *form, gru_cuda_gemm **gemm);
void gru_cuda_gemm_release(gru_layer *layer, gru_cuda_gemm *gemm);

/* Bytes of workspace for any number of rows up to this. */
size_t gru_cuda_gemm_workspace(const gru_cuda_gemm *gemm, int64_t rows);
/* Row count that a product is run with: rows itself, or with GRU_BATCH_INVARIANT a multiple of one fixed count; rows past
 * those given must exist, their content does not matter. Of a sum over rows always rows itself: it is the batch's. */
int64_t gru_cuda_gemm_rows(const gru_cuda_gemm *gemm, int64_t rows);
/* 0: what is made lacks the bias, because cuBLASLt cannot add it. */
int gru_cuda_gemm_adds_bias(const gru_cuda_gemm *gemm);

/* One call's numbers, all of them the device's. Rows begin at multiples of 16 bytes, the rest at those of 64. */
typedef struct gru_cuda_factors {
    const void
        *in; /* in_stride numbers from row to row; all inputs are read, padding too: it must be finite */
    int64_t in_stride;
    const void *weights; /* or left, left_stride numbers from row to row */
    int64_t left_stride;
    const float *bias;
    int64_t rows;
    int add; /* SUM_ROWS: to what out holds */
    float *out;
    void *workspace;
} gru_cuda_factors;

/* Any number of rows. */
gru_status gru_cuda_multiply(gru_cuda_machine *machine, const gru_cuda_gemm *gemm,
                             const gru_cuda_factors *factors, cudaStream_t stream);

/* ---- between cuda_gemm.c and cuda_gemm_prepare.c ---- */

/* Rung i serves up to 2^i rows, and the last a whole chunk; more rows (of one step) are several products of so many. With
 * GRU_BATCH_INVARIANT every product has the same count of rows, so that a row's place in it is all that changes. */
enum { GRU_CUDA_RUNGS = 14, GRU_CUDA_FIXED_ROWS = 256 };

typedef struct gru_cuda_rung {
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace; /* the most of this rung and those below, so that it grows with the rows */
} gru_cuda_rung;

/* To cuBLASLt, which thinks in columns, out is D = A B: what does not change from call to call. */
struct gru_cuda_gemm {
    gru_cuda_gemm_form form;
    cublasLtMatmulDescOpaque_t desc; /* all but the bias */
    cublasLtMatrixLayoutOpaque_t a, b, d;
    size_t element;     /* bytes of a number of in and weights */
    int32_t fixed_rows; /* 0: any count */
    int32_t adds_bias;  /* 0: not wanted, or cuBLASLt has no algorithm that does */
    int32_t rungs;
    gru_cuda_rung ladder[GRU_CUDA_RUNGS];
};

static inline int64_t gru_cuda_rung_rows(const gru_cuda_gemm *gemm, int32_t i) {
    return gemm->fixed_rows ? gemm->fixed_rows : (int64_t)1 << i;
}

/* The layouts of A, B and D for so many rows. Strides 0: those of dense rows. */
typedef struct gru_cuda_matrices {
    cublasLtMatrixLayoutOpaque_t a, b, d;
} gru_cuda_matrices;
gru_status gru_cuda_gemm_matrices(gru_cuda_machine *machine, const gru_cuda_gemm *gemm, int64_t rows,
                                  int64_t in_stride, int64_t left_stride, gru_cuda_matrices *matrices);
/* Fills in all but the ladder, with the bias or without. */
gru_status gru_cuda_gemm_describe(const gru_layer *layer, gru_cuda_gemm *gemm, int adds_bias);
/* An algorithm for every rung; and the first run of each. */
gru_status gru_cuda_gemm_choose(const gru_layer *layer, gru_cuda_gemm *gemm);
gru_status gru_cuda_gemm_warm(gru_context *context, const gru_cuda_gemm *gemm);
/* At most as many rows as the rung serves. */
gru_status gru_cuda_multiply_at(gru_cuda_machine *machine, const gru_cuda_gemm *gemm,
                                const gru_cuda_rung *rung, const gru_cuda_factors *factors,
                                cudaStream_t stream);

#endif
