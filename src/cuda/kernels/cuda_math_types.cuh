/* cuda_math_types.cuh: loads and stores of numbers as f32, and a class for each compute type. */
#ifndef GRU_CUDA_MATH_TYPES_CUH
#define GRU_CUDA_MATH_TYPES_CUH

#include "cuda_ptx.cuh"
#include "cuda_kernels.h"

namespace {

/* Element i of an array of f32, f16 or bf16. */
GRU_DEVICE float load_number(const void *data, int32_t type, int64_t i) {
    if (type == GRU_F32) return static_cast<const float *>(data)[i];
    const unsigned short bits = static_cast<const unsigned short *>(data)[i];
    return type == GRU_F16 ? __half2float(__ushort_as_half(bits))
                           : __bfloat162float(__ushort_as_bfloat16(bits));
}

/* Rounds to the array's type. */
GRU_DEVICE void store_number(void *data, int32_t type, int64_t i, float value) {
    if (type == GRU_F32)
        static_cast<float *>(data)[i] = value;
    else
        store_bits16(static_cast<unsigned short *>(data) + i,
                     type == GRU_F16 ? __half_as_ushort(__float2half_rn(value))
                                     : __bfloat16_as_ushort(__float2bfloat16_rn(value)));
}

/* BYTES: size of an operand. TENSOR: products by mma.sync, else by fused multiply-adds. FAST: the cell may use fast
 * exponentials, whose errors are smaller than those of the products. store rounds a value to an operand. */
struct F32 {
    static constexpr int BYTES = 4;
    static constexpr bool TENSOR = false, FAST = false;
    static GRU_DEVICE void store(void *tiles, int64_t i, float value) {
        static_cast<float *>(tiles)[i] = value;
    }
};
struct Tf32 {
    static constexpr int BYTES = 4;
    static constexpr bool TENSOR = true, FAST = true;
    static GRU_DEVICE void store(void *tiles, int64_t i, float value) {
        static_cast<uint32_t *>(tiles)[i] = tf32_round(value);
    }
    static GRU_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
        mma_tf32(d, a, b);
    }
};
struct F16 {
    static constexpr int BYTES = 2;
    static constexpr bool TENSOR = true, FAST = true;
    static GRU_DEVICE void store(void *tiles, int64_t i, float value) {
        store_number(tiles, GRU_F16, i, value);
    }
    static GRU_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
        mma_f16(d, a, b);
    }
};
struct Bf16 {
    static constexpr int BYTES = 2;
    static constexpr bool TENSOR = true, FAST = true;
    static GRU_DEVICE void store(void *tiles, int64_t i, float value) {
        store_number(tiles, GRU_BF16, i, value);
    }
    static GRU_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
        mma_bf16(d, a, b);
    }
};

/* Calls visit with an object of the class. */
template <class Visit> auto dispatch_compute_type(gru_cuda_compute_type compute_type, Visit visit) {
    switch (compute_type) {
    case GRU_CUDA_F32:
        return visit(F32{});
    case GRU_CUDA_TF32:
        return visit(Tf32{});
    case GRU_CUDA_F16:
        return visit(F16{});
    default:
        return visit(Bf16{});
    }
}

/* For memory-bound kernels, which are compiled once for all compute types. */
GRU_DEVICE void store_operand(gru_cuda_compute_type compute_type, void *data, int64_t i, float value) {
    switch (compute_type) {
    case GRU_CUDA_F32:
        return F32::store(data, i, value);
    case GRU_CUDA_TF32:
        return Tf32::store(data, i, value);
    case GRU_CUDA_F16:
        return F16::store(data, i, value);
    case GRU_CUDA_BF16:
        return Bf16::store(data, i, value);
    }
}

/* The type of operands in memory. */
GRU_DEVICE int32_t operand_type(gru_cuda_compute_type compute_type) {
    return compute_type == GRU_CUDA_F16 ? GRU_F16 : compute_type == GRU_CUDA_BF16 ? GRU_BF16 : GRU_F32;
}

/* Values of k in one row of a fragment tile. */
template <class M> constexpr int GROUP = GRU_CUDA_GROUP_BYTES / M::BYTES;

/* Index of (row, k) in fragment tiles [row octet][group][8][GROUP]. */
template <class M> GRU_DEVICE int64_t fragment_index(int row, int k, int groups) {
    const int64_t tile = int64_t(row / GRU_CUDA_OCTET) * groups + k / GROUP<M>;
    return (tile * GRU_CUDA_OCTET + row % GRU_CUDA_OCTET) * GROUP<M> + k % GROUP<M>;
}

} // namespace
#endif
