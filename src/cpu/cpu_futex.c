/* cpu_futex.c: the system call, which the C library does not wrap. */
#define _GNU_SOURCE /* syscall */
#include "cpu_futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The caller's errno is not the library's to change. */
static void futex(atomic_uint *word, int operation, unsigned value) {
    const int before = errno;
    (void)syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
    errno = before;
}

int64_t gru_nanoseconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t gru_futex_wait(atomic_uint *word, unsigned value) {
    const int64_t start = gru_nanoseconds();
    futex(word, FUTEX_WAIT, value);
    return gru_nanoseconds() - start;
}

void gru_futex_wake(atomic_uint *word) {
    futex(word, FUTEX_WAKE, INT_MAX);
}
