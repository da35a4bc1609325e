// Algorithms by seed: their order and their ranges depend on every size, as with the real library.
#include "cublaslt_moods.h"
#include <algorithm>
#include "control.h"

extern "C" int emu_moods_of(uint64_t seed) {
    return EMU_BLAS_BY_SIZE | (seed % 2 ? EMU_BLAS_NO_BIAS : 0) | (seed / 2 % 2 ? EMU_BLAS_FEW : 0) |
           (seed % 3 == 0 ? EMU_BLAS_GAPS : 0);
}

namespace emu {
namespace {
bool mood(int which) {
    return (emu_option.cublaslt_moods & which) != 0;
}
// A number drawn from the seed, the kind of product, the size of its result's lines, and two more numbers.
uint64_t drawn(const emu_matmul_desc &desc, uint64_t m, uint64_t rows, uint64_t salt) {
    uint64_t x = emu_option.seed;
    for (const uint64_t part :
         {uint64_t(desc.compute), uint64_t(desc.transpose_a), uint64_t(desc.transpose_b), m, rows, salt}) {
        x = (x ^ part) * 0x9E3779B97F4A7C15u;
        x ^= x >> 29;
    }
    return x >> 8;
}
// The size that callers vary: of the batch, which a sum over rows sums over.
uint64_t rows_of(const emu_matmul_desc &desc, const Sizes &sizes) {
    return desc.transpose_b == CUBLAS_OP_T ? sizes.k : sizes.n;
}
} // namespace

const Algorithm &algorithm(uint64_t id) {
    static const Algorithm all[ALGORITHMS] = {{1, 1024, 1}, {1, 0, 1},    {2, 0, 1},
                                              {4, 0, 1},    {3, 1024, 2}, {8, 0, 1}};
    return all[id];
}
bool offers_bias(const emu_matmul_desc &desc) {
    return !mood(EMU_BLAS_NO_BIAS) || desc.compute != CUBLAS_COMPUTE_32F_PEDANTIC;
}
bool serves(uint64_t id, const emu_matmul_desc &desc, const Sizes &sizes) {
    const uint64_t rows = rows_of(desc, sizes);
    const bool sums = desc.transpose_b == CUBLAS_OP_T;
    if ((mood(EMU_BLAS_NO_SUMS) && sums) || (mood(EMU_BLAS_NO_SMALL) && !sums && rows < 8)) return false;
    if (mood(EMU_BLAS_GAPS) && rows > 1u << drawn(desc, sizes.m, 0, 0) % 8) return false;
    if (!mood(EMU_BLAS_BY_SIZE)) return id < 2;
    if (id == 1) return true;
    const uint64_t least = drawn(desc, sizes.m, 0, 2 * id) % 20;
    return rows >= least && rows < least + 3 + drawn(desc, sizes.m, 0, 2 * id + 1) % 100;
}
std::vector<uint64_t> offered(const emu_matmul_desc &desc, const Sizes &sizes, size_t workspace,
                              bool may_split) {
    const uint64_t rows = rows_of(desc, sizes);
    std::vector<uint64_t> ids;
    for (uint64_t id = 0; id < ALGORITHMS; id++)
        if (serves(id, desc, sizes) && algorithm(id).workspace <= workspace &&
            (may_split || algorithm(id).split == 1))
            ids.push_back(id);
    if (mood(EMU_BLAS_BY_SIZE))
        std::sort(ids.begin(), ids.end(), [&](uint64_t a, uint64_t b) {
            return drawn(desc, sizes.m, rows, 100 + a) < drawn(desc, sizes.m, rows, 100 + b);
        });
    if (mood(EMU_BLAS_FEW) && ids.size() > 2) ids.resize(1 + drawn(desc, sizes.m, rows, 200) % 2);
    return ids;
}
bool first_fails(const emu_matmul_desc &desc, const Sizes &sizes) {
    return mood(EMU_BLAS_FEW) && drawn(desc, sizes.m, rows_of(desc, sizes), 300) % 4 == 0;
}
} // namespace emu
