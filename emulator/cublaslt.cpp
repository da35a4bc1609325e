// The interface of the stand-in for cuBLASLt: descriptors, algorithms, and the checks of a call. Stricter
// than the library where that is vague: an algorithm found for some alignment refuses pointers with less.
#include "cublaslt_moods.h"
#include "emu_stream.h"
#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <tuple>

struct cublasLtContext {};
struct emu_matmul_preference {
    uint64_t workspace_bytes = 0;
    uint32_t reductions = ~0u;                    // schemes that may join the parts of a split sum
    uint32_t alignment[4] = {256, 256, 256, 256}; // A B C D
};

using namespace emu;
namespace {
// Descriptors lie in the caller's memory, and may be copied like any struct.
static_assert(sizeof(emu_matmul_desc) <= sizeof(cublasLtMatmulDescOpaque_t), "a descriptor fits");
static_assert(sizeof(emu_matrix_layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "a layout fits");
emu_matmul_desc &inside(cublasLtMatmulDesc_t desc) {
    return *std::launder(reinterpret_cast<emu_matmul_desc *>(desc->data));
}
emu_matrix_layout &inside(cublasLtMatrixLayout_t layout) {
    return *std::launder(reinterpret_cast<emu_matrix_layout *>(layout->data));
}

// What an algorithm is made of, in its eight words.
enum { ID, SPLIT_K, SCHEME, WORKSPACE, ALIGN_A, ALIGN_B, ALIGN_D, MARK };
constexpr uint64_t MARKED = 0xE30A160; // written by the heuristic only

template <class T> cublasStatus_t take(T &into, const void *from, size_t bytes) {
    if (bytes != sizeof into || !from) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&into, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
bool good_layout(const emu_matrix_layout &m) {
    const uint64_t line = m.order == CUBLASLT_ORDER_COL ? m.rows : m.columns;
    return matmul_size(m.type) && m.rows && m.columns && m.ld >= int64_t(line);
}
cublasStatus_t check(const emu_matmul_desc &desc, const emu_matrix_layout &a, const emu_matrix_layout &b,
                     const emu_matrix_layout &c, const emu_matrix_layout &d) {
    if (!good_layout(a) || !good_layout(b) || !good_layout(c) || !good_layout(d))
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool ta = desc.transpose_a == CUBLAS_OP_T, tb = desc.transpose_b == CUBLAS_OP_T;
    const uint64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns;
    if (k != (tb ? b.columns : b.rows) || m != d.rows || (tb ? b.rows : b.columns) != d.columns ||
        c.rows != d.rows || c.columns != d.columns)
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool types = a.type == b.type && c.type == d.type && (d.type == CUDA_R_32F || d.type == a.type);
    const bool added = desc.epilogue == CUBLASLT_EPILOGUE_BIAS;
    const bool bias = (!desc.bias_typed || desc.bias_type == d.type) && (!added || offers_bias(desc));
    const bool tf32 = desc.compute != CUBLAS_COMPUTE_32F_FAST_TF32 || a.type == CUDA_R_32F;
    return types && bias && tf32 && desc.scale == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS
                                                             : CUBLAS_STATUS_NOT_SUPPORTED;
}
Sizes sizes_of(const emu_matmul_desc &desc, const emu_matrix_layout &a, const emu_matrix_layout &d) {
    return {d.rows, d.columns, desc.transpose_a == CUBLAS_OP_T ? a.rows : a.columns};
}
bool aligned(const void *p, uint64_t to) {
    return reinterpret_cast<uintptr_t>(p) % to == 0;
}

// One kernel for each algorithm and combination of types, which its first use loads.
bool load_algorithm(const emu_matmul_desc &desc, cudaDataType from, cudaDataType to, uint64_t id) {
    using Key = std::tuple<int, int, int, int, int, uint64_t>;
    static std::map<Key, char> &kernels = *new std::map<Key, char>;
    return load_kernel(&kernels[{desc.compute, from, to, desc.transpose_a, desc.transpose_b, id}]);
}
} // namespace

extern "C" {
cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
    int device;
    if (cudaGetDevice(&device)) return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = new cublasLtContext;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void) {
    return size_t(emu_option.cublaslt_version);
}
size_t cublasLtGetCudartVersion(void) {
    return CUDART_VERSION;
}
const char *cublasLtGetStatusString(cublasStatus_t status) {
    return cublasLtGetStatusName(status);
}
const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "unknown status";
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld) {
    *out = new cublasLtMatrixLayoutOpaque_t;
    return cublasLtMatrixLayoutInit_internal(*out, sizeof **out, type, rows, columns, ld);
}
cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t out, size_t bytes, cudaDataType type,
                                                 uint64_t rows, uint64_t columns, int64_t ld) {
    if (bytes < sizeof *out) return CUBLAS_STATUS_INVALID_VALUE;
    new (out->data) emu_matrix_layout{type, CUBLASLT_ORDER_COL, rows, columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t which, const void *value,
                                                size_t bytes) {
    emu_matrix_layout *m = &inside(layout);
    switch (which) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return take(m->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return take(m->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return take(m->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return take(m->columns, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return take(m->ld, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t m) {
    delete m;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    *out = new cublasLtMatmulDescOpaque_t;
    return cublasLtMatmulDescInit_internal(*out, sizeof **out, compute, scale);
}
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t out, size_t bytes,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
    if (bytes < sizeof *out) return CUBLAS_STATUS_INVALID_VALUE;
    new (out->data) emu_matmul_desc{
        compute, scale, scale, false, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t opaque,
                                              cublasLtMatmulDescAttributes_t which, const void *value,
                                              size_t bytes) {
    emu_matmul_desc *desc = &inside(opaque);
    switch (which) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return take(desc->compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return take(desc->scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return take(desc->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return take(desc->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return take(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return take(desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        desc->bias_typed = true;
        return take(desc->bias_type, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
    *out = new emu_matmul_preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes) {
    if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return take(preference->workspace_bytes, value, bytes);
    if (which == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        return take(preference->reductions, value, bytes);
    return take(preference->alignment[which - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found) {
    const uint32_t *alignment = preference->alignment;
    *found = 0;
    if (const cublasStatus_t status = check(inside(desc), inside(a), inside(b), inside(c), inside(d)))
        return status;
    const Sizes sizes = sizes_of(inside(desc), inside(a), inside(d));
    const std::vector<uint64_t> ids =
        offered(inside(desc), sizes, preference->workspace_bytes, preference->reductions);
    const bool one_fails = ids.size() > 1 && wanted > 1 && first_fails(inside(desc), sizes);
    for (const uint64_t id : ids) {
        if (*found == wanted) break;
        cublasLtMatmulHeuristicResult_t &result = results[(*found)++];
        result = {};
        if (*found == 1 && one_fails) result.state = CUBLAS_STATUS_NOT_SUPPORTED;
        result.workspaceSize = algorithm(id).workspace;
        result.wavesCount = 1;
        uint64_t *algo = result.algo.data;
        algo[ID] = id;
        algo[SPLIT_K] = algorithm(id).split;
        algo[WORKSPACE] = algorithm(id).workspace;
        algo[ALIGN_A] = std::min(alignment[0], 16u);
        algo[ALIGN_B] = std::min(alignment[1], 16u);
        algo[ALIGN_D] = std::min(alignment[3], 16u);
        algo[MARK] = MARKED;
    }
    return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t which, void *value,
                                                    size_t bytes, size_t *written) {
    if (bytes != sizeof(uint32_t)) return CUBLAS_STATUS_INVALID_VALUE;
    uint32_t number = 0;
    if (which == CUBLASLT_ALGO_CONFIG_ID) number = uint32_t(algo->data[ID]);
    if (which == CUBLASLT_ALGO_CONFIG_SPLITK_NUM) number = uint32_t(algo->data[SPLIT_K]);
    memcpy(value, &number, sizeof number);
    if (written) *written = sizeof number;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t which,
                                                    const void *value, size_t bytes) {
    uint32_t number;
    if (const cublasStatus_t status = take(number, value, bytes)) return status;
    if (which == CUBLASLT_ALGO_CONFIG_ID) return CUBLAS_STATUS_INVALID_VALUE; // is not changed
    if (which == CUBLASLT_ALGO_CONFIG_SPLITK_NUM) algo->data[SPLIT_K] = number;
    if (which == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) algo->data[SCHEME] = number;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                       cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result) {
    if (const cublasStatus_t status = check(inside(desc), inside(a), inside(b), inside(c), inside(d)))
        return status;
    const uint64_t id = algo->data[ID];
    if (algo->data[MARK] != MARKED || id >= ALGORITHMS || algo->data[SPLIT_K] != algorithm(id).split ||
        !serves(id, inside(desc), sizes_of(inside(desc), inside(a), inside(d))))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *result = {};
    result->algo = *algo;
    result->workspaceSize = size_t(algo->data[WORKSPACE]);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t a, const void *B,
                              cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
    Lock lock;
    cublasLtMatmulHeuristicResult_t known;
    if (!handle || !algo)
        return CUBLAS_STATUS_INVALID_VALUE; // algo NULL would ask the heuristic in every call
    if (const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, desc, a, b, c, d, algo, &known))
        return status;
    if (known.workspaceSize > workspace_bytes || (known.workspaceSize && !aligned(workspace, 256)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!aligned(A, algo->data[ALIGN_A]) || !aligned(B, algo->data[ALIGN_B]) ||
        !aligned(D, algo->data[ALIGN_D]))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!load_algorithm(inside(desc), inside(a).type, inside(d).type, algo->data[ID]))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    const Product product = {inside(desc),
                             inside(a),
                             inside(b),
                             inside(c),
                             inside(d),
                             A,
                             B,
                             C,
                             D,
                             *static_cast<const float *>(alpha),
                             *static_cast<const float *>(beta),
                             workspace,
                             known.workspaceSize,
                             algorithm(algo->data[ID]).chains};
    return enqueue(stream, {nullptr, [product] { matmul_run(product); }}) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                                          : CUBLAS_STATUS_SUCCESS;
}
}
