/* cuda_gemm_prepare.c: asks cuBLASLt for an algorithm for every bucket of row counts, and runs each algorithm once. */
#include "cuda_gemm_prepare.h"

#include <string.h>

#include "core/host_memory.h"
#include "cuda/device/cuda_memory.h"
#include "cuda_gemm.h"
#include "cuda_packed_layout.h"

/* Limit of an algorithm's workspace. Algorithms use it to split the sum over k, which pays where the result is too small to
 * fill the device, for example 2^18 numbers in 4 splits. */
enum { MAX_WORKSPACE = 4 << 20 };

enum { CANDIDATES = 8, ROW_ALIGNMENT = 16 };

/* ---- algorithms ---- */

static gru_status set_preference(gru_cuda_device *device, const gru_cuda_gemm *gemm,
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

/* Whether a candidate supports this many rows, and with a fixed number of rows sums over k without a split. */
static int supports(gru_cuda_device *device, const gru_cuda_gemm *gemm, int64_t rows,
                    const cublasLtMatmulAlgo_t *algorithm, size_t *workspace) {
    const gru_cuda_blas *blas = device->blas;
    cublasLtMatmulDescOpaque_t desc = gemm->desc;
    gru_cuda_gemm_layouts m;
    cublasLtMatmulHeuristicResult_t result;
    int32_t split = 1;
    size_t written;
    if (gru_cuda_gemm_layouts_of(device, gemm, rows, 0, 0, &m) ||
        blas->MatmulAlgoCheck(blas->handle, &desc, &m.a, &m.b, &m.d, &m.d, algorithm, &result) ||
        blas->MatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                           &written))
        return 0;
    if (result.workspaceSize > *workspace) *workspace = result.workspaceSize;
    return !gemm->fixed_rows || (split <= 1 && result.workspaceSize == 0);
}

/* Chooses the best algorithm that supports the minimum and the maximum of rows of bucket i, if there is one. */
static gru_status choose(gru_cuda_device *device, gru_cuda_gemm *gemm, int32_t i,
                         cublasLtMatmulPreference_t preference) {
    const gru_cuda_blas *blas = device->blas;
    const int64_t most = gru_cuda_bucket_rows(gemm, i), least = gemm->fixed_rows ? most : most / 2 + 1;
    const size_t below = i > 0 ? gemm->algorithm_table[i - 1].workspace : 0;
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    gru_cuda_gemm_layouts m;
    int count = 0;
    gemm->algorithm_table[i] = (gru_cuda_gemm_bucket){.workspace = below};
    GRU_TRY(gru_cuda_gemm_layouts_of(device, gemm, most, 0, 0, &m));
    const cublasStatus_t status = blas->MatmulAlgoGetHeuristic(
        blas->handle, &gemm->desc, &m.a, &m.b, &m.d, &m.d, preference, CANDIDATES, candidates, &count);
    /* Either status may mean that no kernel exists. Where it is our error, it comes again without the bias. */
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_INVALID_VALUE && gemm->adds_bias))
        return GRU_OK;
    GRU_BLAS_TRY(device, status, "choosing an algorithm for a GEMM");
    for (int c = 0; c < count; c++) {
        size_t workspace = below;
        const cublasLtMatmulAlgo_t *algorithm = &candidates[c].algo;
        if (candidates[c].state != CUBLAS_STATUS_SUCCESS) continue;
        if (!supports(device, gemm, most, algorithm, &workspace) ||
            !supports(device, gemm, least, algorithm, &workspace) || workspace > MAX_WORKSPACE)
            continue;
        gemm->algorithm_table[i] = (gru_cuda_gemm_bucket){*algorithm, 1, gru_cuda_align(workspace)};
        break;
    }
    return GRU_OK;
}

/* Chooses algorithms for all buckets; without one for the lowest, nothing serves a single row, and the others are not asked. */
static gru_status choose_each(gru_cuda_device *device, gru_cuda_gemm *gemm) {
    const gru_cuda_blas *blas = device->blas;
    cublasLtMatmulPreference_t preference;
    GRU_BLAS_TRY(device, blas->MatmulPreferenceCreate(&preference), "describing a GEMM");
    gru_status status = set_preference(device, gemm, preference);
    for (int32_t i = 0; i < gemm->buckets && status == GRU_OK && (i == 0 || gemm->algorithm_table[0].served);
         i++)
        status = choose(device, gemm, i, preference);
    (void)blas->MatmulPreferenceDestroy(preference);
    return status;
}

/* Where no algorithm adds the bias, the step kernels do. */
static gru_status choose_algorithms(const gru_layer *layer, gru_cuda_gemm *gemm) {
    int served = 0;
    for (int bias = gemm->shape.adds_bias; !served && bias >= 0; bias--) {
        GRU_TRY(gru_cuda_gemm_describe(layer, gemm, bias));
        GRU_TRY(choose_each(gru_cuda_device_of(layer->context), gemm));
        served = gemm->algorithm_table[0].served;
    }
    if (!served) gemm->buckets = 0;
    return GRU_OK;
}

/* ---- first runs ---- */

static int is_first_use(const gru_cuda_gemm *gemm, int32_t i) {
    const cublasLtMatmulAlgo_t *algorithm = &gemm->algorithm_table[i].algorithm;
    for (int32_t j = 0; j < i; j++)
        if (memcmp(&gemm->algorithm_table[j].algorithm, algorithm, sizeof *algorithm) == 0) return 0;
    return gemm->algorithm_table[i].served;
}

/* Bytes of the larger operand with so many rows. */
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

/* Runs each algorithm once on zeros, in the lowest bucket that uses it: the first run loads code, which must not happen while a
 * caller records a graph. Weights, rows and bias are the same zeros. */
static gru_status run_each(gru_cuda_device *device, const gru_cuda_gemm *gemm, char *memory, size_t zeros) {
    GRU_CUDA_TRY(device, cudaMemsetAsync(memory, 0, zeros, cudaStreamLegacy), "clearing memory");
    for (int32_t i = 0; i < gemm->buckets; i++) {
        const int64_t rows = gru_cuda_bucket_rows(gemm, i);
        if (!is_first_use(gemm, i)) continue;
        const gru_cuda_gemm_args first = {.in = memory,
                                          .weights = memory,
                                          .bias = (const float *)(const void *)memory,
                                          .rows = rows,
                                          .out = (float *)(void *)(memory + zeros),
                                          .workspace = memory + zeros + out_bytes(gemm, rows)};
        GRU_TRY(gru_cuda_gemm_run_bucket(device, gemm, &gemm->algorithm_table[i], &first, cudaStreamLegacy));
    }
    return gru_cuda_status(device, cudaStreamSynchronize(cudaStreamLegacy), "running a GEMM");
}

static gru_status warm_up(gru_context *context, const gru_cuda_gemm *gemm) {
    int32_t highest = 0;
    for (int32_t i = 0; i < gemm->buckets; i++)
        if (is_first_use(gemm, i)) highest = i;
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

gru_status gru_cuda_gemm_create(gru_layer *layer, const gru_cuda_gemm_shape *shape, int32_t fixed_rows,
                                gru_cuda_gemm **gemm) {
    gru_context *context = layer->context;
    const gru_cuda_device *device = gru_cuda_device_of(context);
    const int32_t fixed = shape->kind == GRU_CUDA_GEMM_SUM_ROWS ? 0 : fixed_rows;
    gru_cuda_gemm *created = gru_host_allocate(context, sizeof *created, "the algorithms of a GEMM");
    if (!created) return GRU_OUT_OF_MEMORY;
    memset(created, 0, sizeof *created);
    created->shape = *shape;
    created->fixed_rows = fixed;
    created->buckets = 1;
    while (!fixed && created->buckets < GRU_CUDA_GEMM_BUCKETS &&
           gru_cuda_bucket_rows(created, created->buckets - 1) <
               gru_cuda_chunk_rows(&layer->config, device->chunk_bytes))
        created->buckets++;
    gru_status status = choose_algorithms(layer, created);
    if (status == GRU_OK && created->buckets > 0) status = warm_up(context, created);
    if (status != GRU_OK) {
        gru_cuda_gemm_release(layer, created);
        return status;
    }
    *gemm = created;
    return GRU_OK;
}

void gru_cuda_gemm_release(gru_layer *layer, gru_cuda_gemm *gemm) {
    gru_host_free(layer->context, gemm, sizeof *gemm);
}
