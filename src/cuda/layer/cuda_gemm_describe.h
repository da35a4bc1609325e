/* cuda_gemm_describe.h: a GEMM of which all sizes but the number of rows are fixed, as cuBLASLt is told of it. */
#ifndef GRU_CUDA_GEMM_DESCRIBE_H
#define GRU_CUDA_GEMM_DESCRIBE_H

#include "core/layer.h"
#include "cuda/device/cuda_blaslt.h"

/* What is computed from in, [rows][inputs] of the compute type; out is f32.
 *   PROJECT     out[rows][outputs] = in weights' + bias     weights [outputs][inputs], bias [outputs] f32, if wanted
 *   BACK        out[rows][outputs] = in weights             weights [inputs][outputs]
 *   SUM_ROWS    out[outputs][inputs] = left' in             left [rows][outputs] of the compute type */
typedef enum gru_cuda_gemm_kind {
    GRU_CUDA_GEMM_PROJECT,
    GRU_CUDA_GEMM_BACK,
    GRU_CUDA_GEMM_SUM_ROWS
} gru_cuda_gemm_kind;

typedef struct gru_cuda_gemm_shape {
    const char *name; /* in sentences: "the projection" */
    gru_cuda_compute_type compute_type;
    gru_cuda_gemm_kind kind;
    int64_t inputs, outputs; /* each a multiple of 16 bytes */
    int64_t out_stride;      /* numbers from row to row of out */
    int32_t adds_bias;
} gru_cuda_gemm_shape;

/* Bucket i serves up to 2^i rows, and the last one a whole chunk; more rows (of one step) are several products, and so are the
 * rows of a bucket without an algorithm. With fixed rows (of the layer) every product has the same number, so that only a row's
 * position in it can vary. */
enum { GRU_CUDA_GEMM_BUCKETS = 14 };

enum { GRU_CUDA_GEMM_ALIGN = 64 }; /* of all memory that a caller gives, rows of in excepted */

typedef struct gru_cuda_gemm_bucket {
    cublasLtMatmulAlgo_t algorithm;
    int32_t served;   /* 0: there is no algorithm; bucket 0 always has one */
    size_t workspace; /* the maximum of this bucket and those below, so that it grows with the rows */
} gru_cuda_gemm_bucket;

/* cuBLASLt computes D = A B of column-major matrices; out is D. These fields do not change from call to call. */
typedef struct gru_cuda_gemm {
    gru_cuda_gemm_shape shape;
    cublasLtMatmulDescOpaque_t desc; /* without the bias pointer */
    cublasLtMatrixLayoutOpaque_t a, b, d;
    size_t element;     /* bytes of a number of in and weights */
    int32_t fixed_rows; /* 0: any number */
    int32_t adds_bias;  /* 0: not wanted, or cuBLASLt has no algorithm that adds it */
    int32_t buckets;    /* 0: cuBLASLt has no algorithm, and the product cannot run */
    gru_cuda_gemm_bucket algorithm_table[GRU_CUDA_GEMM_BUCKETS];
} gru_cuda_gemm;

static inline int64_t gru_cuda_bucket_rows(const gru_cuda_gemm *gemm, int32_t i) {
    return gemm->fixed_rows ? gemm->fixed_rows : (int64_t)1 << i;
}

/* Fills in all but the table of algorithms, with the bias or without. */
gru_status gru_cuda_gemm_describe(const gru_layer *layer, gru_cuda_gemm *gemm, int adds_bias);

/* The layouts of A, B and D for so many rows. Strides 0: those of dense rows. */
typedef struct gru_cuda_gemm_layouts {
    cublasLtMatrixLayoutOpaque_t a, b, d;
} gru_cuda_gemm_layouts;
gru_status gru_cuda_gemm_layouts_of(gru_cuda_device *device, const gru_cuda_gemm *gemm, int64_t rows,
                                    int64_t in_stride, int64_t left_stride, gru_cuda_gemm_layouts *matrices);

#endif
