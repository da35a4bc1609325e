/* cuda_layout.h: layouts of weights, states and projected input that host and kernels share.
 *
 * Operands of the main loops are stored as fragment tiles: an octet, 8 rows (units or sequences), x a group, 64 bytes of the
 * summed index k: 32 numbers of 16 bits or 16 of f32. A fragment tile is stored row after row in 512 contiguous bytes and
 * serves m8 of mma.sync: lane l of a warp loads bytes 16 l .. 16 l + 15, which are its elements of the fragments. k may be
 * permuted within a product as long as weights and states agree. Sizes are rounded up and padding is zero. */
#ifndef GRU_CUDA_LAYOUT_H
#define GRU_CUDA_LAYOUT_H

#include "core/layout.h"

enum {
    GRU_CUDA_OCTET = 8,        /* rows of a fragment tile: units or sequences */
    GRU_CUDA_GROUP_BYTES = 64, /* of k in one row of a fragment tile */
    GRU_CUDA_FRAGMENT_BYTES = 512,
    GRU_CUDA_ALIGN = 256, /* of every offset in a workspace or in packed weights */
    GRU_CUDA_SLICES = 8   /* of k in the small main loop: one chain each, added in ascending order */
};

static inline size_t gru_cuda_align(size_t bytes) {
    return bytes > SIZE_MAX - (GRU_CUDA_ALIGN - 1)
               ? SIZE_MAX
               : (bytes + GRU_CUDA_ALIGN - 1) / GRU_CUDA_ALIGN * GRU_CUDA_ALIGN;
}

/* Octets of H units: an even number, because one mma takes two. */
static inline int32_t gru_cuda_unit_octets(int32_t hidden) {
    return (hidden + 15) / 16 * 2;
}

/* Groups of k of K numbers of weight_type. */
static inline int32_t gru_cuda_groups(int32_t K, int32_t weight_type) {
    const int32_t group = GRU_CUDA_GROUP_BYTES / (int32_t)gru_type_bytes(weight_type);
    return (K + group - 1) / group;
}

/* Numbers from one row of W or x to the next: I rounded up to 16 bytes, as cuBLASLt wants its rows. */
static inline int64_t gru_cuda_input_pitch(int32_t inputs, int32_t weight_type) {
    const int64_t line = 16 / (int64_t)gru_type_bytes(weight_type);
    return (inputs + line - 1) / line * line;
}

/* Numbers in one row of projected input: [unit octet][gate][8], f32. */
static inline int64_t gru_cuda_projected_row(int32_t hidden) {
    return (int64_t)gru_cuda_unit_octets(hidden) * GATES * GRU_CUDA_OCTET;
}

/* ---- backward ---- */

/* Numbers of one gate in a row [gate][unit pitch] of the backward pass: 8 for each unit octet, padding zero, so that every
 * gate of every row is aligned to 32 bytes. */
static inline int64_t gru_cuda_unit_pitch(int32_t hidden) {
    return (int64_t)gru_cuda_unit_octets(hidden) * GRU_CUDA_OCTET;
}

/* Planes of a row of gate gradients, [plane][unit pitch]: da of r, z, n; with reset AFTER a fourth, dc of n. dc of r and z
 * are their da; dc of n is its da with BEFORE and ALL. */
enum { GRU_CUDA_DC_N = GATES };
static inline int32_t gru_cuda_gradient_planes(int32_t reset) {
    return reset == GRU_RESET_AFTER ? GATES + 1 : GATES;
}

/* Splits of the rows of a column sum; each is summed in order, then the splits are. */
enum { GRU_CUDA_SUM_SPLITS = 128 };

#endif
