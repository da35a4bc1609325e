/* cuda_gemm_describe.c: describes a GEMM to cuBLASLt: types, layouts, bias.
 *
 * cuBLASLt is column-major, so every row-major matrix of ours is its transpose. Our rows are columns of B and D; in a sum
 * over rows they are columns of A and B, and the sum runs over them. */
#include "cuda_gemm_describe.h"

#include "core/number.h"

static cudaDataType_t data_type(gru_cuda_compute_type compute_type) {
    return compute_type == GRU_CUDA_F16    ? CUDA_R_16F
           : compute_type == GRU_CUDA_BF16 ? CUDA_R_16BF
                                           : CUDA_R_32F;
}

/* The pedantic type is the only f32 that no environment variable replaces by a faster one. */
static cublasComputeType_t cublas_type(gru_cuda_compute_type compute_type) {
    return compute_type == GRU_CUDA_F32    ? CUBLAS_COMPUTE_32F_PEDANTIC
           : compute_type == GRU_CUDA_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                           : CUBLAS_COMPUTE_32F;
}

static gru_status describe_bias(gru_cuda_device *device, gru_cuda_gemm *gemm) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = CUDA_R_32F;
    const void *const bias =
        (const void *)(uintptr_t)GRU_CUDA_GEMM_ALIGN; /* choosing an algorithm uses the alignment only */
    GRU_BLAS_SET(device, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    GRU_BLAS_SET(device, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    GRU_BLAS_SET(device, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return GRU_OK;
}

static gru_status describe_matrix(gru_cuda_device *device, cublasLtMatrixLayoutOpaque_t *matrix,
                                  cudaDataType_t type, int64_t row, int64_t rows, int64_t stride) {
    return gru_cuda_blas_status(device,
                                device->blas->MatrixLayoutInit_internal(
                                    matrix, sizeof *matrix, type, (uint64_t)row, (uint64_t)rows, stride),
                                "describing a GEMM");
}

/* Layouts for one row; a call sets the number of rows. */
static gru_status describe_matrices(gru_cuda_device *device, gru_cuda_gemm *gemm, cudaDataType_t type) {
    const gru_cuda_gemm_shape *f = &gemm->shape;
    const gru_cuda_gemm_kind kind = f->kind;
    if (kind == GRU_CUDA_GEMM_SUM_ROWS) {
        GRU_TRY(describe_matrix(device, &gemm->a, type, f->inputs, 1, f->inputs));
        GRU_TRY(describe_matrix(device, &gemm->b, type, f->outputs, 1, f->outputs));
        return describe_matrix(device, &gemm->d, CUDA_R_32F, f->inputs, f->outputs, f->out_stride);
    }
    const int project = kind == GRU_CUDA_GEMM_PROJECT;
    const int64_t row = project ? f->inputs : f->outputs, rows = project ? f->outputs : f->inputs;
    GRU_TRY(describe_matrix(device, &gemm->a, type, row, rows, row));
    GRU_TRY(describe_matrix(device, &gemm->b, type, f->inputs, 1, f->inputs));
    return describe_matrix(device, &gemm->d, CUDA_R_32F, f->outputs, 1, f->out_stride);
}

gru_status gru_cuda_gemm_describe(const gru_layer *layer, gru_cuda_gemm *gemm, int adds_bias) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    const gru_cuda_blas *blas = device->blas;
    const gru_cuda_compute_type compute_type = gemm->shape.compute_type;
    const cublasOperation_t across = CUBLAS_OP_T;
    gemm->element = gru_type_bytes(layer->config.weight_type);
    gemm->adds_bias = adds_bias;
    GRU_BLAS_TRY(
        device,
        blas->MatmulDescInit_internal(&gemm->desc, sizeof gemm->desc, cublas_type(compute_type), CUDA_R_32F),
        "describing a GEMM");
    if (gemm->shape.kind == GRU_CUDA_GEMM_PROJECT)
        GRU_BLAS_SET(device, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_TRANSA, across);
    if (gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS)
        GRU_BLAS_SET(device, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_TRANSB, across);
    if (adds_bias) GRU_TRY(describe_bias(device, gemm));
    return describe_matrices(device, gemm, data_type(compute_type));
}

gru_status gru_cuda_gemm_layouts_of(gru_cuda_device *device, const gru_cuda_gemm *gemm, int64_t rows,
                                    int64_t in_stride, int64_t left_stride, gru_cuda_gemm_layouts *m) {
    const int sums = gemm->shape.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const uint64_t columns = (uint64_t)rows;
    *m = (gru_cuda_gemm_layouts){gemm->a, gemm->b, gemm->d};
    cublasLtMatrixLayoutOpaque_t *in = sums ? &m->a : &m->b, *other = sums ? &m->b : &m->d;
    GRU_BLAS_SET(device, MatrixLayoutSetAttribute, in, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    GRU_BLAS_SET(device, MatrixLayoutSetAttribute, other, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    if (in_stride) GRU_BLAS_SET(device, MatrixLayoutSetAttribute, in, CUBLASLT_MATRIX_LAYOUT_LD, in_stride);
    if (left_stride)
        GRU_BLAS_SET(device, MatrixLayoutSetAttribute, other, CUBLASLT_MATRIX_LAYOUT_LD, left_stride);
    return GRU_OK;
}
