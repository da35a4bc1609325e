/* cpu_threads.c: workers that sleep between calls, each with one word of state.
 *
 * A call wakes them and does not wait until they are awake: it takes back the orders that no worker has begun when its work
 * is done. docs/decisions has the reasons. */
#define _GNU_SOURCE /* sched_getcpu, pthread_setaffinity_np */
#include "cpu_threads.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "core/error.h"
#include "core/host_memory.h"
#include "cpu_float_mode.h"
#include "cpu_futex.h"
#include "cpu_process.h"

/* Spins of a caller that waits for the last worker before it sleeps: some 20 us. */
enum { SPINS_BEFORE_SLEEP = 1024 };

/* IDLE -> RUN by the caller; RUN -> BUSY by the worker, or RUN -> IDLE by a caller that takes the order back; BUSY ->
 * AWAITED by a caller that sleeps until the worker is done; BUSY or AWAITED -> IDLE by the worker. Only gru_pool_release
 * enters EXIT. A worker sleeps while the state is IDLE. */
enum { IDLE, RUN, BUSY, AWAITED, EXIT };

typedef struct worker {
    _Alignas(64) atomic_uint state; /* a line per worker: a start disturbs only whom it starts */
    int32_t index;
    gru_pool *pool;
    pthread_t thread;
    int avoided;        /* the processor that it keeps away from; -1: none */
    cpu_set_t affinity; /* as it was when we last saw or set it */
} worker;

typedef struct order {
    void (*task)(void *argument, int32_t index);
    void *argument;
    gru_float_mode mode; /* of the caller */
} order;

struct gru_pool {
    const gru_context *context; /* its allocator */
    int32_t threads;
    size_t bytes;     /* of this struct, for its release */
    unsigned process; /* the number of the process that the workers live in */
    atomic_flag busy;
    order order;
    gru_pool_record record;
    cpu_set_t allowed; /* processors of the thread that made the pool */
    worker workers[];  /* [threads - 1] */
};

static int left_behind(const gru_pool *pool) {
    return pool->process != gru_process_number();
}

/* ---- workers ------------------------------------------------------------------------------------------- */

/* Calls of an application that flushes subnormal numbers, or rounds in another way, have the bits of one thread. */
static void carry_out(const order *o, int32_t index) {
    const gru_float_mode own = gru_float_mode_get();
    gru_float_mode_set(o->mode);
    o->task(o->argument, index);
    gru_float_mode_set(own);
}

/* 0: the pool ends. */
static int await_order(worker *self) {
    for (;;) {
        unsigned state = atomic_load_explicit(&self->state, memory_order_acquire);
        if (state == EXIT) return 0;
        if (state == IDLE)
            gru_futex_wait(&self->state, IDLE);
        else if (atomic_compare_exchange_strong_explicit(&self->state, &state, BUSY, memory_order_acquire,
                                                         memory_order_relaxed))
            return 1;
    }
}

static void *work(void *argument) {
    worker *self = argument;
    while (await_order(self)) {
        carry_out(&self->pool->order, self->index);
        /* hands the results to the caller */
        if (atomic_exchange_explicit(&self->state, IDLE, memory_order_acq_rel) == AWAITED)
            gru_futex_wake(&self->state);
    }
    return NULL;
}

/* Release: the worker sees the order and all that its caller wrote. */
static void give_order(worker *w, unsigned what) {
    atomic_store_explicit(&w->state, what, memory_order_release);
    gru_futex_wake(&w->state);
}

/* A woken worker often lands on the processor of its caller, where it waits for the end of the call that it should help.
 * Only the workers are moved, and only when the caller's processor has changed. One whose affinity the application has
 * set is left alone. */
static void keep_away(worker *w, int processor) {
    cpu_set_t set;
    if (processor < 0 || processor >= CPU_SETSIZE || processor == w->avoided) return;
    w->avoided = processor;
    if (pthread_getaffinity_np(w->thread, sizeof set, &set) != 0 || !CPU_EQUAL(&set, &w->affinity)) return;
    set = w->pool->allowed;
    CPU_CLR((size_t)processor, &set);
    if (CPU_COUNT(&set) > 0 && pthread_setaffinity_np(w->thread, sizeof set, &set) == 0) w->affinity = set;
}

/* Takes back an order that the worker has not begun, or waits until it is done. Returns nanoseconds of sleep. */
static int64_t end_order(worker *w) {
    unsigned state = RUN;
    int64_t slept = 0;
    if (atomic_compare_exchange_strong_explicit(&w->state, &state, IDLE, memory_order_acquire,
                                                memory_order_acquire))
        return 0;
    for (int i = 0; i < SPINS_BEFORE_SLEEP && state != IDLE; i++) {
        gru_spin_pause();
        state = atomic_load_explicit(&w->state, memory_order_acquire);
    }
    while (state != IDLE) {
        if (state == AWAITED || atomic_compare_exchange_strong_explicit(
                                    &w->state, &state, AWAITED, memory_order_acquire, memory_order_acquire))
            slept += gru_futex_wait(&w->state, AWAITED);
        state = atomic_load_explicit(&w->state, memory_order_acquire);
    }
    return slept;
}

/* ---- pool ---------------------------------------------------------------------------------------------- */

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
    w->avoided = -1;
    w->affinity = pool->allowed; /* a thread starts with that of its maker */
    return pthread_create(&w->thread, NULL, work, w);
}

static void end_workers(gru_pool *pool) {
    for (int32_t i = 0; i < pool->threads - 1; i++) give_order(&pool->workers[i], EXIT);
    for (int32_t i = 0; i < pool->threads - 1; i++) (void)pthread_join(pool->workers[i].thread, NULL);
}

gru_status gru_pool_create(const gru_context *context, int32_t threads, gru_pool **pool) {
    if (!gru_process_prepare()) return gru_fail(GRU_OUT_OF_MEMORY, "no memory for a fork handler");
    gru_pool *result = gru_host_allocate(context, pool_bytes(threads), "the threads");
    if (!result) return GRU_OUT_OF_MEMORY;
    memset(result, 0, pool_bytes(threads));
    result->context = context;
    result->threads = 1;
    result->bytes = pool_bytes(threads);
    result->process = gru_process_number();
    /* fails on a machine with more than CPU_SETSIZE processors: the set stays empty, and no worker is moved */
    (void)sched_getaffinity(0, sizeof result->allowed, &result->allowed);
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

/* ---- a run --------------------------------------------------------------------------------------------- */

typedef struct hooked {
    order order;
    atomic_int returned; /* a task has, so the work is done */
} hooked;

static void hook_task(void *argument, int32_t index) {
    hooked *h = argument;
    carry_out(&h->order, index);
    atomic_store_explicit(&h->returned, 1, memory_order_release);
}

/* A hook that ran no task at all has done nothing. */
static void run_hooked(const gru_context_config *config, int32_t count, const order *o) {
    hooked h = {.order = *o};
    config->parallel(config->parallel_user, count, hook_task, &h);
    if (!atomic_load_explicit(&h.returned, memory_order_acquire)) o->task(o->argument, 0);
}

/* A loss is followed by so many times as much time without risk, twice as many if the next try is a loss again. */
enum { LEAST_FACTOR = 16, MOST_FACTOR = 1024 };

void gru_pool_note(gru_pool_record *record, int32_t parts, int64_t now, int64_t elapsed, int64_t slept) {
    if ((elapsed - slept) * parts >= elapsed) {
        record->factor /= 2;
        return;
    }
    record->factor *= 2;
    if (record->factor < LEAST_FACTOR) record->factor = LEAST_FACTOR;
    if (record->factor > MOST_FACTOR) record->factor = MOST_FACTOR;
    atomic_store_explicit(&record->alone_until, now + slept * record->factor, memory_order_relaxed);
}

static int workers_help(const gru_context *context) {
    const gru_pool *pool = context->device;
    if (!pool) return 1;
    return gru_nanoseconds() >= atomic_load_explicit(&pool->record.alone_until, memory_order_relaxed);
}

static void run_on_workers(gru_pool *pool, gru_phases *phases, const order *o) {
    const int processor = sched_getcpu();
    const int64_t start = gru_nanoseconds();
    int64_t slept = 0;
    pool->order = *o;
    for (int32_t i = 0; i < phases->parts - 1; i++) {
        keep_away(&pool->workers[i], processor);
        give_order(&pool->workers[i], RUN);
    }
    o->task(o->argument, 0);
    for (int32_t i = 0; i < phases->parts - 1; i++) slept += end_order(&pool->workers[i]);
    const int64_t now = gru_nanoseconds();
    gru_pool_note(&pool->record, phases->parts, now, now - start, slept + phases->slept);
}

int gru_pool_run(const gru_context *context, gru_phases *phases, void (*task)(void *argument, int32_t index),
                 void *argument) {
    gru_pool *pool = context->device;
    assert(phases->parts >= 1);
    if (phases->parts > gru_pool_threads(context)) return 0;
    if (phases->parts == 1) {
        task(argument, 0);
        return 1;
    }
    const order o = {task, argument, gru_float_mode_get()};
    if (context->config.parallel) {
        run_hooked(&context->config, phases->parts, &o);
        return 1;
    }
    /* acquire, and release below: calls follow each other, the workers' words and the order included */
    if (atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) return 0;
    run_on_workers(pool, phases, &o);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return 1;
}

int gru_pool_try(const gru_context *context, gru_phases *phases, void (*task)(void *argument, int32_t index),
                 void *argument) {
    return workers_help(context) && gru_pool_run(context, phases, task, argument);
}
