// The functions that g++ -fsanitize=thread calls before each access, which call the checker instead of the
// sanitizer.
#include "checker_state.h"

#define CODE __builtin_return_address(0)
#define LOOK(p, n, write) emu::checker_access(p, n, write, CODE)

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
void __tsan_read_range(void *p, unsigned long n) {
    LOOK(p, n, false);
}
void __tsan_write_range(void *p, unsigned long n) {
    LOOK(p, n, true);
}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

#define PLAIN(N)                    \
    void __tsan_read##N(void *p) {  \
        LOOK(p, N, false);          \
    }                               \
    void __tsan_write##N(void *p) { \
        LOOK(p, N, true);           \
    }
#define UNALIGNED(N)                          \
    void __tsan_unaligned_read##N(void *p) {  \
        LOOK(p, N, false);                    \
    }                                         \
    void __tsan_unaligned_write##N(void *p) { \
        LOOK(p, N, true);                     \
    }
PLAIN(1);
PLAIN(2);
PLAIN(4);
PLAIN(8);
PLAIN(16);
UNALIGNED(2);
UNALIGNED(4);
UNALIGNED(8);
UNALIGNED(16);

#define LOOK_ATOMIC(p, kind, order) emu::checker_atomic(p, sizeof *(p), emu::AtomicAccess::kind, order, CODE)
#define FETCH(BITS, T, OPERATION)                                              \
    T __tsan_atomic##BITS##_fetch_##OPERATION(volatile T *p, T v, int order) { \
        LOOK_ATOMIC(p, READ_MODIFY_WRITE, order);                              \
        return __atomic_fetch_##OPERATION(p, v, __ATOMIC_SEQ_CST);             \
    }
#define COMPARE(BITS, T, STRENGTH)                                                                           \
    int __tsan_atomic##BITS##_compare_exchange_##STRENGTH(volatile T *p, T *expected, T v, int order, int) { \
        LOOK_ATOMIC(p, READ_MODIFY_WRITE, order);                                                            \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    }
#define ATOMIC(BITS, T)                                               \
    T __tsan_atomic##BITS##_load(const volatile T *p, int order) {    \
        LOOK_ATOMIC(p, LOAD, order);                                  \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                  \
    }                                                                 \
    void __tsan_atomic##BITS##_store(volatile T *p, T v, int order) { \
        LOOK_ATOMIC(p, STORE, order);                                 \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                     \
    }                                                                 \
    T __tsan_atomic##BITS##_exchange(volatile T *p, T v, int order) { \
        LOOK_ATOMIC(p, READ_MODIFY_WRITE, order);                     \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);           \
    }                                                                 \
    FETCH(BITS, T, add)                                               \
    FETCH(BITS, T, sub)                                               \
    FETCH(BITS, T, or)                                                \
    FETCH(BITS, T, and)                                               \
    COMPARE(BITS, T, strong)                                          \
    COMPARE(BITS, T, weak)
ATOMIC(8, uint8_t);
ATOMIC(16, uint16_t);
ATOMIC(32, uint32_t);
ATOMIC(64, uint64_t);
}
