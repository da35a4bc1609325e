/* cuda_gemm.c: describes matrix products to cuBLASLt and launches them: a run copies the descriptors onto its stack, and
 * takes its algorithm from the ladder.
 *
 * To cuBLASLt, which thinks in columns, every matrix of ours is its transpose. Rows are columns of B and D; in a sum over
 * rows they are columns of A and B, which is summed over. */
#include "cuda_gemm.h"

#include <string.h>

#include "core/error.h"
#include "core/host_memory.h"

/* What cuBLASLt wants of its workspace, and what callers promise of theirs. */
enum { WORKSPACE_ALIGNMENT = 256, MEMORY_ALIGNMENT = 64 };

static const char describing[] = "describing a product";

#define SET(object, setter, attribute, value) \
    GRU_BLAS_TRY(machine, blas->setter(&(object), (attribute), &(value), sizeof(value)), describing)

/* ---- sizes ---- */

static const gru_cuda_rung *rung_for(const gru_cuda_gemm *gemm, int64_t rows) {
    int32_t i = 0;
    while (i + 1 < gemm->rungs && gru_cuda_rung_rows(gemm, i) < rows) i++;
    return &gemm->ladder[i];
}

/* With room to move to where cuBLASLt wants it. */
size_t gru_cuda_gemm_workspace(const gru_cuda_gemm *gemm, int64_t rows) {
    const size_t bytes = rung_for(gemm, rows)->workspace;
    return bytes ? bytes + WORKSPACE_ALIGNMENT - MEMORY_ALIGNMENT : 0;
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

/* ---- descriptions ---- */

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
    const gru_cuda_blas *blas = machine->blas;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = CUDA_R_32F;
    const void *const bias =
        (const void *)(uintptr_t)MEMORY_ALIGNMENT; /* all that choosing an algorithm reads of it */
    SET(gemm->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    SET(gemm->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    SET(gemm->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return GRU_OK;
}

static gru_status describe_matrix(gru_cuda_machine *machine, cublasLtMatrixLayoutOpaque_t *matrix,
                                  cudaDataType_t type, int64_t row, int64_t rows, int64_t stride) {
    return gru_cuda_blas_status(machine,
                                machine->blas->MatrixLayoutInit_internal(
                                    matrix, sizeof *matrix, type, (uint64_t)row, (uint64_t)rows, stride),
                                describing);
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
    const gru_cuda_math math = gru_cuda_layer_of(layer)->math;
    const cublasOperation_t across = CUBLAS_OP_T;
    gemm->element = gru_type_bytes(layer->config.weight_type);
    gemm->adds_bias = adds_bias;
    GRU_BLAS_TRY(
        machine,
        blas->MatmulDescInit_internal(&gemm->desc, sizeof gemm->desc, compute_type(math), CUDA_R_32F),
        describing);
    if (gemm->form.kind == GRU_CUDA_GEMM_PROJECT)
        SET(gemm->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_TRANSA, across);
    if (gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS)
        SET(gemm->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_TRANSB, across);
    if (adds_bias) GRU_TRY(describe_bias(machine, gemm));
    return describe_matrices(machine, gemm, data_type(math));
}

gru_status gru_cuda_gemm_matrices(gru_cuda_machine *machine, const gru_cuda_gemm *gemm, int64_t rows,
                                  int64_t in_stride, int64_t left_stride, gru_cuda_matrices *m) {
    const gru_cuda_blas *blas = machine->blas;
    const int sums = gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const uint64_t columns = (uint64_t)rows;
    *m = (gru_cuda_matrices){gemm->a, gemm->b, gemm->d};
    cublasLtMatrixLayoutOpaque_t *in = sums ? &m->a : &m->b, *other = sums ? &m->b : &m->d;
    SET(*in, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    SET(*other, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    if (in_stride) SET(*in, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_LD, in_stride);
    if (left_stride) SET(*other, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_LD, left_stride);
    return GRU_OK;
}

/* ---- products ---- */

gru_status gru_cuda_multiply_at(gru_cuda_machine *machine, const gru_cuda_gemm *gemm,
                                const gru_cuda_rung *rung, const gru_cuda_factors *f, cudaStream_t stream) {
    const gru_cuda_blas *blas = machine->blas;
    const float one = 1, beta = f->add ? 1 : 0;
    const int sums = gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const void *a = sums ? f->in : f->weights, *b = sums ? f->weights : f->in;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_matrices m;
    GRU_TRY(gru_cuda_gemm_matrices(machine, gemm, f->rows, f->in_stride, f->left_stride, &m));
    if (gemm->adds_bias) SET(desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_POINTER, f->bias);
    return gru_cuda_blas_status(machine,
                                blas->Matmul(blas->handle, &desc, &one, a, &m.a, b, &m.b, &beta, f->out, &m.d,
                                             f->out, &m.d, &rung->algorithm, f->workspace, rung->workspace,
                                             stream),
                                gemm->form.name);
}

/* Goes on behind so many rows. */
static void advance(const gru_cuda_gemm *gemm, gru_cuda_factors *f, int64_t rows) {
    f->in = (const char *)f->in + (size_t)(rows * f->in_stride) * gemm->element;
    if (gemm->form.kind == GRU_CUDA_GEMM_SUM_ROWS) {
        f->weights = (const char *)f->weights + (size_t)(rows * f->left_stride) * gemm->element;
        f->add = 1;
    } else {
        f->out += rows * gemm->form.out_stride;
    }
}

gru_status gru_cuda_multiply(gru_cuda_machine *machine, const gru_cuda_gemm *gemm,
                             const gru_cuda_factors *factors, cudaStream_t stream) {
    const int64_t most = gru_cuda_rung_rows(gemm, gemm->rungs - 1);
    gru_cuda_factors part = *factors;
    part.workspace = align_workspace(factors->workspace);
    for (int64_t left = factors->rows; left > 0; left -= most) {
        part.rows = gemm->fixed_rows || left > most ? most : left;
        GRU_TRY(gru_cuda_multiply_at(machine, gemm, rung_for(gemm, part.rows), &part, stream));
        advance(gemm, &part, part.rows);
    }
    return GRU_OK;
}

/* ---- life ---- */

gru_status gru_cuda_gemm_create(gru_layer *layer, const gru_cuda_gemm_form *form, gru_cuda_gemm **gemm) {
    gru_context *context = layer->context;
    const int fixed = gru_cuda_machine_of(context)->invariant && form->kind != GRU_CUDA_GEMM_SUM_ROWS;
    gru_cuda_gemm *fresh = gru_host_allocate(context, sizeof *fresh, "the algorithms of a product");
    if (!fresh) return GRU_OUT_OF_MEMORY;
    memset(fresh, 0, sizeof *fresh);
    fresh->form = *form;
    fresh->fixed_rows = fixed ? GRU_CUDA_FIXED_ROWS : 0;
    fresh->rungs = 1;
    while (!fixed && fresh->rungs < GRU_CUDA_RUNGS &&
           gru_cuda_rung_rows(fresh, fresh->rungs - 1) < gru_cuda_chunk_rows(&layer->config))
        fresh->rungs++;
    gru_status status = gru_cuda_gemm_choose(layer, fresh);
    if (status == GRU_OK) status = gru_cuda_gemm_warm(context, fresh);
    if (status != GRU_OK) {
        gru_cuda_gemm_release(layer, fresh);
        return status;
    }
    *gemm = fresh;
    return GRU_OK;
}

void gru_cuda_gemm_release(gru_layer *layer, gru_cuda_gemm *gemm) {
    gru_host_free(layer->context, gemm, sizeof *gemm);
}
