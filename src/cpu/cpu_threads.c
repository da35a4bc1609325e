/* cpu_threads.c: workers that spin a while for the next call and then sleep, each with one word of state.
 *
 * Why not pthreadpool: it does not promise that two tasks run at the same moment, so they could not wait
 * for each other at a barrier; it lets a second caller wait where this one refuses; it hangs in a forked child and takes
 * no allocator. Nor is it faster: an empty call takes 0.36 us on two threads, 0.19 us here, and with eight
 * threads on two busy processors 120 ms, because its threads spin without yielding, 18 us here (medians;
 * Debian's version of 2021, Zen 4). */
#define _GNU_SOURCE /* sched_getaffinity */
#include "cpu_threads.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/host_memory.h"

/* Some 1 us on Zen 4: a wait for a thread that runs is mostly shorter, and one for a thread without a
 * processor ends only when this one yields. 128 instead gained 1 % in steps with 2 to 4 us of uneven work,
 * but took 4.6 us instead of 2.1 us per barrier where two threads share a processor. */
enum { SPINS_BEFORE_YIELD = 32 };
/* Waking a sleeper took some 20 us there: a caller that comes back within 50 us (a streaming step, the
 * next layer) is to find the workers awake. */
enum { IDLE_SPIN_NANOSECONDS = 50000 };

/* IDLE -> RUN -> IDLE for a call; IDLE -> ASLEEP when none comes, and ASLEEP -> RUN with a post of `wake`.
 * Only the worker leaves RUN and enters ASLEEP; only the owner of the pool's busy flag enters RUN, and
 * only gru_pool_release EXIT. */
enum { IDLE, ASLEEP, RUN, EXIT };

typedef struct worker {
    _Alignas(64) atomic_int state; /* a line per worker: a start disturbs only whom it starts */
    int32_t index;
    gru_pool *pool;
    pthread_t thread;
    sem_t wake; /* a semaphore needs no lock that a fork could leave taken */
} worker;

struct gru_pool {
    const gru_context *context; /* its allocator */
    int32_t threads;
    size_t bytes;   /* of this struct, for its release */
    unsigned forks; /* the count of forks that the workers live in */
    atomic_flag busy;
    void (*task)(void *argument, int32_t index);
    void *argument;
    worker workers[]; /* [threads - 1] */
};

/* ---- waiting ------------------------------------------------------------------------------------------- */

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* `yield` does nothing on most cores */
#endif
}

static inline void spin_or_yield(unsigned *spins) {
    if (++*spins < SPINS_BEFORE_YIELD)
        pause_briefly();
    else
        (void)sched_yield();
}

void gru_barrier_wait(gru_barrier *barrier, int32_t count) {
    if (count <= 1) return;
    /* No task can finish this generation before this one arrives: a relaxed load cannot be too new. */
    const unsigned generation = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    /* acquire and release: the last to arrive has seen what all wrote, and the generation passes it on */
    const unsigned before = atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel);
    if (before + 1 == (unsigned)count) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->generation, generation + 1, memory_order_release);
        return;
    }
    unsigned spins = 0;
    while (atomic_load_explicit(&barrier->generation, memory_order_acquire) == generation)
        spin_or_yield(&spins);
}

/* ---- forks --------------------------------------------------------------------------------------------- */

/* A child has the pool's memory without its workers. Counting forks in the child costs a run nothing, where
 * comparing process ids would be a system call. */
static atomic_uint forks;
static int fork_handler_error;

static void count_fork(void) {
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void install_fork_handler(void) {
    fork_handler_error = pthread_atfork(NULL, NULL, count_fork);
}

static int left_behind(const gru_pool *pool) {
    return pool->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

/* ---- workers ------------------------------------------------------------------------------------------- */

static int64_t nanoseconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns RUN or EXIT. */
static int next_order(worker *self) {
    const int64_t end = nanoseconds() + IDLE_SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < SPINS_BEFORE_YIELD; i++) {
            const int state = atomic_load_explicit(&self->state, memory_order_acquire);
            if (state != IDLE) return state;
            pause_briefly();
        }
        (void)sched_yield();
    } while (nanoseconds() < end);
    int state = IDLE;
    if (atomic_compare_exchange_strong_explicit(&self->state, &state, ASLEEP, memory_order_acquire,
                                                memory_order_acquire)) {
        while (sem_wait(&self->wake) != 0) continue; /* interrupted */
        state = atomic_load_explicit(&self->state, memory_order_acquire);
    }
    return state;
}

static void *work(void *argument) {
    worker *self = argument;
    while (next_order(self) == RUN) {
        self->pool->task(self->pool->argument, self->index);
        atomic_store_explicit(&self->state, IDLE, memory_order_release); /* hands the results to the caller */
    }
    return NULL;
}

/* Release: the worker sees the task and all that its caller wrote. */
static void give_order(worker *w, int order) {
    if (atomic_exchange_explicit(&w->state, order, memory_order_acq_rel) == ASLEEP) (void)sem_post(&w->wake);
}

static void await_idle(worker *w) {
    unsigned spins = 0;
    while (atomic_load_explicit(&w->state, memory_order_acquire) == RUN) spin_or_yield(&spins);
}

/* ---- pool ---------------------------------------------------------------------------------------------- */

int32_t gru_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN); /* the set of a machine with more than CPU_SETSIZE */
    return online < 1 ? 1 : online > CPU_SETSIZE ? CPU_SETSIZE : (int32_t)online;
}

static size_t pool_bytes(int32_t threads) {
    return sizeof(gru_pool) + (size_t)(threads - 1) * sizeof(worker);
}

/* The application's signals are not for the workers, except those that report a worker's own faults. */
static void block_signals(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) (void)sigdelset(&blocked, faults[i]);
    (void)pthread_sigmask(SIG_BLOCK, &blocked, before);
}

static int start(gru_pool *pool, int32_t index) {
    worker *w = &pool->workers[index - 1];
    w->index = index;
    w->pool = pool;
    (void)sem_init(&w->wake, 0, 0); /* fails only for a value out of range */
    const int error = pthread_create(&w->thread, NULL, work, w);
    if (error) (void)sem_destroy(&w->wake);
    return error;
}

static void end_workers(gru_pool *pool) {
    for (int32_t i = 0; i < pool->threads - 1; i++) give_order(&pool->workers[i], EXIT);
    for (int32_t i = 0; i < pool->threads - 1; i++) {
        (void)pthread_join(pool->workers[i].thread, NULL);
        (void)sem_destroy(&pool->workers[i].wake);
    }
}

gru_status gru_pool_create(const gru_context *context, int32_t threads, gru_pool **pool) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, install_fork_handler);
    if (fork_handler_error) return gru_fail(GRU_OUT_OF_MEMORY, "no memory for a fork handler");
    gru_pool *result = gru_host_allocate(context, pool_bytes(threads), "the threads");
    if (!result) return GRU_OUT_OF_MEMORY;
    memset(result, 0, pool_bytes(threads));
    result->context = context;
    result->threads = 1;
    result->bytes = pool_bytes(threads);
    result->forks = atomic_load_explicit(&forks, memory_order_relaxed);
    atomic_flag_clear(&result->busy);
    sigset_t before;
    block_signals(&before);
    while (result->threads < threads && start(result, result->threads) == 0) result->threads++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    *pool = result;
    return GRU_OK;
}

void gru_pool_release(gru_pool *pool) {
    if (!pool) return;
    if (!left_behind(pool)) end_workers(pool);
    gru_host_free(pool->context, pool, pool->bytes);
}

int32_t gru_pool_threads(const gru_context *context) {
    if (context->config.parallel) return context->config.threads;
    const gru_pool *pool = context->device;
    return pool && !left_behind(pool) ? pool->threads : 1;
}

int gru_pool_run(const gru_context *context, int32_t count, void (*task)(void *argument, int32_t index),
                 void *argument) {
    gru_pool *pool = context->device;
    assert(count >= 1);
    if (count > gru_pool_threads(context)) return 0;
    if (count == 1) {
        task(argument, 0);
        return 1;
    }
    if (context->config.parallel) {
        context->config.parallel(context->config.parallel_user, count, task, argument);
        return 1;
    }
    /* acquire, and release below: calls follow each other, the workers' words and the task included */
    if (atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) return 0;
    pool->task = task;
    pool->argument = argument;
    for (int32_t i = 1; i < count; i++) give_order(&pool->workers[i - 1], RUN);
    task(argument, 0);
    for (int32_t i = 1; i < count; i++) await_idle(&pool->workers[i - 1]);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return 1;
}
