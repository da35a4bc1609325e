/* cpu_float_mode.h: the floating-point mode of a thread: rounding, and what becomes of subnormal numbers. */
#ifndef GRU_CPU_FLOAT_MODE_H
#define GRU_CPU_FLOAT_MODE_H

#include <stdint.h>

/* x86: MXCSR without the flags of past operations; ARM: FPCR. */
typedef uint64_t gru_float_mode;

static inline gru_float_mode gru_float_mode_get(void) {
#if defined(__x86_64__)
    return __builtin_ia32_stmxcsr() & ~0x3fu;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

static inline void gru_float_mode_set(gru_float_mode mode) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}

#endif
