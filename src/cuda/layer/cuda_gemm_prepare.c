/* cuda_gemm_prepare.c: asks cuBLASLt for an algorithm for every bucket of a product's algorithm table, and runs each for the first time. */
#include "cuda_gemm_prepare.h"

#include <string.h>

#include "core/host_memory.h"
#include "cuda/device/cuda_memory.h"
#include "cuda_gemm.h"
#include "cuda_packed_layout.h"

/* An algorithm may ask for this much workspace. It takes some to split the sum over k, which pays where the result is
 * too small to fill the device: 2^18 numbers in 4 parts, say. */
enum { MAX_WORKSPACE = 4 << 20 };

enum { CANDIDATES = 8, ROW_ALIGNMENT = 16 };

/* ---- algorithms ---- */

static gru_status limit(gru_cuda_device *device, const gru_cuda_gemm *gemm,
                        cublasLtMatmulPreference_t preference) {
    const uint64_t workspace = gemm->fixed_rows ? 0 : MAX_WORKSPACE;
    const uint32_t alignment = ROW_ALIGNMENT, unsplit = CUBLASLT_REDUCTION_SCHEME_NONE;
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    GRU_BLAS_SET(device, MatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                 workspace);
    if (gemm->fixed_rows)
        GRU_BLAS_SET(device, MatmulPreferenceSetAttribute, preference,
                     CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, unsplit);
    for (size_t i = 0; i < sizeof aligned / sizeof *aligned; i++)
        GRU_BLAS_SET(device, MatmulPreferenceSetAttribute, preference, aligned[i], alignment);
    return GRU_OK;
}

/* Whether a candidate serves this many rows too, and with a fixed count sums over k without a split. */
static int serves(gru_cuda_device *device, const gru_cuda_gemm *gemm, int64_t rows,
                  const cublasLtMatmulAlgo_t *algorithm, size_t *workspace) {
    const gru_cuda_blas *blas = device->blas;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_gemm_layouts m;
    cublasLtMatmulHeuristicResult_t facts;
    int32_t split = 1;
    size_t written;
    if (gru_cuda_gemm_layouts_of(device, gemm, rows, 0, 0, &m) ||
        blas->MatmulAlgoCheck(blas->handle, &desc, &m.a, &m.b, &m.d, &m.d, algorithm, &facts) ||
        blas->MatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                           &written))
        return 0;
    if (facts.workspaceSize > *workspace) *workspace = facts.workspaceSize;
    return !gemm->fixed_rows || (split <= 1 && facts.workspaceSize == 0);
}

/* The best algorithm of bucket i that serves its least and its most rows; found: whether there is one. */
static gru_status choose(gru_cuda_device *device, gru_cuda_gemm *gemm, int32_t i,
                         cublasLtMatmulPreference_t preference, int *found) {
    const gru_cuda_blas *blas = device->blas;
    const int64_t most = gru_cuda_bucket_rows(gemm, i), least = gemm->fixed_rows ? most : most / 2 + 1;
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    gru_cuda_gemm_layouts m;
    int count = 0;
    *found = 0;
    GRU_TRY(gru_cuda_gemm_layouts_of(device, gemm, most, 0, 0, &m));
    const cublasStatus_t status = blas->MatmulAlgoGetHeuristic(
        blas->handle, &gemm->desc, &m.a, &m.b, &m.d, &m.d, preference, CANDIDATES, candidates, &count);
    /* Either is what a combination without a kernel is called; what is our mistake fails again without the bias. */
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_INVALID_VALUE && gemm->adds_bias))
        return GRU_OK;
    GRU_BLAS_TRY(device, status, "choosing an algorithm for a product");
    for (int c = 0; c < count; c++) {
        size_t workspace = i > 0 ? gemm->algorithm_table[i - 1].workspace : 0;
        const cublasLtMatmulAlgo_t *algorithm = &candidates[c].algo;
        if (candidates[c].state != CUBLAS_STATUS_SUCCESS) continue;
        if (!serves(device, gemm, most, algorithm, &workspace) ||
            !serves(device, gemm, least, algorithm, &workspace) || workspace > MAX_WORKSPACE)
            continue;
        gemm->algorithm_table[i] = (gru_cuda_gemm_bucket){*algorithm, gru_cuda_align(workspace)};
        *found = 1;
        break;
    }
    return GRU_OK;
}

/* An algorithm for every bucket; found: whether each has one. */
static gru_status choose_each(gru_cuda_device *device, gru_cuda_gemm *gemm, int *found) {
    const gru_cuda_blas *blas = device->blas;
    cublasLtMatmulPreference_t preference;
    GRU_BLAS_TRY(device, blas->MatmulPreferenceCreate(&preference), "describing a GEMM");
    gru_status status = limit(device, gemm, preference);
    *found = 1;
    for (int32_t i = 0; i < gemm->buckets && status == GRU_OK && *found; i++)
        status = choose(device, gemm, i, preference, found);
    (void)blas->MatmulPreferenceDestroy(preference);
    return status;
}

/* Kernels add the bias themselves where no algorithm does. */
static gru_status choose_algorithms(const gru_layer *layer, gru_cuda_gemm *gemm) {
    int found = 0;
    for (int bias = gemm->shape.adds_bias; !found && bias >= 0; bias--) {
        GRU_TRY(gru_cuda_gemm_describe(layer, gemm, bias));
        GRU_TRY(choose_each(gru_cuda_device_of(layer->context), gemm, &found));
    }
    return found ? GRU_OK
                 : gru_fail(GRU_UNSUPPORTED, "cuBLASLt has no algorithm for %s of %d inputs and %d units",
                            gemm->shape.name, layer->config.inputs, layer->config.hidden);
}

/* ---- first runs ---- */

static int is_new(const gru_cuda_gemm *gemm, int32_t i) {
    const cublasLtMatmulAlgo_t *algorithm = &gemm->algorithm_table[i].algorithm;
    for (int32_t j = 0; j < i; j++)
        if (memcmp(&gemm->algorithm_table[j].algorithm, algorithm, sizeof *algorithm) == 0) return 0;
    return 1;
}

/* Of the largest operand and of out, with so many rows. */
static size_t operand_bytes(const gru_cuda_gemm *gemm, int64_t rows) {
    const gru_cuda_gemm_shape *f = &gemm->shape;
    const int sums = f->kind == GRU_CUDA_GEMM_SUM_ROWS;
    const int64_t longer = sums && f->outputs > f->inputs ? f->outputs : f->inputs;
    return gru_cuda_align((size_t)((!sums && f->outputs > rows ? f->outputs : rows) * longer) *
                          gemm->element);
}

static size_t out_bytes(const gru_cuda_gemm *gemm, int64_t rows) {
    const gru_cuda_gemm_shape *f = &gemm->shape;
    const int64_t out_rows = f->kind == GRU_CUDA_GEMM_SUM_ROWS ? f->outputs : rows;
    return gru_cuda_align((size_t)(out_rows * f->out_stride) * sizeof(float));
}

/* Runs each algorithm once on zeros, at the lowest bucket that has it: what a first run loads must not be loaded in the
 * middle of a caller's recording. Weights, rows and the bias are the same zeros. */
static gru_status run_each(gru_cuda_device *device, const gru_cuda_gemm *gemm, char *memory, size_t zeros) {
    GRU_CUDA_TRY(device, cudaMemsetAsync(memory, 0, zeros, cudaStreamLegacy), "clearing memory");
    for (int32_t i = 0; i < gemm->buckets; i++) {
        const int64_t rows = gru_cuda_bucket_rows(gemm, i);
        if (!is_new(gemm, i)) continue;
        const gru_cuda_gemm_args first = {.in = memory,
                                          .weights = memory,
                                          .bias = (const float *)(const void *)memory,
                                          .rows = rows,
                                          .out = (float *)(void *)(memory + zeros),
                                          .workspace = memory + zeros + out_bytes(gemm, rows)};
        GRU_TRY(gru_cuda_gemm_run_bucket(device, gemm, &gemm->algorithm_table[i], &first, cudaStreamLegacy));
    }
    return gru_cuda_status(device, cudaStreamSynchronize(cudaStreamLegacy), "running a product");
}

static gru_status warm_up(gru_context *context, const gru_cuda_gemm *gemm) {
    int32_t highest = 0;
    for (int32_t i = 0; i < gemm->buckets; i++)
        if (is_new(gemm, i)) highest = i;
    const int64_t rows = gru_cuda_bucket_rows(gemm, highest);
    const size_t zeros = operand_bytes(gemm, rows);
    void *memory;
    GRU_TRY(gru_cuda_allocate(
        context, zeros + out_bytes(gemm, rows) + gemm->algorithm_table[gemm->buckets - 1].workspace,
        &memory));
    const gru_status status = run_each(gru_cuda_device_of(context), gemm, memory, zeros);
    gru_cuda_release(context, memory);
    return status;
}

/* ---- creation ---- */

gru_status gru_cuda_gemm_create(gru_layer *layer, const gru_cuda_gemm_shape *shape, gru_cuda_gemm **gemm) {
    gru_context *context = layer->context;
    const int fixed = gru_cuda_device_of(context)->invariant && shape->kind != GRU_CUDA_GEMM_SUM_ROWS;
    gru_cuda_gemm *fresh = gru_host_allocate(context, sizeof *fresh, "the algorithms of a product");
    if (!fresh) return GRU_OUT_OF_MEMORY;
    memset(fresh, 0, sizeof *fresh);
    fresh->shape = *shape;
    fresh->fixed_rows = fixed ? GRU_CUDA_FIXED_ROWS : 0;
    fresh->buckets = 1;
    while (!fixed && fresh->buckets < GRU_CUDA_GEMM_BUCKETS &&
           gru_cuda_bucket_rows(fresh, fresh->buckets - 1) < gru_cuda_chunk_rows(&layer->config))
        fresh->buckets++;
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
