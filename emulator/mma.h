// Tensor-core instructions of a warp: mma.sync m16n8k16 (f16, bf16) and m16n8k8 (TF32) with f32 sums,
// ldmatrix; tanh.approx.
#ifndef EMU_MMA_H
#define EMU_MMA_H
#include "emu.h"
#include "number16.h"

namespace emu {
enum class Operand { F16, BF16, TF32 };
// d += A B, in the fragment layout of the PTX manual; one register of a or b holds PER values along k (TF32:
// 1, else 2). With g = lane / 4 and c = lane % 4:
//   A [16][8 PER]  a[i]: row g + 8 (i & 1), k from PER c + 4 PER (i >> 1)
//   B [8][8 PER]   b[i]: column g,          k from PER c + 4 PER i
//   D [16][8]      d[i]: row g + 8 (i >> 1), column 2 c + (i & 1)
// Sums run over k in ascending order in f32, not fused; a device may order and round otherwise.
void mma(Operand, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_SITE);

// ldmatrix.x4 of 16-bit elements: lane l brings the address of row l % 8 of matrix l / 8; register m of a
// lane holds row lane / 4, columns 2 (lane % 4) and the next, of matrix m.
inline void load_matrix(uint32_t (&registers)[4], const void *row, EMU_SITE) {
    struct Row {
        uint32_t pairs[4];
    };
    if (reinterpret_cast<uintptr_t>(row) & 15) trap("ldmatrix: a row is not aligned to 16 bytes", file, line);
    const Row own = *static_cast<const Row *>(row); // here, where the checker sees it
    const unsigned char *slots =
        warp_collective(0xffffffffu, Collective::LDMATRIX, &own, sizeof own, file, line);
    for (unsigned m = 0; m < 4; m++)
        registers[m] = lane_value<Row>(slots, 8 * m + self->lane / 4).pairs[self->lane % 4];
}

// tanh.approx.f32 within its documented relative error of 2^-11, and on its edge: 11 bits behind the leading
// one are kept, the rest is cut off. So a test's tolerance meets the worst case, not the exact value.
inline float tanh_approx(float x) {
    const float exact = std::tanh(x);
    return std::fabs(exact) < 0x1p-14f ? exact : f32_from_bits(f32_bits(exact) & ~0xFFFu);
}
} // namespace emu
#endif
