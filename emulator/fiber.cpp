// Stacks come from large mappings without guard pages (the kernel limits the number of mappings); a mark at
// the end of each stack tells of overflow. On x86-64 a switch is ten instructions, elsewhere it is
// swapcontext.
#include "fiber.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#endif

namespace emu {
static constexpr size_t STACKS = 64; // per mapping
static constexpr uint64_t MARK = 0xA5A5F1BE25A5A5A5u;

static char *new_stack() {
    static char *mapping = nullptr;
    static size_t used = STACKS;
    if (used == STACKS) {
        void *p = mmap(nullptr, STACKS * STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            perror("emulator: stacks");
            abort();
        }
        mapping = static_cast<char *>(p);
        used = 0;
    }
    return mapping + STACK * used++;
}
bool fiber_overflowed(const Fiber &fiber) {
    return memcmp(fiber.stack, &MARK, sizeof MARK) != 0;
}

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
extern "C" void emu_fiber_switch(void **save, void *load);
__asm__(".text\n.globl emu_fiber_switch\n.hidden emu_fiber_switch\n.type emu_fiber_switch,@function\n"
        "emu_fiber_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size emu_fiber_switch,.-emu_fiber_switch\n");

void fiber_start(Fiber &fiber, void (*entry)()) {
    if (!fiber.stack) fiber.stack = new_stack();
    memcpy(fiber.stack, &MARK, sizeof MARK);
    void **top = reinterpret_cast<void **>(fiber.stack + STACK - 64);
    *--top = nullptr; // where entry would return to; keeps the stack aligned as after a call
    *--top = reinterpret_cast<void *>(entry);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    fiber.context = top;
}
void fiber_switch(Fiber &from, Fiber &to) {
    emu_fiber_switch(&from.context, to.context);
}
#else
static ucontext_t *context(Fiber &fiber) {
    if (!fiber.context) fiber.context = new ucontext_t();
    return static_cast<ucontext_t *>(fiber.context);
}
void fiber_start(Fiber &fiber, void (*entry)()) {
    if (!fiber.stack) fiber.stack = new_stack();
    memcpy(fiber.stack, &MARK, sizeof MARK);
    ucontext_t *c = context(fiber);
    getcontext(c);
    c->uc_stack.ss_sp = fiber.stack + 16;
    c->uc_stack.ss_size = STACK - 16;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
}
void fiber_switch(Fiber &from, Fiber &to) {
    swapcontext(context(from), context(to));
}
#endif
} // namespace emu
