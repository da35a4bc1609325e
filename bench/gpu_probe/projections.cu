// projections.cu: cuBLASLt's product with a bias, as a projection of GRU inputs needs it: time and bits by
// the number of rows and by where they lie; and what first calls cost.  SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "probe_ptx.cuh"
#include "fragments.cuh"
#include "measurement.h"
#include "products_library.h"

namespace gpu_probe {

enum {
    INPUTS = 512,
    OUTPUTS = 1536,
    MOST_ROWS = 4096,
    SLACK = 128
}; // I and 3 H of H = 512; elements to shift x by
enum { WORKSPACE = 32 << 20 };

__global__ void fill_random(uint32_t *pairs, int count, unsigned seed) {
    for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < count; i += int(gridDim.x * blockDim.x))
        pairs[i] = two_random(seed + unsigned(i));
}

// a [rows][OUTPUTS] f32 = x [rows][INPUTS] W^T + bias, x and W bf16. For cuBLASLt, which counts columns
// first, W is A.
struct Projection {
    const ProductsLibrary *lt;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w, x, a;
    cublasLtMatmulHeuristicResult_t best;
    int found;
    const void *inputs, *weights; // bf16
    const float *bias;
    float *outputs;
    void *workspace;
};

// Products for a given number of rows need describe, choose; then forget.
#define LT(call)                                                           \
    do {                                                                   \
        if ((call) != CUBLAS_STATUS_SUCCESS) return cudaErrorNotSupported; \
    } while (0)

static cudaError_t describe(Projection &p, int rows) {
    const ProductsLibrary &lt = *p.lt;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t bias_type = CUDA_R_32F;
    LT(lt.MatmulDescCreate(&p.product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    LT(lt.MatmulDescSetAttribute(p.product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    LT(lt.MatmulDescSetAttribute(p.product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    LT(lt.MatmulDescSetAttribute(p.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias));
    LT(lt.MatmulDescSetAttribute(p.product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type,
                                 sizeof bias_type));
    LT(lt.MatrixLayoutCreate(&p.w, CUDA_R_16BF, INPUTS, OUTPUTS, INPUTS));
    LT(lt.MatrixLayoutCreate(&p.x, CUDA_R_16BF, INPUTS, uint64_t(rows), INPUTS));
    LT(lt.MatrixLayoutCreate(&p.a, CUDA_R_32F, OUTPUTS, uint64_t(rows), OUTPUTS));
    return cudaSuccess;
}

// Of what fits x's alignment, which is the largest power of two up to 256 that divides its address.
static cudaError_t choose(Projection &p) {
    const ProductsLibrary &lt = *p.lt;
    const size_t workspace = WORKSPACE;
    const uint32_t lowest = uint32_t(uintptr_t(p.inputs) & (~uintptr_t(p.inputs) + 1));
    const uint32_t alignment = lowest > 0 && lowest < 256 ? lowest : 256;
    cublasLtMatmulPreference_t wish;
    LT(lt.MatmulPreferenceCreate(&wish));
    LT(lt.MatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                       sizeof workspace));
    LT(lt.MatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment,
                                       sizeof alignment));
    const cublasStatus_t status =
        lt.MatmulAlgoGetHeuristic(p.handle, p.product, p.w, p.x, p.a, p.a, wish, 1, &p.best, &p.found);
    LT(lt.MatmulPreferenceDestroy(wish));
    return status == CUBLAS_STATUS_SUCCESS && p.found ? cudaSuccess : cudaErrorNotSupported;
}

static void forget(Projection &p) {
    if (p.a) (void)p.lt->MatrixLayoutDestroy(p.a);
    if (p.x) (void)p.lt->MatrixLayoutDestroy(p.x);
    if (p.w) (void)p.lt->MatrixLayoutDestroy(p.w);
    if (p.product) (void)p.lt->MatmulDescDestroy(p.product);
    p.a = p.x = p.w = nullptr, p.product = nullptr;
}

static cudaError_t enqueue_projection(Session &s, const void *context) {
    const Projection &p = *static_cast<const Projection *>(context);
    const float one = 1, zero = 0;
    LT(p.lt->Matmul(p.handle, p.product, &one, p.weights, p.w, p.inputs, p.x, &zero, p.outputs, p.a,
                    p.outputs, p.a, &p.best.algo, p.workspace, WORKSPACE, s.stream));
    return cudaSuccess;
}

static cudaError_t enqueue_many(Session &s, const void *context) {
    for (int i = 0; i < many(s, 50, 1); i++) TRY(enqueue_projection(s, context));
    return cudaSuccess;
}

static float value_of(uint16_t bits) {
    const uint32_t wide = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

// The largest error of the first row against sums in double precision, over that of INPUTS roundings of their
// size.
static cudaError_t check_first_row(const Projection &p, const float *row, bool *good) {
    static uint16_t x[INPUTS], w[INPUTS * OUTPUTS];
    static float bias[OUTPUTS];
    TRY(cudaMemcpy(x, p.inputs, sizeof x, cudaMemcpyDeviceToHost));
    TRY(cudaMemcpy(w, p.weights, sizeof w, cudaMemcpyDeviceToHost));
    TRY(cudaMemcpy(bias, p.bias, sizeof bias, cudaMemcpyDeviceToHost));
    *good = true;
    for (int i = 0; i < OUTPUTS; i++) {
        double sum = double(bias[i]), size = fabs(sum);
        for (int k = 0; k < INPUTS; k++) {
            const double term = double(value_of(x[k])) * double(value_of(w[i * INPUTS + k]));
            sum += term, size += fabs(term);
        }
        if (!(fabs(double(row[i]) - sum) <= size * INPUTS * 0x1p-24)) *good = false;
    }
    return cudaSuccess;
}

// Both [OUTPUTS]: bits of the first and of the last row.
static cudaError_t run_rows(Session &s, Projection &p, int rows, double *seconds, float *first, float *last) {
    const size_t bytes = OUTPUTS * sizeof *first;
    TRY(describe(p, rows));
    TRY(choose(p));
    TRY(time_graph(s, enqueue_many, &p, seconds));
    TRY(cudaMemcpy(first, p.outputs, bytes, cudaMemcpyDeviceToHost));
    return cudaMemcpy(last, p.outputs + int64_t(rows - 1) * OUTPUTS, bytes, cudaMemcpyDeviceToHost);
}

static int count_different(const float *some, const float *others) {
    int different = 0;
    for (int i = 0; i < OUTPUTS; i++) different += memcmp(some + i, others + i, sizeof *some) != 0;
    return different;
}

// x [rows][INPUTS] begins shift elements into its memory; its first and last row are the same numbers in
// every case, and alone [OUTPUTS] the bits that they gave when there was one row, not shifted: the first
// case.
static void measure_rows(Session &s, Projection p, int rows, int shift, uint16_t *memory, const uint16_t *row,
                         float *alone) {
    static float first[OUTPUTS], last[OUTPUTS];
    uint16_t *const x = memory + shift;
    double seconds = 0;
    bool good = true;
    p.inputs = x;
    cudaError_t status = cudaMemcpy(x, row, INPUTS * sizeof *x, cudaMemcpyDeviceToDevice);
    if (status == cudaSuccess)
        status =
            cudaMemcpy(x + int64_t(rows - 1) * INPUTS, row, INPUTS * sizeof *x, cudaMemcpyDeviceToDevice);
    if (status == cudaSuccess) status = run_rows(s, p, rows, &seconds, first, last);
    if (status == cudaSuccess) status = check_first_row(p, first, &good);
    forget(p);
    const char *wrong = status != cudaSuccess ? error_of(status) : good ? nullptr : "the first row is wrong";
    if (rows == 1 && shift == 0) memcpy(alone, first, sizeof first);
    report(s, "cuBLASLt bf16, bias", seconds * 1e6 / many(s, 50, 1), "us", wrong,
           "%d rows, x %d bytes off, graph", rows, 2 * shift);
    report(s, "cuBLASLt: bits unlike one row alone",
           count_different(first, alone) + count_different(last, alone), "", wrong,
           "%d rows, x %d bytes off, first and last row, of %d", rows, 2 * shift, 2 * OUTPUTS);
}

static cudaError_t make(Session &s, Projection &p, uint16_t *weights, uint16_t *memory, uint16_t *row,
                        float *bias) {
    const Shape shape = {s.multiprocessors, 256, 0, 0, false, false};
    const int rows = many(s, MOST_ROWS, 4);
    LT(p.lt->Create(&p.handle));
    TRY(launch(s, shape, fill_random, reinterpret_cast<uint32_t *>(weights), INPUTS * OUTPUTS / 2, 1u));
    TRY(launch(s, shape, fill_random, reinterpret_cast<uint32_t *>(memory), (rows * INPUTS + SLACK) / 2, 2u));
    TRY(launch(s, shape, fill_random, reinterpret_cast<uint32_t *>(row), INPUTS / 2, 3u));
    TRY(launch(s, shape, fill_random, reinterpret_cast<uint32_t *>(bias), OUTPUTS, 4u)); // any numbers do
    return cudaStreamSynchronize(s.stream);
}

void measure_projections(Session &s) {
    static float alone[OUTPUTS];
    const int most = many(s, MOST_ROWS, 4);
    const Memory<uint16_t> weights(INPUTS * OUTPUTS), row(INPUTS), memory(size_t(most) * INPUTS + SLACK);
    const Memory<float> bias(OUTPUTS), outputs(size_t(most) * OUTPUTS);
    const Memory<unsigned char> workspace(WORKSPACE);
    Projection p = {};
    p.lt = load_products();
    p.weights = weights.data, p.bias = bias.data, p.outputs = outputs.data, p.workspace = workspace.data;
    const cudaError_t status =
        p.lt ? make(s, p, weights.data, memory.data, row.data, bias.data) : cudaErrorNotSupported;
    if (status != cudaSuccess) {
        report(s, "cuBLASLt bf16, bias", 0, "us", p.lt ? error_of(status) : "libcublasLt is not here",
               "any rows");
        return;
    }
    for (int rows = 1; rows <= most; rows *= s.brief ? 4 : 2)
        measure_rows(s, p, rows, 0, memory.data, row.data, alone);
    for (int shift = 8; shift <= 32; shift *= 2) {
        measure_rows(s, p, 1, shift, memory.data, row.data, alone);
        measure_rows(s, p, many(s, 256, 3), shift, memory.data, row.data, alone);
    }
    (void)p.lt->Destroy(p.handle);
}

// ---- first calls ------------------------------------------------------------------------------------------

__global__ void first_used(unsigned *word) { // nowhere else
    if (word) *word = 1;
}

// Seconds of one call with the wait for it.
static cudaError_t time_once(Session &s, Enqueue enqueue, const void *context, double *seconds) {
    const double start = now();
    TRY(enqueue(s, context));
    TRY(cudaStreamSynchronize(s.stream));
    *seconds = now() - start;
    return cudaSuccess;
}

static cudaError_t enqueue_first(Session &s, const void *context) {
    return launch(s, *static_cast<const Shape *>(context), first_used, static_cast<unsigned *>(nullptr));
}

static void report_twice(Session &s, const char *what, Enqueue enqueue, const void *context) {
    double first = 0, second = 0;
    cudaError_t status = time_once(s, enqueue, context, &first);
    if (status == cudaSuccess) status = time_once(s, enqueue, context, &second);
    report_once(s, what, first * 1e6, error_of(status), "first call, and its wait");
    report_once(s, what, second * 1e6, error_of(status), "second call, and its wait");
}

static void measure_first_products(Session &s) {
    const Memory<uint16_t> weights(INPUTS * OUTPUTS), x(64 * INPUTS);
    const Memory<float> bias(OUTPUTS), outputs(64 * OUTPUTS);
    const Memory<unsigned char> workspace(WORKSPACE);
    Projection p = {};
    double start = now();
    p.lt = load_products();
    report_once(s, "cuBLASLt", (now() - start) * 1e6, p.lt ? nullptr : "libcublasLt is not here",
                "opening the library");
    if (!p.lt) return;
    p.inputs = x.data, p.weights = weights.data, p.bias = bias.data, p.outputs = outputs.data;
    p.workspace = workspace.data;
    start = now();
    const bool made = p.lt->Create(&p.handle) == CUBLAS_STATUS_SUCCESS;
    report_once(s, "cuBLASLt", (now() - start) * 1e6, made ? nullptr : "no handle", "making the handle");
    if (!made) return;
    cudaError_t status = describe(p, 64);
    start = now();
    if (status == cudaSuccess) status = choose(p);
    report_once(s, "cuBLASLt", (now() - start) * 1e6, error_of(status), "first choice of an algorithm");
    if (status == cudaSuccess) report_twice(s, "cuBLASLt product of 64 rows", enqueue_projection, &p);
    forget(p);
    (void)p.lt->Destroy(p.handle);
}

void measure_first_calls(Session &s) {
    const Shape shape = {1, 32, 0, 0, false, false};
    report_twice(s, "kernel", enqueue_first, &shape);
    measure_first_products(s);
}

} // namespace gpu_probe
