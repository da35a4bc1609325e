// Which algorithms the stand-in for cuBLASLt has for a product. Nobody promises that they are the same for other
// sizes: tests may draw them from a seed (emu_option.cublaslt_moods).
#ifndef EMU_CUBLASLT_MOODS_H
#define EMU_CUBLASLT_MOODS_H
#include <vector>
#include "matmul.h"

namespace emu {
constexpr unsigned ALGORITHMS = 6;
struct Algorithm {
    unsigned chains; // into which a sum is divided: each gives other bits
    size_t workspace;
    uint32_t split; // of the sum over k
};
const Algorithm &algorithm(uint64_t id);

struct Sizes { // as column-major cuBLASLt names them
    uint64_t m, n, k;
};
bool offers_bias(const emu_matmul_desc &);
bool serves(uint64_t id, const emu_matmul_desc &, const Sizes &);
// All that serve, best first; fewer than there are in a mood.
std::vector<uint64_t> offered(const emu_matmul_desc &, const Sizes &, size_t workspace, bool may_split);
bool first_fails(const emu_matmul_desc &, const Sizes &); // the first result has a state that is no success
} // namespace emu
#endif
