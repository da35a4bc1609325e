/* cuda_gemm.c: launches GEMMs. A call copies the descriptors onto its stack and takes its algorithm from the table. */
#include "cuda_gemm.h"

enum { WORKSPACE_ALIGNMENT = 256 }; /* what cuBLASLt wants; callers align theirs to GRU_CUDA_GEMM_ALIGN */

/* ---- sizes ---- */

static const gru_cuda_gemm_bucket *bucket_for(const gru_cuda_gemm *gemm, int64_t rows) {
    int32_t i = 0;
    while (i + 1 < gemm->buckets && gru_cuda_bucket_rows(gemm, i) < rows) i++;
    return &gemm->algorithm_table[i];
}

/* With room to move to where cuBLASLt wants it. */
size_t gru_cuda_gemm_workspace(const gru_cuda_gemm *gemm, int64_t rows) {
    const size_t bytes = bucket_for(gemm, rows)->workspace;
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

/* ---- products ---- */

gru_status gru_cuda_gemm_run_bucket(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                                    const gru_cuda_gemm_bucket *bucket, const gru_cuda_gemm_args *f,
                                    cudaStream_t stream) {
    const gru_cuda_blas *blas = device->blas;
    const float one = 1, beta = f->add ? 1 : 0;
    const int sums = gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const void *a = sums ? f->in : f->weights, *b = sums ? f->weights : f->in;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_gemm_layouts m;
    GRU_TRY(gru_cuda_gemm_layouts_of(device, gemm, f->rows, f->in_stride, f->left_stride, &m));
    if (gemm->adds_bias)
        GRU_BLAS_SET(device, MatmulDescSetAttribute, &desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, f->bias);
    return gru_cuda_blas_status(device,
                                blas->Matmul(blas->handle, &desc, &one, a, &m.a, b, &m.b, &beta, f->out, &m.d,
                                             f->out, &m.d, &bucket->algorithm, f->workspace,
                                             bucket->workspace, stream),
                                gemm->shape.name);
}

/* Goes on behind so many rows. */
static void advance(const gru_cuda_gemm *gemm, gru_cuda_gemm_args *f, int64_t rows) {
    f->in = (const char *)f->in + (size_t)(rows * f->in_stride) * gemm->element;
    if (gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS) {
        f->weights = (const char *)f->weights + (size_t)(rows * f->left_stride) * gemm->element;
        f->add = 1;
    } else {
        f->out += rows * gemm->shape.out_stride;
    }
}

gru_status gru_cuda_gemm_run(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                             const gru_cuda_gemm_args *factors, cudaStream_t stream) {
    const int64_t most = gru_cuda_bucket_rows(gemm, gemm->buckets - 1);
    gru_cuda_gemm_args part = *factors;
    part.workspace = align_workspace(factors->workspace);
    for (int64_t left = factors->rows; left > 0; left -= most) {
        part.rows = gemm->fixed_rows || left > most ? most : left;
        GRU_TRY(gru_cuda_gemm_run_bucket(device, gemm, bucket_for(gemm, part.rows), &part, stream));
        advance(gemm, &part, part.rows);
    }
    return GRU_OK;
}
