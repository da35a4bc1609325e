/* cuda_gemm_prepare.c: asks cuBLASLt for an algorithm for every rung of a product's ladder, and runs each for the first time. */
#include "cuda_gemm_prepare.h"

#include <string.h>

#include "core/host_memory.h"
#include "cuda/device/cuda_memory.h"
#include "cuda_gemm.h"
#include "cuda_packed_layout.h"

/* An algorithm may ask for this much workspace. It takes some to split the sum over k, which pays where the result is
 * too small to fill the device: 2^18 numbers in 4 parts, say. */
enum { MOST_WORKSPACE = 4 << 20 };

enum { CANDIDATES = 8, ROW_ALIGNMENT = 16 };

/* ---- algorithms ---- */

static gru_status limit(gru_cuda_machine *machine, const gru_cuda_gemm *gemm,
                        cublasLtMatmulPreference_t preference) {
    const uint64_t workspace = gemm->fixed_rows ? 0 : MOST_WORKSPACE;
    const uint32_t alignment = ROW_ALIGNMENT, unsplit = CUBLASLT_REDUCTION_SCHEME_NONE;
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    GRU_BLAS_SET(machine, MatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                 workspace);
    if (gemm->fixed_rows)
        GRU_BLAS_SET(machine, MatmulPreferenceSetAttribute, preference,
                     CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, unsplit);
    for (size_t i = 0; i < sizeof aligned / sizeof *aligned; i++)
        GRU_BLAS_SET(machine, MatmulPreferenceSetAttribute, preference, aligned[i], alignment);
    return GRU_OK;
}

/* Whether a candidate serves this many rows too, and with a fixed count sums over k without a split. */
static int serves(gru_cuda_machine *machine, const gru_cuda_gemm *gemm, int64_t rows,
                  const cublasLtMatmulAlgo_t *algorithm, size_t *workspace) {
    const gru_cuda_blas *blas = machine->blas;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_matrices m;
    cublasLtMatmulHeuristicResult_t facts;
    int32_t split = 1;
    size_t written;
    if (gru_cuda_gemm_matrices(machine, gemm, rows, 0, 0, &m) ||
        blas->MatmulAlgoCheck(blas->handle, &desc, &m.a, &m.b, &m.d, &m.d, algorithm, &facts) ||
        blas->MatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                           &written))
        return 0;
    if (facts.workspaceSize > *workspace) *workspace = facts.workspaceSize;
    return !gemm->fixed_rows || (split <= 1 && facts.workspaceSize == 0);
}

/* The best algorithm of rung i that serves its least and its most rows; found: whether there is one. */
static gru_status choose(gru_cuda_machine *machine, gru_cuda_gemm *gemm, int32_t i,
                         cublasLtMatmulPreference_t preference, int *found) {
    const gru_cuda_blas *blas = machine->blas;
    const int64_t most = gru_cuda_rung_rows(gemm, i), least = gemm->fixed_rows ? most : most / 2 + 1;
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    gru_cuda_matrices m;
    int count = 0;
    *found = 0;
    GRU_TRY(gru_cuda_gemm_matrices(machine, gemm, most, 0, 0, &m));
    const cublasStatus_t status = blas->MatmulAlgoGetHeuristic(
        blas->handle, &gemm->desc, &m.a, &m.b, &m.d, &m.d, preference, CANDIDATES, candidates, &count);
    /* Either is what a combination without a kernel is called; what is our mistake fails again without the bias. */
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_INVALID_VALUE && gemm->adds_bias))
        return GRU_OK;
    GRU_BLAS_TRY(machine, status, "choosing an algorithm for a product");
    for (int c = 0; c < count; c++) {
        size_t workspace = i > 0 ? gemm->ladder[i - 1].workspace : 0;
        const cublasLtMatmulAlgo_t *algorithm = &candidates[c].algo;
        if (candidates[c].state != CUBLAS_STATUS_SUCCESS) continue;
        if (!serves(machine, gemm, most, algorithm, &workspace) ||
            !serves(machine, gemm, least, algorithm, &workspace) || workspace > MOST_WORKSPACE)
            continue;
        gemm->ladder[i] = (gru_cuda_rung){*algorithm, gru_cuda_align(workspace)};
        *found = 1;
        break;
    }
    return GRU_OK;
}

/* An algorithm for every rung; found: whether each has one. */
static gru_status choose_each(gru_cuda_machine *machine, gru_cuda_gemm *gemm, int *found) {
    const gru_cuda_blas *blas = machine->blas;
    cublasLtMatmulPreference_t preference;
    GRU_BLAS_TRY(machine, blas->MatmulPreferenceCreate(&preference), "describing a GEMM");
    gru_status status = limit(machine, gemm, preference);
    *found = 1;
    for (int32_t i = 0; i < gemm->rungs && status == GRU_OK && *found; i++)
        status = choose(machine, gemm, i, preference, found);
    (void)blas->MatmulPreferenceDestroy(preference);
    return status;
}

/* Kernels add the bias themselves where no algorithm does. */
static gru_status choose_algorithms(const gru_layer *layer, gru_cuda_gemm *gemm) {
    int found = 0;
    for (int bias = gemm->form.adds_bias; !found && bias >= 0; bias--) {
        GRU_TRY(gru_cuda_gemm_describe(layer, gemm, bias));
        GRU_TRY(choose_each(gru_cuda_machine_of(layer->context), gemm, &found));
    }
    return found ? GRU_OK
                 : gru_fail(GRU_UNSUPPORTED, "cuBLASLt has no algorithm for %s of %d inputs and %d units",
                            gemm->form.name, layer->config.inputs, layer->config.hidden);
}

/* ---- first runs ---- */

static int is_new(const gru_cuda_gemm *gemm, int32_t i) {
    const cublasLtMatmulAlgo_t *algorithm = &gemm->ladder[i].algorithm;
    for (int32_t j = 0; j < i; j++)
        if (memcmp(&gemm->ladder[j].algorithm, algorithm, sizeof *algorithm) == 0) return 0;
    return 1;
}

/* Of the largest operand and of out, with so many rows. */
static size_t operand_bytes(const gru_cuda_gemm *gemm, int64_t rows) {
    const gru_cuda_gemm_form *f = &gemm->form;
    const int sums = f->kind == GRU_CUDA_GEMM_SUM_ROWS;
    const int64_t longer = sums && f->outputs > f->inputs ? f->outputs : f->inputs;
    return gru_cuda_align((size_t)((!sums && f->outputs > rows ? f->outputs : rows) * longer) *
                          gemm->element);
}

static size_t out_bytes(const gru_cuda_gemm *gemm, int64_t rows) {
    const gru_cuda_gemm_form *f = &gemm->form;
    const int64_t out_rows = f->kind == GRU_CUDA_GEMM_SUM_ROWS ? f->outputs : rows;
    return gru_cuda_align((size_t)(out_rows * f->out_stride) * sizeof(float));
}

/* Runs each algorithm once on zeros, at the lowest rung that has it: what a first run loads must not be loaded in the
 * middle of a caller's recording. Weights, rows and the bias are the same zeros. */
static gru_status run_each(gru_cuda_machine *machine, const gru_cuda_gemm *gemm, char *memory, size_t zeros) {
    GRU_CUDA_TRY(machine, cudaMemsetAsync(memory, 0, zeros, cudaStreamLegacy), "clearing memory");
    for (int32_t i = 0; i < gemm->rungs; i++) {
        const int64_t rows = gru_cuda_rung_rows(gemm, i);
        if (!is_new(gemm, i)) continue;
        const gru_cuda_factors first = {.in = memory,
                                        .weights = memory,
                                        .bias = (const float *)(const void *)memory,
                                        .rows = rows,
                                        .out = (float *)(void *)(memory + zeros),
                                        .workspace = memory + zeros + out_bytes(gemm, rows)};
        GRU_TRY(gru_cuda_multiply_at(machine, gemm, &gemm->ladder[i], &first, cudaStreamLegacy));
    }
    return gru_cuda_status(machine, cudaStreamSynchronize(cudaStreamLegacy), "running a product");
}

static gru_status warm_up(gru_context *context, const gru_cuda_gemm *gemm) {
    int32_t highest = 0;
    for (int32_t i = 0; i < gemm->rungs; i++)
        if (is_new(gemm, i)) highest = i;
    const int64_t rows = gru_cuda_rung_rows(gemm, highest);
    const size_t zeros = operand_bytes(gemm, rows);
    void *memory;
    GRU_TRY(gru_cuda_allocate(
        context, zeros + out_bytes(gemm, rows) + gemm->ladder[gemm->rungs - 1].workspace, &memory));
    const gru_status status = run_each(gru_cuda_machine_of(context), gemm, memory, zeros);
    gru_cuda_release(context, memory);
    return status;
}

/* ---- creation ---- */

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
    gru_status status = choose_algorithms(layer, fresh);
    if (status == GRU_OK) status = warm_up(context, fresh);
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
