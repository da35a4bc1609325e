// The kernels that were translated from PTX: a launch of the kernel that g++ made of the same source runs them
// instead. Programs that link them run no other kernels.
#ifndef EMU_PTX_KERNELS_H
#define EMU_PTX_KERNELS_H
#include <vector>
#include "ptx/ptx_memory.h"

namespace ptx {
struct Field { // of the parameters
    size_t offset, bytes;
};
// Registers itself; lives as long as the program.
struct Kernel {
    const char *symbol; // of g++'s kernel
    void (*run)(const Parameters &);
    size_t bytes;
    std::vector<Field> fields;
    mutable bool ran = false;
    Kernel(const char *symbol, void (*run)(const Parameters &), size_t bytes, std::vector<Field> fields);
};
bool planted(const char *fault); // GRU_TEST_FAULT names it
// A launch of the kernel with this symbol and these parameters; NULL: there is none.
emu::Call call_of(const char *symbol, std::vector<unsigned char> parameters);
} // namespace ptx
#endif
