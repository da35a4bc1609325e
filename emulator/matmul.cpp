// D = alpha A B + beta C + bias as cuBLASLt defines it: sums in f32, in chains of fused multiply-adds along k;
// TF32 rounds the operands first. Everything that it reads must have been written.
#include "matmul.h"
#include "number16.h"
#include "emu_stream.h"
#include "control.h"
#include <atomic>
#include <cstring>

namespace emu {
size_t matmul_size(cudaDataType type) {
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16F || type == CUDA_R_16BF ? 2 : 0;
}
static float load(const void *base, cudaDataType type, size_t i) {
    const unsigned char *p = static_cast<const unsigned char *>(base) + i * matmul_size(type);
    uint16_t bits;
    float value;
    if (type == CUDA_R_32F) {
        memcpy(&value, p, sizeof value);
        return value;
    }
    memcpy(&bits, p, sizeof bits);
    return type == CUDA_R_16F ? f32_from_f16(bits) : f32_from_bf16(bits);
}
static void store(void *base, cudaDataType type, size_t i, float value) {
    unsigned char *p = static_cast<unsigned char *>(base) + i * matmul_size(type);
    const uint16_t bits = type == CUDA_R_16F ? f16_from_f32(value) : bf16_from_f32(value);
    if (type == CUDA_R_32F)
        memcpy(p, &value, sizeof value);
    else
        memcpy(p, &bits, sizeof bits);
}
static size_t index(const emu_matrix_layout &m, uint64_t row, uint64_t column) {
    return m.order == CUBLASLT_ORDER_COL ? row + column * size_t(m.ld) : column + row * size_t(m.ld);
}
// The lines of a matrix that lie together: its columns, or its rows where it is stored by rows.
template <class F> static bool each_line(const emu_matrix_layout &m, const void *base, F visit) {
    const uint64_t lines = m.order == CUBLASLT_ORDER_COL ? m.columns : m.rows;
    const size_t bytes = size_t(m.order == CUBLASLT_ORDER_COL ? m.rows : m.columns) * matmul_size(m.type);
    bool good = true;
    for (uint64_t line = 0; line < lines && good; line++)
        good = visit(static_cast<const unsigned char *>(base) + line * size_t(m.ld) * matmul_size(m.type),
                     bytes);
    return good;
}
static bool inside(const void *p, size_t bytes, const char *name) {
    if (find_allocation(p, bytes)) return true;
    report(cudaErrorIllegalAddress, format("cublasLtMatmul: %s reaches outside an allocation", name));
    return false;
}
static bool readable(const emu_matrix_layout &m, const void *base, const char *name) {
    return each_line(m, base, [name](const void *p, size_t bytes) {
        return inside(p, bytes, name) && checker_read(p, bytes, "cublasLtMatmul");
    });
}
static bool writable(const emu_matrix_layout &m, const void *base) {
    return each_line(m, base, [](const void *p, size_t bytes) { return inside(p, bytes, "D"); });
}
// In f32, [rows][columns] after the transposition.
static std::vector<float> operand(const emu_matrix_layout &m, const void *base, bool transposed, bool tf32) {
    const uint64_t rows = transposed ? m.columns : m.rows, columns = transposed ? m.rows : m.columns;
    std::vector<float> values;
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++) {
            const float value = load(base, m.type, transposed ? index(m, j, i) : index(m, i, j));
            values.push_back(tf32 ? f32_from_bits(tf32_from_f32(value)) : value);
        }
    return values;
}
// Every chains-th product is added in one chain of fused multiply-adds, then the chains are, in ascending order.
static float dot(const float *a, const float *b, uint64_t first, uint64_t k, unsigned chains) {
    float sum = 0;
    for (unsigned chain = 0; chain < chains; chain++) {
        float part = 0;
        for (uint64_t l = first + chain; l < k; l += chains) part = std::fma(a[l], b[l], part);
        sum = chain ? sum + part : part;
    }
    return sum;
}
static void write(const Product &p) {
    const bool tf32 = p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && p.a.type == CUDA_R_32F;
    const bool across = p.desc.transpose_a == CUBLAS_OP_T, down = p.desc.transpose_b == CUBLAS_OP_N;
    const std::vector<float> a = operand(p.a, p.A, across, tf32),
                             b = operand(p.b, p.B, down, tf32); // [m][k], [n][k]
    const uint64_t k = across ? p.a.rows : p.a.columns;
    const uint64_t first = p.a.type == CUDA_R_32F && emu_option.wrong_products & 8 ? 1 : 0;
    for (uint64_t i = 0; i < p.d.rows; i++)
        for (uint64_t j = 0; j < p.d.columns; j++) {
            float sum = dot(&a[i * k], &b[j * k], first, k, p.chains) * p.alpha;
            if (p.beta != 0) sum += p.beta * load(p.C, p.c.type, index(p.c, i, j));
            if (p.desc.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += load(p.desc.bias, p.d.type, i);
            store(p.D, p.d.type, index(p.d, i, j), sum);
        }
    each_line(p.d, p.D, [](const void *line, size_t bytes) {
        checker_wrote(line, bytes);
        return true;
    });
}
static std::atomic<uint64_t> products;

void matmul_run(const Product &p) {
    Access access;
    const emu_matrix_layout bias = {p.d.type, CUBLASLT_ORDER_COL, p.d.rows, 1, int64_t(p.d.rows)};
    if (!readable(p.a, p.A, "A") || !readable(p.b, p.B, "B") || !writable(p.d, p.D)) return;
    if (p.beta != 0 && !readable(p.c, p.C, "C")) return;
    if (p.desc.epilogue == CUBLASLT_EPILOGUE_BIAS && !readable(bias, p.desc.bias, "the bias")) return;
    if (p.workspace_bytes) {
        if (!inside(p.workspace, p.workspace_bytes, "the workspace")) return;
        memset(p.workspace, 0xFF, p.workspace_bytes); // it is the product's alone
        checker_wrote(p.workspace, p.workspace_bytes);
    }
    write(p);
    products += p.d.rows * p.d.columns * (p.desc.transpose_a == CUBLAS_OP_T ? p.a.rows : p.a.columns);
    check_red_zones();
}
} // namespace emu

uint64_t emu_gemm_products(void) {
    return emu::products;
}
