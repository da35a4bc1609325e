/* cpu_futex.h: waits until a word of memory changes: first a bounded spin, then sleep in the kernel.
 *
 * Never a loop of sched_yield: a real-time caller would spin for ever before threads of a lower class. */
#ifndef GRU_CPU_FUTEX_H
#define GRU_CPU_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Tells the processor that this is a loop that waits. */
static inline void gru_spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* `yield` does nothing on most cores */
#endif
}

/* A clock in nanoseconds that only goes forward. No system call where the system reads its clock without one. */
int64_t gru_nanoseconds(void);

/* Sleeps while *word is value, and returns for how many nanoseconds. May return early: call it in a loop. */
int64_t gru_futex_wait(atomic_uint *word, unsigned value);

/* Wakes all that sleep on the word. */
void gru_futex_wake(atomic_uint *word);

#endif
