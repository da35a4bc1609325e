/* cuda_projection.c: the projection of inputs, W x + bW for many rows at once, by cuBLASLt.
 *
 * To cuBLASLt, which thinks in columns, out is a matrix of one column for each row of x: D = A^T B + bias, with A the
 * packed W, B the rows of x. What does not change from call to call is made once: a run copies the descriptors onto its
 * stack, and takes its algorithm from the ladder. */
#include <string.h>

#include "../error.h"
#include "cuda_blas.h"

/* Rung i serves up to 2^i rows, and the last a whole chunk; more rows (of one step) are several products of so many. With
 * GRU_BATCH_INVARIANT every product has the same count of rows, so that a row's place in it is all that changes. */
enum { RUNGS = 14, FIXED_ROWS = 256 };

/* An algorithm may ask for this much workspace. It takes some to split the sum over k, which pays where the result is
 * too small to fill the device: 2^18 numbers in 4 parts, say. */
enum { MOST_WORKSPACE = 4 << 20 };

enum { CANDIDATES = 8 };

/* What callers promise: of every row; of workspaces and packed weights; and what cuBLASLt wants of its workspace. */
enum { ROW_ALIGNMENT = 16, MEMORY_ALIGNMENT = 64, WORKSPACE_ALIGNMENT = 256 };

typedef struct rung {
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace; /* the most of this rung and those below, so that it grows with the rows */
} rung;

struct gru_cuda_projection {
    cublasLtMatmulDescOpaque_t desc; /* all but the bias */
    cublasLtMatrixLayoutOpaque_t a;  /* W */
    cublasLtMatrixLayoutOpaque_t b;  /* x: all but its rows and their stride */
    cublasLtMatrixLayoutOpaque_t d;  /* out: all but its rows */
    int64_t in_row, out_row;         /* numbers in a row of W and x, and of out */
    size_t element;                  /* bytes of a number of W and x */
    int32_t fixed_rows;              /* 0: any count */
    int32_t adds_bias;               /* 0: cuBLASLt has no algorithm that does */
    int32_t rungs;
    rung ladder[RUNGS];
};

/* ---- sizes ---- */

static int64_t rung_rows(const gru_cuda_projection *p, int32_t i) {
    return p->fixed_rows ? p->fixed_rows : (int64_t)1 << i;
}

static int64_t most_rows(const gru_cuda_projection *p) {
    return rung_rows(p, p->rungs - 1);
}

static const rung *rung_for(const gru_cuda_projection *p, int64_t rows) {
    int32_t i = 0;
    while (i + 1 < p->rungs && rung_rows(p, i) < rows) i++;
    return &p->ladder[i];
}

/* With room to move to where cuBLASLt wants it. */
size_t gru_cuda_projection_workspace(const gru_cuda_projection *p, int64_t rows) {
    const size_t bytes = rung_for(p, rows)->workspace;
    return bytes ? bytes + WORKSPACE_ALIGNMENT - MEMORY_ALIGNMENT : 0;
}

static void *align_workspace(void *workspace) {
    const uintptr_t address = (uintptr_t)workspace + WORKSPACE_ALIGNMENT - 1;
    return (void *)(address - address % WORKSPACE_ALIGNMENT);
}

int gru_cuda_projection_adds_bias(const gru_cuda_projection *p) {
    return p->adds_bias;
}

int64_t gru_cuda_projection_rows(const gru_cuda_projection *p, int64_t rows) {
    return p->fixed_rows ? (rows + p->fixed_rows - 1) / p->fixed_rows * p->fixed_rows : rows;
}

/* ---- one product ---- */

typedef struct product {
    const void *W, *bias, *x;
    int64_t x_stride, rows;
    float *out;
    void *workspace;
} product;

#define SET(object, setter, attribute, value)                                            \
    GRU_BLAS_TRY(machine, blas->setter(&(object), (attribute), &(value), sizeof(value)), \
                 "describing the projection")

static gru_status multiply(gru_cuda_machine *machine, const gru_cuda_projection *p, const rung *by,
                           const product *q, cudaStream_t stream) {
    const gru_cuda_blas *blas = machine->blas;
    const float one = 1, zero = 0;
    const uint64_t rows = (uint64_t)q->rows;
    cublasLtMatmulDescOpaque_t desc = p->desc;
    cublasLtMatrixLayoutOpaque_t a = p->a, b = p->b, d = p->d;
    if (p->adds_bias) SET(desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_POINTER, q->bias);
    SET(b, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, rows);
    SET(b, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_LD, q->x_stride);
    SET(d, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, rows);
    return gru_cuda_blas_status(machine,
                                blas->Matmul(machine->blas->handle, &desc, &one, q->W, &a, q->x, &b, &zero,
                                             q->out, &d, q->out, &d, &by->algorithm, q->workspace,
                                             by->workspace, stream),
                                "launching the projection");
}

gru_status gru_cuda_project(const gru_layer *layer, const void *packed, const void *x, int64_t x_stride,
                            int64_t rows, float *out, void *workspace, cudaStream_t stream) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const gru_cuda_projection *p = gru_cuda_layer_of(layer)->projection;
    const gru_cuda_parts parts = gru_cuda_packed_parts(&layer->config);
    const int64_t most = most_rows(p);
    for (int64_t first = 0; first < rows; first += most) {
        const int64_t left = rows - first;
        const product part = {.W = (const char *)packed + parts.W,
                              .bias = (const char *)packed + parts.bW,
                              .x = (const char *)x + (size_t)(first * x_stride) * p->element,
                              .x_stride = x_stride,
                              .rows = p->fixed_rows || left > most ? most : left,
                              .out = out + first * p->out_row,
                              .workspace = align_workspace(workspace)};
        GRU_TRY(multiply(machine, p, rung_for(p, part.rows), &part, stream));
    }
    return GRU_OK;
}

/* ---- description ---- */

static cudaDataType_t data_type(gru_cuda_math math) {
    return math == GRU_CUDA_F16 ? CUDA_R_16F : math == GRU_CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Strict f32 is the one that no switch of the environment can turn into something faster. */
static cublasComputeType_t compute_type(gru_cuda_math math) {
    return math == GRU_CUDA_F32    ? CUBLAS_COMPUTE_32F_PEDANTIC
           : math == GRU_CUDA_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                   : CUBLAS_COMPUTE_32F;
}

static gru_status describe_bias(gru_cuda_machine *machine, gru_cuda_projection *p) {
    const gru_cuda_blas *blas = machine->blas;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = CUDA_R_32F;
    const void *const bias =
        (const void *)(uintptr_t)MEMORY_ALIGNMENT; /* all that choosing an algorithm reads of it */
    SET(p->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    SET(p->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    SET(p->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return GRU_OK;
}

static gru_status describe(const gru_layer *layer, gru_cuda_projection *p) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const gru_cuda_blas *blas = machine->blas;
    const gru_cuda_math math = gru_cuda_layer_of(layer)->math;
    const cudaDataType_t type = data_type(math);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const int64_t k = gru_cuda_input_pitch(layer->config.inputs, layer->config.weight_type);
    const int64_t m = gru_cuda_projected_row(layer->config.hidden);
    static const char what[] = "describing the projection";
    p->element = gru_type_bytes(layer->config.weight_type);
    p->in_row = k;
    p->out_row = m;
    GRU_BLAS_TRY(machine,
                 blas->MatmulDescInit_internal(&p->desc, sizeof p->desc, compute_type(math), CUDA_R_32F),
                 what);
    SET(p->desc, MatmulDescSetAttribute, CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (p->adds_bias) GRU_TRY(describe_bias(machine, p));
    GRU_BLAS_TRY(machine,
                 blas->MatrixLayoutInit_internal(&p->a, sizeof p->a, type, (uint64_t)k, (uint64_t)m, k),
                 what);
    GRU_BLAS_TRY(machine, blas->MatrixLayoutInit_internal(&p->b, sizeof p->b, type, (uint64_t)k, 1, k), what);
    GRU_BLAS_TRY(machine, blas->MatrixLayoutInit_internal(&p->d, sizeof p->d, CUDA_R_32F, (uint64_t)m, 1, m),
                 what);
    return GRU_OK;
}

/* ---- algorithms ---- */

static gru_status limit(gru_cuda_machine *machine, const gru_cuda_projection *p,
                        cublasLtMatmulPreference_t preference) {
    const gru_cuda_blas *blas = machine->blas;
    const uint64_t workspace = p->fixed_rows ? 0 : MOST_WORKSPACE;
    const uint32_t alignment = ROW_ALIGNMENT, unsplit = CUBLASLT_REDUCTION_SCHEME_NONE;
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
#define PREFER(attribute, value)                                                                       \
    GRU_BLAS_TRY(machine,                                                                              \
                 blas->MatmulPreferenceSetAttribute(preference, (attribute), &(value), sizeof(value)), \
                 "describing the projection")
    PREFER(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    if (p->fixed_rows) PREFER(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, unsplit);
    for (size_t i = 0; i < sizeof aligned / sizeof *aligned; i++) PREFER(aligned[i], alignment);
#undef PREFER
    return GRU_OK;
}

/* Whether a candidate serves this many rows too, and with GRU_BATCH_INVARIANT sums over k without a split. */
static int serves(const gru_cuda_machine *machine, const gru_cuda_projection *p, int64_t rows,
                  const cublasLtMatmulAlgo_t *algorithm, size_t *workspace) {
    const gru_cuda_blas *blas = machine->blas;
    const uint64_t columns = (uint64_t)rows;
    cublasLtMatmulDescOpaque_t desc = p->desc;
    cublasLtMatrixLayoutOpaque_t a = p->a, b = p->b, d = p->d;
    cublasLtMatmulHeuristicResult_t facts;
    int32_t split = 1;
    size_t written;
    if (blas->MatrixLayoutSetAttribute(&b, CUBLASLT_MATRIX_LAYOUT_COLS, &columns, sizeof columns) ||
        blas->MatrixLayoutSetAttribute(&d, CUBLASLT_MATRIX_LAYOUT_COLS, &columns, sizeof columns) ||
        blas->MatmulAlgoCheck(machine->blas->handle, &desc, &a, &b, &d, &d, algorithm, &facts) ||
        blas->MatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                           &written))
        return 0;
    if (facts.workspaceSize > *workspace) *workspace = facts.workspaceSize;
    return !p->fixed_rows || (split <= 1 && facts.workspaceSize == 0);
}

/* The best algorithm of rung i that serves its least and its most rows; found: whether there is one. */
static gru_status choose(gru_cuda_machine *machine, gru_cuda_projection *p, int32_t i,
                         cublasLtMatmulPreference_t preference, int *found) {
    const gru_cuda_blas *blas = machine->blas;
    const int64_t most = rung_rows(p, i), least = p->fixed_rows ? most : most / 2 + 1;
    const uint64_t columns = (uint64_t)most;
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    int count = 0;
    *found = 0;
    SET(p->b, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    SET(p->d, MatrixLayoutSetAttribute, CUBLASLT_MATRIX_LAYOUT_COLS, columns);
    const cublasStatus_t status =
        blas->MatmulAlgoGetHeuristic(machine->blas->handle, &p->desc, &p->a, &p->b, &p->d, &p->d, preference,
                                     CANDIDATES, candidates, &count);
    /* Either is what a combination without a kernel is called; what is our mistake fails again without the bias. */
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_INVALID_VALUE && p->adds_bias))
        return GRU_OK;
    GRU_BLAS_TRY(machine, status, "choosing an algorithm for the projection");
    for (int c = 0; c < count; c++) {
        size_t workspace = i > 0 ? p->ladder[i - 1].workspace : 0;
        const cublasLtMatmulAlgo_t *algorithm = &candidates[c].algo;
        if (candidates[c].state != CUBLAS_STATUS_SUCCESS) continue;
        if (!serves(machine, p, most, algorithm, &workspace) ||
            !serves(machine, p, least, algorithm, &workspace) || workspace > MOST_WORKSPACE)
            continue;
        p->ladder[i] = (rung){*algorithm, gru_cuda_align(workspace)};
        *found = 1;
        break;
    }
    return GRU_OK;
}

/* An algorithm for every rung; found: whether each has one. */
static gru_status choose_each(gru_cuda_machine *machine, gru_cuda_projection *p, int *found) {
    const gru_cuda_blas *blas = machine->blas;
    cublasLtMatmulPreference_t preference;
    GRU_BLAS_TRY(machine, blas->MatmulPreferenceCreate(&preference), "describing the projection");
    gru_status status = limit(machine, p, preference);
    *found = 1;
    for (int32_t i = 0; i < p->rungs && status == GRU_OK && *found; i++)
        status = choose(machine, p, i, preference, found);
    (void)blas->MatmulPreferenceDestroy(preference);
    return status;
}

/* Steps add the bias themselves where no algorithm does. */
static gru_status choose_all(const gru_layer *layer, gru_cuda_projection *p) {
    int found = 0;
    for (p->adds_bias = 1; !found && p->adds_bias >= 0; p->adds_bias--) {
        GRU_TRY(describe(layer, p));
        GRU_TRY(choose_each(gru_cuda_machine_of(layer->context), p, &found));
    }
    p->adds_bias++; /* back to the one that was found */
    return found ? GRU_OK
                 : gru_fail(GRU_UNSUPPORTED,
                            "cuBLASLt has no algorithm for the projection of %d inputs to %d units",
                            layer->config.inputs, layer->config.hidden);
}

/* ---- first runs ---- */

static int is_new(const gru_cuda_projection *p, int32_t i) {
    for (int32_t j = 0; j < i; j++)
        if (memcmp(&p->ladder[j].algorithm, &p->ladder[i].algorithm, sizeof p->ladder[i].algorithm) == 0)
            return 0;
    return 1;
}

/* Runs each algorithm once on zeros, at the lowest rung that has it: what a first run loads must not be loaded in the
 * middle of a caller's recording. W, x and the bias are the same zeros. */
static gru_status run_each(gru_cuda_machine *machine, const gru_cuda_projection *p, char *memory,
                           size_t zeros) {
    GRU_CUDA_TRY(machine, cudaMemsetAsync(memory, 0, zeros, cudaStreamLegacy), "clearing memory");
    for (int32_t i = 0; i < p->rungs; i++) {
        const int64_t rows = rung_rows(p, i);
        const size_t out = gru_cuda_align((size_t)(rows * p->out_row) * sizeof(float));
        if (!is_new(p, i)) continue;
        const product first = {.W = memory,
                               .bias = memory,
                               .x = memory,
                               .x_stride = p->in_row,
                               .rows = rows,
                               .out = (float *)(void *)(memory + zeros),
                               .workspace = memory + zeros + out};
        GRU_TRY(multiply(machine, p, &p->ladder[i], &first, cudaStreamLegacy));
    }
    return gru_cuda_status(machine, cudaStreamSynchronize(cudaStreamLegacy), "running the projection");
}

static gru_status warm(gru_context *context, const gru_cuda_projection *p) {
    int32_t highest = 0;
    for (int32_t i = 0; i < p->rungs; i++)
        if (is_new(p, i)) highest = i;
    const int64_t rows = rung_rows(p, highest), operand_rows = rows > p->out_row ? rows : p->out_row;
    const size_t zeros = gru_cuda_align((size_t)(operand_rows * p->in_row) * p->element);
    const size_t out = gru_cuda_align((size_t)(rows * p->out_row) * sizeof(float));
    void *memory;
    GRU_TRY(gru_cuda_allocate(context, zeros + out + p->ladder[p->rungs - 1].workspace, &memory));
    const gru_status status = run_each(gru_cuda_machine_of(context), p, memory, zeros);
    gru_cuda_release(context, memory);
    return status;
}

gru_status gru_cuda_projection_create(gru_layer *layer, gru_cuda_projection **projection) {
    gru_context *context = layer->context;
    gru_cuda_machine *machine = gru_cuda_machine_of(context);
    gru_cuda_projection *p = gru_host_allocate(context, sizeof *p, "the projection's algorithms");
    if (!p) return GRU_OUT_OF_MEMORY;
    memset(p, 0, sizeof *p);
    p->fixed_rows = machine->invariant ? FIXED_ROWS : 0;
    p->rungs = 1;
    while (!machine->invariant && p->rungs < RUNGS && most_rows(p) < gru_cuda_chunk_rows(&layer->config))
        p->rungs++;
    gru_status status = choose_all(layer, p);
    if (status == GRU_OK) status = warm(context, p);
    if (status != GRU_OK) {
        gru_cuda_projection_release(layer, p);
        return status;
    }
    *projection = p;
    return GRU_OK;
}

void gru_cuda_projection_release(gru_layer *layer, gru_cuda_projection *projection) {
    gru_host_free(layer->context, projection, sizeof *projection);
}
