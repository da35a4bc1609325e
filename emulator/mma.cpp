// mma.sync by the definition: each lane works out its four sums from the fragments of the lanes that hold
// their rows and columns. (Apart from the header, so that the checker does not watch the arithmetic.)
#include "mma.h"
#include "control.h"

namespace emu {
namespace {
struct Fragment {
    uint32_t a[4], b[2];
};
float value(Operand kind, uint32_t word, unsigned part) {
    if (kind == Operand::TF32) return f32_from_tf32(word);
    const uint16_t bits = uint16_t(word >> 16 * part);
    return kind == Operand::F16 ? f32_from_f16(bits) : f32_from_bf16(bits);
}
// Registers first and first + step of the four lanes that share a row or a column, along k.
struct Line {
    float k[16];
    Line(Operand kind, unsigned per, const unsigned char *slots, unsigned group, unsigned first,
         unsigned step) {
        for (unsigned lane = 0; lane < 4; lane++) {
            const auto of = lane_value<Fragment>(slots, 4 * group + lane);
            const uint32_t *words = reinterpret_cast<const uint32_t *>(&of) + first;
            for (unsigned half = 0; half < 2; half++)
                for (unsigned part = 0; part < per; part++)
                    k[4 * per * half + per * lane + part] = value(kind, words[half * step], part);
        }
    }
};
} // namespace

void mma(Operand kind, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char *file,
         int line) {
    const Fragment own = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const unsigned char *slots = warp_collective(0xffffffffu, Collective::MMA, &own, sizeof own, file, line);
    const unsigned per = kind == Operand::TF32 ? 1 : 2, g = self->lane / 4, c = self->lane % 4;
    const Line rows[2] = {{kind, per, slots, g, 0, 2}, {kind, per, slots, g, 1, 2}};
    const Line columns[2] = {{kind, per, slots, 2 * c, 4, 1}, {kind, per, slots, 2 * c + 1, 4, 1}};
    const unsigned first = emu_option.wrong_products >> int(kind) & 1;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = first; k < 8 * per; k++) d[i] += rows[i >> 1].k[k] * columns[i & 1].k[k];
}
} // namespace emu
