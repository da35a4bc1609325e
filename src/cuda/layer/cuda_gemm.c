/* cuda_gemm.c: launches GEMMs. A call copies the descriptors onto its stack and takes its algorithm from the table. */
#include "cuda_gemm.h"

enum { WORKSPACE_ALIGNMENT = 256 }; /* what cuBLASLt wants; callers align theirs to GRU_CUDA_GEMM_ALIGN */

/* ---- sizes ---- */

static int32_t bucket_for(const gru_cuda_gemm *gemm, int64_t rows) {
    int32_t i = 0;
    while (i + 1 < gemm->buckets && gru_cuda_bucket_rows(gemm, i) < rows) i++;
    return i;
}

/* The bucket of the first piece: that of all rows, or the next below it that has an algorithm. */
static int32_t served_bucket(const gru_cuda_gemm *gemm, int64_t rows) {
    int32_t i = bucket_for(gemm, rows);
    while (!gemm->algorithm_table[i].served) i--;
    return i;
}

/* Includes the bytes that aligning for cuBLASLt may take. */
size_t gru_cuda_gemm_workspace(const gru_cuda_gemm *gemm, int64_t rows) {
    const size_t bytes = gemm->algorithm_table[bucket_for(gemm, rows)].workspace;
    return bytes ? bytes + WORKSPACE_ALIGNMENT - GRU_CUDA_GEMM_ALIGN : 0;
}

static void *align_workspace(void *workspace) {
    const uintptr_t address = (uintptr_t)workspace + WORKSPACE_ALIGNMENT - 1;
    return (void *)(address - address % WORKSPACE_ALIGNMENT);
}

int gru_cuda_gemm_adds_bias(const gru_cuda_gemm *gemm) {
    return gemm->adds_bias;
}

int64_t gru_cuda_gemm_rows(const gru_cuda_gemm *gemm, int64_t rows) {
    const int64_t fixed = gemm->fixed_rows;
    return fixed ? (rows + fixed - 1) / fixed * fixed : rows;
}

int gru_cuda_gemm_sums_alike(const gru_cuda_gemm *gemm, int64_t rows, int64_t last) {
    const int32_t i = served_bucket(gemm, rows);
    return gemm->fixed_rows || (i == served_bucket(gemm, last) && gru_cuda_bucket_rows(gemm, i) >= rows);
}

/* ---- calls ---- */

gru_status gru_cuda_gemm_run_bucket(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                                    const gru_cuda_gemm_bucket *bucket, const gru_cuda_gemm_args *args,
                                    cudaStream_t stream) {
    const gru_cuda_blas *blas = device->blas;
    const float one = 1, beta = args->add ? 1 : 0;
    const int sums = gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const void *a = sums ? args->in : args->weights, *b = sums ? args->weights : args->in;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_gemm_layouts m;
    GRU_TRY(gru_cuda_gemm_layouts_of(device, gemm, args->rows, args->in_stride, args->left_stride, &m));
    if (gemm->adds_bias)
        GRU_BLAS_SET(device, MatmulDescSetAttribute, &desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args->bias);
    return gru_cuda_blas_status(device,
                                blas->Matmul(blas->handle, &desc, &one, a, &m.a, b, &m.b, &beta, args->out,
                                             &m.d, args->out, &m.d, &bucket->algorithm, args->workspace,
                                             bucket->workspace, stream),
                                gemm->shape.name);
}

/* Moves the arguments behind so many rows. */
static void advance(const gru_cuda_gemm *gemm, gru_cuda_gemm_args *args, int64_t rows) {
    args->in = (const char *)args->in + (size_t)(rows * args->in_stride) * gemm->element;
    if (gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS) {
        args->weights = (const char *)args->weights + (size_t)(rows * args->left_stride) * gemm->element;
        args->add = 1;
    } else {
        args->out += rows * gemm->shape.out_stride;
    }
}

gru_status gru_cuda_gemm_run(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                             const gru_cuda_gemm_args *args, cudaStream_t stream) {
    gru_cuda_gemm_args slice = *args;
    slice.workspace = align_workspace(args->workspace);
    for (int64_t left = args->rows; left > 0; left -= slice.rows) {
        const int32_t i = served_bucket(gemm, args->sums_of ? args->sums_of : left);
        const int64_t most = gru_cuda_bucket_rows(gemm, i);
        slice.rows = gemm->fixed_rows || left > most ? most : left;
        GRU_TRY(gru_cuda_gemm_run_bucket(device, gemm, &gemm->algorithm_table[i], &slice, stream));
        advance(gemm, &slice, slice.rows);
    }
    return GRU_OK;
}
