// The stand-in for cuBLASLt: products with a bias in every type against plain sums, and what it refuses.
#include "self.h"
#include <cmath>
#include <cstring>
#include <cublasLt.h>

namespace {
// D [n rows of m] = x [n][k] W^T [m][k] + bias, as a projection asks for it: column-major D is m x n, A = W
// transposed.
struct Projection {
    int m, n, k;
    cudaDataType in, out;
    cublasComputeType_t compute;
    size_t workspace = 0;
    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;

    Projection(int m_, int n_, int k_, cudaDataType in_, cudaDataType out_, cublasComputeType_t c,
               size_t w = 0)
        : m(m_), n(n_), k(k_), in(in_), out(out_), compute(c), workspace(w) {
        CHECK(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulDescCreate(&desc, compute, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&a, in, uint64_t(k), uint64_t(m), k) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&b, in, uint64_t(k), uint64_t(n), k) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&d, out, uint64_t(m), uint64_t(n), m) == CUBLAS_STATUS_SUCCESS);
    }
    Projection(const Projection &) = delete;
    ~Projection() {
        (void)cublasLtMatrixLayoutDestroy(a);
        (void)cublasLtMatrixLayoutDestroy(b);
        (void)cublasLtMatrixLayoutDestroy(d);
        (void)cublasLtMatmulDescDestroy(desc);
        (void)cublasLtDestroy(handle);
    }
    cublasStatus_t prepare(const void *bias) {
        const cublasOperation_t transposed = CUBLAS_OP_T;
        const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        cublasLtMatmulPreference_t preference;
        CHECK(!cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                              sizeof transposed));
        CHECK(
            !cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        CHECK(!cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
        CHECK(!cublasLtMatmulPreferenceCreate(&preference));
        CHECK(!cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &workspace, sizeof workspace));
        const cublasStatus_t status =
            cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, d, d, preference, 1, &best, &found);
        CHECK(!cublasLtMatmulPreferenceDestroy(preference));
        return status;
    }
    cublasStatus_t run(const void *w, const void *x, void *y, void *space, cudaStream_t stream) const {
        const float one = 1, zero = 0;
        return cublasLtMatmul(handle, desc, &one, w, a, x, b, &zero, y, d, y, d, &best.algo, space, workspace,
                              stream);
    }
};

float rounded(float f, cudaDataType type) {
    return type == CUDA_R_16F    ? __half2float(__float2half(f))
           : type == CUDA_R_16BF ? __bfloat162float(__float2bfloat16(f))
                                 : f;
}
std::vector<unsigned char> stored(const std::vector<float> &values, cudaDataType type) {
    std::vector<unsigned char> bytes;
    for (float f : values) {
        const unsigned short half = type == CUDA_R_16F ? __half_as_ushort(__float2half(f))
                                                       : __bfloat16_as_ushort(__float2bfloat16(f));
        const unsigned char *p = type == CUDA_R_32F ? reinterpret_cast<const unsigned char *>(&f)
                                                    : reinterpret_cast<const unsigned char *>(&half);
        bytes.insert(bytes.end(), p, p + (type == CUDA_R_32F ? 4 : 2));
    }
    return bytes;
}
float loaded(const unsigned char *p, cudaDataType type) {
    float f;
    unsigned short half;
    memcpy(&half, p, sizeof half);
    if (type == CUDA_R_16F) return __half2float(__ushort_as_half(half));
    if (type == CUDA_R_16BF) return __bfloat162float(__ushort_as_bfloat16(half));
    memcpy(&f, p, sizeof f);
    return f;
}
std::vector<float> numbers(int n, int salt) {
    std::vector<float> values;
    for (int i = 0; i < n; i++) values.push_back(float(std::sin(double(i * 7 + salt))));
    return values;
}
// The largest difference from sums in double precision of the operands as stored.
double error(cudaDataType in, cudaDataType out, cublasComputeType_t compute, size_t workspace = 0) {
    constexpr int M = 24, N = 5, K = 16;
    Projection p(M, N, K, in, out, compute, workspace);
    const std::vector<float> w = numbers(M * K, 1), x = numbers(N * K, 2), bias = numbers(M, 3);
    const Device<unsigned char> dw(stored(w, in)), dx(stored(x, in)), db(stored(bias, out));
    const Device<unsigned char> y(size_t(M * N * (out == CUDA_R_32F ? 4 : 2))), space(1024);
    CHECK(p.prepare(db.data) == CUBLAS_STATUS_SUCCESS && p.found == 1 && p.best.workspaceSize <= workspace);
    CHECK(p.run(dw.data, dx.data, y.data, space.data, nullptr) == CUBLAS_STATUS_SUCCESS);
    const std::vector<unsigned char> seen = y.host();
    double worst = 0;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = rounded(bias[size_t(i)], out);
            for (int k = 0; k < K; k++)
                sum += double(rounded(w[size_t(i * K + k)], in)) * rounded(x[size_t(j * K + k)], in);
            const size_t at = size_t(j * M + i) * (out == CUDA_R_32F ? 4 : 2);
            worst = std::fmax(worst, std::fabs(loaded(&seen[at], out) - sum));
        }
    return worst;
}
} // namespace

TEST(products_with_a_bias) {
    CHECK(error(CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC) < 4e-6);
    CHECK(error(CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 4096) < 4e-6);
    CHECK(error(CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F) < 4e-6);
    CHECK(error(CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F) < 4e-6);
    CHECK(error(CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F) < 0.05);
    const double tf32 = error(CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32);
    CHECK(tf32 > 1e-5 && tf32 < 16 * 0x1p-10); // 16 products of two factors, each within 2^-11
}
// D (m x n) = A B^T, and added to what D holds: A [k][m], B [k][n] in rows, as a sum over k rows asks for it.
TEST(products_across_and_added) {
    constexpr int M = 8, N = 4, K = 5;
    const std::vector<float> a = numbers(K * M, 1), b = numbers(K * N, 2), before = numbers(M * N, 3);
    const Device<float> da(a), db(b), dd(before);
    Projection p(M, N, K, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC);
    cublasLtMatrixLayout_t rows_a, rows_b;
    cublasLtMatmulPreference_t preference;
    const cublasOperation_t across = CUBLAS_OP_T;
    const float one = 1;
    CHECK(!cublasLtMatmulDescSetAttribute(p.desc, CUBLASLT_MATMUL_DESC_TRANSB, &across, sizeof across));
    CHECK(!cublasLtMatrixLayoutCreate(&rows_a, CUDA_R_32F, M, K, M));
    CHECK(!cublasLtMatrixLayoutCreate(&rows_b, CUDA_R_32F, N, K, N));
    CHECK(!cublasLtMatmulPreferenceCreate(&preference));
    CHECK(cublasLtMatmulAlgoGetHeuristic(p.handle, p.desc, rows_b, rows_a, p.d, p.d, preference, 1, &p.best,
                                         &p.found) == CUBLAS_STATUS_INVALID_VALUE); // n x m
    CHECK(!cublasLtMatmulAlgoGetHeuristic(p.handle, p.desc, rows_a, rows_b, p.d, p.d, preference, 1, &p.best,
                                          &p.found));
    CHECK(!cublasLtMatmul(p.handle, p.desc, &one, da.data, rows_a, db.data, rows_b, &one, dd.data, p.d,
                          dd.data, p.d, &p.best.algo, nullptr, 0, nullptr));
    const std::vector<float> seen = dd.host();
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = before[size_t(j * M + i)];
            for (int k = 0; k < K; k++) sum += double(a[size_t(k * M + i)]) * b[size_t(k * N + j)];
            CHECK(std::fabs(seen[size_t(j * M + i)] - sum) < 4e-6);
        }
    CHECK(!cublasLtMatmulPreferenceDestroy(preference));
    CHECK(!cublasLtMatrixLayoutDestroy(rows_a) && !cublasLtMatrixLayoutDestroy(rows_b));
}
TEST(products_refuse_what_the_library_cannot) {
    const Device<float> w(64, 0), x(64, 0), y(64, 0), bias(64, 0);
    Projection mixed(8, 4, 8, CUDA_R_32F, CUDA_R_16BF, CUBLAS_COMPUTE_32F);
    CHECK(mixed.prepare(bias.data) == CUBLAS_STATUS_NOT_SUPPORTED && mixed.found == 0);
    Projection plain(8, 4, 8, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F);
    CHECK(plain.prepare(bias.data) == CUBLAS_STATUS_SUCCESS);
#if defined(CUDA_EMU)
    CHECK(plain.run(w.data, x.data + 1, y.data, nullptr, nullptr) == CUBLAS_STATUS_NOT_SUPPORTED);
#endif
    CHECK(plain.run(w.data, x.data, y.data, nullptr, nullptr) == CUBLAS_STATUS_SUCCESS);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
}
static bool project(size_t x_count, bool written) {
    const Device<float> w(64, 0), bias(64, 0), y(64);
    Projection p(8, 4, 8, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F);
    CHECK(p.prepare(bias.data) == CUBLAS_STATUS_SUCCESS);
    const Device<float> x(x_count);
    if (written) CHECK(cudaMemset(x.data, 0, x_count * sizeof(float)) == cudaSuccess);
    CHECK(p.run(w.data, x.data, y.data, nullptr, nullptr) == CUBLAS_STATUS_SUCCESS);
    return cudaDeviceSynchronize() != cudaSuccess;
}
TEST(products_read_what_is_there) {
    CHECK(!project(32, true));
}
FAULT(product_reads_what_nobody_wrote, CHECKER, "never written") {
    return project(32, false);
}
FAULT(product_reads_past_the_end, BOTH, "outside an allocation") {
    return project(31, true);
}

// As inline functions of the toolkit's header do it: in the caller's memory, copied like any struct.
TEST(products_by_descriptors_on_the_stack) {
    const Device<float> w(std::vector<float>(64, 0.5f)), x(std::vector<float>(32, 2.0f)),
        bias(std::vector<float>(8, 1.0f)), y(32);
    Projection p(8, 4, 8, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F);
    CHECK(p.prepare(bias.data) == CUBLAS_STATUS_SUCCESS);
    cublasLtMatmulDescOpaque_t desc, copy;
    cublasLtMatrixLayoutOpaque_t a, b, d;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const void *const biases = bias.data;
    CHECK(!cublasLtMatmulDescInit_internal(&desc, sizeof desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    CHECK(cublasLtMatmulDescInit_internal(&desc, sizeof desc - 1, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    CHECK(
        !cublasLtMatmulDescSetAttribute(&desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    CHECK(!cublasLtMatmulDescSetAttribute(&desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    memcpy(&copy, &desc, sizeof copy);
    CHECK(!cublasLtMatmulDescSetAttribute(&copy, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &biases, sizeof biases));
    CHECK(!cublasLtMatrixLayoutInit_internal(&a, sizeof a, CUDA_R_32F, 8, 8, 8));
    CHECK(!cublasLtMatrixLayoutInit_internal(&b, sizeof b, CUDA_R_32F, 8, 4, 8));
    CHECK(!cublasLtMatrixLayoutInit_internal(&d, sizeof d, CUDA_R_32F, 8, 4, 8));
    CHECK(cublasLtMatrixLayoutInit_internal(&d, sizeof d - 1, CUDA_R_32F, 8, 4, 8));
    const float one = 1, zero = 0;
    CHECK(!cublasLtMatmul(p.handle, &copy, &one, w.data, &a, x.data, &b, &zero, y.data, &d, y.data, &d,
                          &p.best.algo, nullptr, 0, nullptr));
    for (float sum : y.host()) CHECK(sum == 9);
}

TEST(products_are_recorded) {
    const Device<float> w(64, 0), x(32, 0), bias(8, 0);
    const Device<float> y(32, 0);
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    Projection p(8, 4, 8, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F);
    CHECK(p.prepare(bias.data) == CUBLAS_STATUS_SUCCESS);
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    CHECK(p.run(w.data, x.data, y.data, nullptr, stream) == CUBLAS_STATUS_SUCCESS); // loads it
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(p.run(w.data, x.data, y.data, nullptr, stream) == CUBLAS_STATUS_SUCCESS);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess);
    const std::vector<float> others(8, 2.5f);
    CHECK(cudaMemcpy(bias.data, others.data(), 32, cudaMemcpyHostToDevice) == cudaSuccess);
    CHECK(cudaGraphLaunch(ready, stream) == cudaSuccess && cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(y.host()[31] == 2.5f);
    CHECK(!cudaGraphExecDestroy(ready) && !cudaGraphDestroy(graph) && !cudaStreamDestroy(stream));
}
