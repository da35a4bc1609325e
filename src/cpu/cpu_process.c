/* cpu_process.c: a page that the kernel wipes in the child. Comparing process ids would be a system call for each run. */
#define _GNU_SOURCE /* MADV_WIPEONFORK */
#include "cpu_process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint *wiped; /* the number of this process; 0 in a child that has not asked yet */
static atomic_uint latest; /* the highest number on the line from the first process to this one */

/* Where the kernel (before 4.14) or an emulator wipes no page, at least fork is noticed. */
static void wipe(void) {
    atomic_store_explicit(wiped, 0, memory_order_relaxed);
}

static void install(void) {
    const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
#ifdef MADV_WIPEONFORK
    (void)madvise(page, bytes, MADV_WIPEONFORK);
#endif
    wiped = page;
    if (pthread_atfork(NULL, NULL, wipe) == 0) return;
    wiped = NULL;
    (void)munmap(page, bytes);
}

int gru_process_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, install);
    return wiped != NULL;
}

unsigned gru_process_number(void) {
    unsigned number = atomic_load_explicit(wiped, memory_order_relaxed);
    if (number) return number;
    const unsigned mine = atomic_fetch_add_explicit(&latest, 1, memory_order_relaxed) + 1;
    const int first = atomic_compare_exchange_strong_explicit(wiped, &number, mine, memory_order_relaxed,
                                                              memory_order_relaxed);
    return first ? mine : number;
}
