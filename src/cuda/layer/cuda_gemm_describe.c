/* cuda_gemm_describe.c: describes a GEMM to cuBLASLt: types, layouts, bias.
 *
 * cuBLASLt is column-major, so every row-major matrix of ours is its transpose. Our rows are columns of B and D; in a sum
 * over rows they are columns of A and B, and the sum runs over them. */
#include "cuda_gemm_describe.h"

#include "core/number.h"

static cudaDataType_t data_type(gru_cuda_math math) {
    return math == GRU_CUDA_F16 ? CUDA_R_16F : math == GRU_CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Strict f32 is the one that no switch of the environment can turn into something faster. */
static cublasComputeType_t compute_type(gru_cuda_math math) {
    return math == GRU_CUDA_F32    ? CUBLAS_COMPUTE_32F_PEDANTIC
           : math == GRU_CUDA_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                   : CUBLAS_COMPUTE_32F;
}

static gru_status describe_bias(gru_cuda_machine *machine, gru_cuda_gemm *gemm) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = CUDA_R_32F;
    const void *const bias =
        (const void *)(uintptr_t)GRU_CUDA_GEMM_ALIGN; /* all that choosing an algorithm reads of it */
    GRU_BLAS_SET(machine, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    GRU_BLAS_SET(machine, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    GRU_BLAS_SET(machine, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return GRU_OK;
}

static gru_status describe_matrix(gru_cuda_machine *machine, cublasLtMatrixLayoutOpaque_t *matrix,
                                  cudaDataType_t type, int64_t row, int64_t rows, int64_t stride) {
    return gru_cuda_blas_status(machine,
                                machine->blas->MatrixLayoutInit_internal(
                                    matrix, sizeof *matrix, type, (uint64_t)row, (uint64_t)rows, stride),
                                "describing a GEMM");
}

/* For one row. */
static gru_status describe_matrices(gru_cuda_machine *machine, gru_cuda_gemm *gemm, cudaDataType_t type) {
    const gru_cuda_gemm_form *f = &gemm->form;
    const gru_cuda_gemm_kind kind = f->kind;
    if (kind == GRU_CUDA_GEMM_SUM_ROWS) {
        GRU_TRY(describe_matrix(machine, &gemm->a, type, f->inputs, 1, f->inputs));
        GRU_TRY(describe_matrix(machine, &gemm->b, type, f->outputs, 1, f->outputs));
        return describe_matrix(machine, &gemm->d, CUDA_R_32F, f->inputs, f->outputs, f->out_stride);
    }
    const int project = kind == GRU_CUDA_GEMM_PROJECT;
    const int64_t row = project ? f->inputs : f->outputs, rows = project ? f->outputs : f->inputs;
    GRU_TRY(describe_matrix(machine, &gemm->a, type, row, rows, row));
    GRU_TRY(describe_matrix(machine, &gemm->b, type, f->inputs, 1, f->inputs));
    return describe_matrix(machine, &gemm->d, CUDA_R_32F, f->outputs, 1, f->out_stride);
}

gru_status gru_cuda_gemm_describe(const gru_layer *layer, gru_cuda_gemm *gemm, int adds_bias) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const gru_cuda_blas *blas = machine->blas;
    const gru_cuda_math math = gemm->form.math;
    const cublasOperation_t across = CUBLAS_OP_T;
    gemm->element = gru_type_bytes(layer->config.weight_type);
    gemm->adds_bias = adds_bias;
    GRU_BLAS_TRY(
        machine,
        blas->MatmulDescInit_internal(&gemm->desc, sizeof gemm->desc, compute_type(math), CUDA_R_32F),
        "describing a GEMM");
    if (gemm->form.kind == GRU_CUDA_GEMM_PROJECT)
        GRU_BLAS_SET(machine, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_TRANSA, across);
    if (gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS)
        GRU_BLAS_SET(machine, MatmulDescSetAttribute, &gemm->desc, CUBLASLT_MATMUL_DESC_TRANSB, across);
    if (adds_bias) GRU_TRY(describe_bias(machine, gemm));
    return describe_matrices(machine, gemm, data_type(math));
}

gru_status gru_cuda_gemm_matrices(gru_cuda_machine *machine, const gru_cuda_gemm *gemm, int64_t rows,
                                  int64_t in_stride, int64_t left_stride, gru_cuda_matrices *m) {
    const int sums = gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const uint64_t columns = (uint64_t)rows;
    *m = (gru_cuda_matrices){gemm->a, gemm->b, gemm->d};
    cublasLtMatrixLayoutOpaque_t *in = sums ? &m->a : &m->b, *other = sums ? &m->b : &m->d;
    GRU_BLAS_SET(machine, MatrixLayoutSetAttribute, in, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    GRU_BLAS_SET(machine, MatrixLayoutSetAttribute, other, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    if (in_stride) GRU_BLAS_SET(machine, MatrixLayoutSetAttribute, in, CUBLASLT_MATRIX_LAYOUT_LD, in_stride);
    if (left_stride)
        GRU_BLAS_SET(machine, MatrixLayoutSetAttribute, other, CUBLASLT_MATRIX_LAYOUT_LD, left_stride);
    return GRU_OK;
}
