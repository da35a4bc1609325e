// A stack of its own for each emulated thread, and the switch between two of them.
#ifndef EMU_FIBER_H
#define EMU_FIBER_H
#include <cstddef>

namespace emu {
constexpr size_t STACK = 256 << 10; // kernels translated from PTX have frames of up to 87 KB
struct Fiber {
    void *context = nullptr;
    char *stack = nullptr; // NULL: the fiber of the program itself
};
void fiber_start(Fiber &, void (*entry)()); // makes its stack where it has none; entry never returns
void fiber_switch(Fiber &from, Fiber &to);
bool fiber_overflowed(const Fiber &); // the end of its stack was written
} // namespace emu
#endif
