// Numbers: f16 and bf16 conversions, tensor-core products against plain sums, ldmatrix, tanh.approx.
#include "self.h"
#include <cmath>
#include <cstring>

// Nearest representable with the given number of fraction bits behind the leading one, ties to even.
static double rounded(double x, int bits, int smallest) {
    if (x == 0) return x;
    int exponent = 0;
    std::frexp(x, &exponent);
    const double unit = std::ldexp(1.0, (exponent - 1 < smallest ? smallest : exponent - 1) - bits);
    return std::nearbyint(x / unit) * unit;
}
TEST(sixteen_bit_numbers_round_to_nearest_even) {
    for (unsigned i = 0; i < 300000; i++) {
        const unsigned bits = i * 2654435761u;
        float f;
        memcpy(&f, &bits, sizeof f);
        if (!std::isfinite(f)) continue;
        const float b = __bfloat162float(__float2bfloat16(f)), h = __half2float(__float2half(f));
        const double wanted_b = rounded(f, 7, -126), wanted_h = rounded(f, 10, -14);
        CHECK(std::fabs(wanted_b) > 3.3896e38 ? std::isinf(b) : double(b) == wanted_b);
        CHECK(std::fabs(wanted_h) > 65504 ? std::isinf(h) : double(h) == wanted_h);
    }
    for (unsigned bits = 0; bits < 65536; bits++) { // every number comes back as itself
        const unsigned short b = (unsigned short)bits;
        const float h = __half2float(__ushort_as_half(b)), w = __bfloat162float(__ushort_as_bfloat16(b));
        CHECK(std::isnan(h) ? std::isnan(__half2float(__float2half(h)))
                            : __half_as_ushort(__float2half(h)) == b);
        CHECK(std::isnan(w) ? std::isnan(__bfloat162float(__float2bfloat16(w)))
                            : __bfloat16_as_ushort(__float2bfloat16(w)) == b);
    }
}

// A call for each factor: with PTX, parameters and results go through the memory of calls.
__device__ __attribute__((noinline)) static float scaled(float base, int times, float unit) {
    float power = unit;
    while (times-- > 0) power *= base;
    return power;
}
__global__ void call_functions(float *out) {
    const int i = int(threadIdx.x);
    out[i] = scaled(1.5f, i % 8, 2.0f) + scaled(-2.0f, i % 5, 1.0f);
}
TEST(functions_are_called) {
    const Device<float> out(32);
    CHECK(start(call_functions, {}, out.data) == cudaSuccess);
    const std::vector<float> seen = out.host();
    for (int i = 0; i < 32; i++)
        CHECK(double(seen[size_t(i)]) == 2 * std::pow(1.5, i % 8) + std::pow(-2.0, i % 5));
}

__global__ void approximate(const float *in, float *out, int n) {
    for (int i = int(threadIdx.x); i < n; i += 32) out[i] = tanh_approx(in[i]);
}
TEST(tanh_approx_keeps_its_error) {
    std::vector<float> points;
    for (int i = -400; i <= 400; i++) points.push_back(float(i) * 0.0137f);
    const Device<float> in(points), out(points.size());
    CHECK(start(approximate, {}, in.data, out.data, int(points.size())) == cudaSuccess);
    const std::vector<float> seen = out.host();
    double worst = 0;
    for (size_t i = 0; i < points.size(); i++) {
        const double exact = std::tanh(double(points[i])), error = std::fabs(seen[i] - exact);
        if (exact != 0) worst = std::fmax(worst, error / std::fabs(exact));
    }
    CHECK(worst < 0x1p-10 && worst > 0x1p-13); // documented 2^-10.987; neither exact nor worse
}

// One warp multiplies A [16][K] by B^T [8][K], fragments loaded by the PTX manual's layout. K counts the
// operands of one instruction; wrong swaps two registers of A.
enum { AS_F16, AS_BF16, AS_TF32 };
__global__ void product(const unsigned *a, const unsigned *b, float *d, int kind, int wrong) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    const unsigned g = threadIdx.x / 4, c = threadIdx.x % 4; // rows of 8 words: two f16 each, or one TF32
    uint32_t ra[4] = {a[g * 8 + c], a[(g + 8) * 8 + c], a[g * 8 + c + 4], a[(g + 8) * 8 + c + 4]};
    const uint32_t rb[2] = {b[g * 8 + c], b[g * 8 + c + 4]};
    if (wrong) {
        const uint32_t swapped = ra[1];
        ra[1] = ra[2];
        ra[2] = swapped;
    }
    float sum[4] = {1, 2, 3, 4};
    if (kind == AS_F16)
        mma_f16(sum, ra, rb);
    else if (kind == AS_BF16)
        mma_bf16(sum, ra, rb);
    else
        mma_tf32(sum, ra, rb);
    for (unsigned i = 0; i < 4; i++) d[(g + 8 * (i >> 1)) * 8 + 2 * c + (i & 1)] = sum[i];
#endif
}
static unsigned word(int kind, int row, int k) { // small whole numbers: every sum is exact
    const auto number = [row](int i) { return float((row * 7 + i * 5 + row * i) % 9 - 4); };
    unsigned bits;
    const float f = number(k);
    memcpy(&bits, &f, sizeof bits);
    if (kind == AS_TF32) return bits | 0x1fff; // the low bits must not count
    if (kind == AS_F16)
        return unsigned(__half_as_ushort(__float2half(number(2 * k)))) |
               unsigned(__half_as_ushort(__float2half(number(2 * k + 1)))) << 16;
    return unsigned(__bfloat16_as_ushort(__float2bfloat16(number(2 * k)))) |
           unsigned(__bfloat16_as_ushort(__float2bfloat16(number(2 * k + 1)))) << 16;
}
static bool product_is_wrong(int kind, int wrong) {
    std::vector<unsigned> a, b;
    for (int i = 0; i < 128; i++) a.push_back(word(kind, i / 8, i % 8));
    for (int i = 0; i < 64; i++) b.push_back(word(kind, 20 + i / 8, i % 8));
    const Device<unsigned> da(a), db(b);
    const Device<float> d(128);
    if (start(product, {}, da.data, db.data, d.data, kind, wrong) != cudaSuccess) return true;
    const std::vector<float> seen = d.host();
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            float sum = float(1 + column % 2 + 2 * (row / 8));
            for (int k = 0; k < (kind == AS_TF32 ? 8 : 16); k++)
                sum += float((row * 7 + k * 5 + row * k) % 9 - 4) *
                       float(((20 + column) * 7 + k * 5 + (20 + column) * k) % 9 - 4);
            if (seen[size_t(row * 8 + column)] != sum) return true;
        }
    return false;
}
TEST(tensor_core_products) {
    for (int kind : {AS_F16, AS_BF16, AS_TF32}) CHECK(!product_is_wrong(kind, 0));
}
FAULT(fragments_swapped, BOTH, nullptr) {
    return product_is_wrong(AS_BF16, 1);
}

__global__ void fragments(const unsigned short *in, unsigned *out) { // four matrices [8][8]
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    GRU_SHARED(unsigned short, rows, [32][8]);
    for (unsigned i = 0; i < 8; i++) rows[threadIdx.x][i] = in[threadIdx.x * 8 + i];
    __syncwarp();
    uint32_t r[4];
    load_matrix(r, rows[threadIdx.x]);
    for (unsigned m = 0; m < 4; m++) out[m * 32 + threadIdx.x] = r[m];
#endif
}
TEST(matrices_load_as_fragments) {
    std::vector<unsigned short> in;
    for (unsigned i = 0; i < 256; i++) in.push_back((unsigned short)i);
    const Device<unsigned short> on_device(in);
    const Device<unsigned> out(128);
    CHECK(start(fragments, {}, on_device.data, out.data) == cudaSuccess);
    const std::vector<unsigned> seen = out.host();
    for (unsigned i = 0; i < 128; i++) CHECK(seen[i] == (2 * i | (2 * i + 1) << 16));
}
