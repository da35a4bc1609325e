/* test_threads.c: worker threads under many callers, nesting, hooks, forks and too few processors. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/cpu_threads.h"
#include "support/tester.h"

/* ---- a task whose result depends on every barrier ------------------------------------------------------ */

enum { MOST = 8, STEPS = 40 };

/* A recurrence over a ring of values: at each step task i needs what its neighbour made a step earlier. */
typedef struct ring {
    gru_barrier barrier;
    int32_t count;
    uint32_t value[2][MOST];
    int32_t ran[MOST];
} ring;

static uint32_t ring_step(const uint32_t *before, int32_t count, int32_t index) {
    return before[index] * 1664525u + before[(index + 1) % count] + 1013904223u;
}

static void ring_start(ring *r, int32_t count, uint32_t seed) {
    memset(r, 0, sizeof *r);
    r->count = count;
    for (int32_t i = 0; i < count; i++) r->value[0][i] = seed + (uint32_t)i * 77u;
}

static void ring_task(void *argument, int32_t index) {
    ring *r = argument;
    r->ran[index]++;
    for (int step = 0; step < STEPS; step++) {
        r->value[(step + 1) % 2][index] = ring_step(r->value[step % 2], r->count, index);
        gru_barrier_wait(&r->barrier, r->count);
    }
}

static void ring_alone(ring *r) {
    for (int step = 0; step < STEPS; step++)
        for (int32_t i = 0; i < r->count; i++)
            r->value[(step + 1) % 2][i] = ring_step(r->value[step % 2], r->count, i);
}

/* 0 when all is right. ran: each task ran exactly so often. */
static int ring_wrong(const ring *r, uint32_t seed, int32_t ran) {
    ring expected;
    ring_start(&expected, r->count, seed);
    ring_alone(&expected);
    int wrong = memcmp(r->value[STEPS % 2], expected.value[STEPS % 2], sizeof r->value[0]) != 0;
    for (int32_t i = 0; i < r->count; i++) wrong |= r->ran[i] != ran;
    return wrong;
}

/* Runs a ring on the context's threads, or alone when they are refused. 0 when all is right. */
static int ring_run_wrong(const gru_context *context, int32_t count, uint32_t seed, int *accepted) {
    ring r;
    ring_start(&r, count, seed);
    *accepted = gru_pool_run(context, count, ring_task, &r);
    if (!*accepted) ring_alone(&r);
    return ring_wrong(&r, seed, *accepted);
}

static gru_context *create(int32_t threads) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CPU;
    config.threads = threads;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* ---- one caller ---------------------------------------------------------------------------------------- */

TEST(threads, tasks_wait_for_each_other) {
    for (int32_t threads = 1; threads <= 4; threads++) {
        gru_context *context = create(threads);
        REQUIRE(gru_pool_threads(context) == threads, "%d threads", gru_pool_threads(context));
        for (uint32_t call = 0; call < 200; call++) {
            const int32_t count = 1 + (int32_t)call % threads;
            int accepted;
            if (call % 50 == 49) (void)usleep(2000); /* the workers fall asleep, and a call wakes them */
            const int wrong = ring_run_wrong(context, count, call, &accepted);
            REQUIRE(accepted, "a free pool refused call %u", call);
            REQUIRE(!wrong, "threads %d, count %d, call %u is wrong", threads, count, call);
        }
        gru_context_release(context);
    }
}

TEST(threads, a_pool_too_small_refuses) {
    gru_context *context = create(2);
    ring r;
    ring_start(&r, 3, 1);
    CHECK(gru_pool_run(context, 3, ring_task, &r) == 0, "2 threads took 3 tasks");
    CHECK(r.ran[0] + r.ran[1] + r.ran[2] == 0, "a refused call ran something");
    gru_context_release(context);
}

typedef struct masks {
    sigset_t of[2];
} masks;

static void mask_task(void *argument, int32_t index) {
    (void)pthread_sigmask(SIG_BLOCK, NULL, &((masks *)argument)->of[index]);
}

TEST(threads, signals_stay_with_the_application) {
    sigset_t before;
    masks m;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    gru_context *context = create(2);
    REQUIRE(gru_pool_run(context, 2, mask_task, &m) == 1, "a free pool refused");
    for (int signal = 1; signal < SIGSYS; signal++)
        CHECK(sigismember(&m.of[0], signal) == sigismember(&before, signal), "the caller's mask changed");
    CHECK(sigismember(&m.of[1], SIGUSR1) == 1, "a worker takes SIGUSR1");
    CHECK(sigismember(&m.of[1], SIGALRM) == 1, "a worker takes SIGALRM");
    CHECK(sigismember(&m.of[1], SIGSEGV) == 0, "a worker hides its own SIGSEGV");
    gru_context_release(context);
}

/* ---- too few processors -------------------------------------------------------------------------------- */

TEST(threads, eight_threads_on_any_machine) {
    gru_context *context = create(MOST);
    for (uint32_t call = 0; call < 50; call++) {
        int accepted;
        const int wrong = ring_run_wrong(context, MOST, call, &accepted);
        REQUIRE(accepted && !wrong, "call %u: accepted %d, wrong %d", call, accepted, wrong);
    }
    gru_context_release(context);
}

TEST(threads, one_processor) {
    cpu_set_t all, one;
    CPU_ZERO(&one);
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0, "no affinity");
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    REQUIRE(gru_processors() == CPU_COUNT(&all), "%d processors", gru_processors());
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0, "cannot choose a processor");
    gru_context *free_choice = create(0), *four = create(4);
    CHECK(gru_pool_threads(free_choice) == 1, "%d threads on one processor", gru_pool_threads(free_choice));
    for (uint32_t call = 0; call < 20; call++) {
        int accepted;
        const int wrong = ring_run_wrong(four, 4, call, &accepted);
        CHECK(accepted && !wrong, "call %u: accepted %d, wrong %d", call, accepted, wrong);
    }
    (void)sched_setaffinity(0, sizeof all, &all);
    gru_context_release(free_choice);
    gru_context_release(four);
}

/* ---- busy ---------------------------------------------------------------------------------------------- */

enum { CALLERS = 8, CALLS = 200 };

typedef struct caller {
    const gru_context *context;
    int32_t count;
    uint32_t seed;
    int accepted, wrong;
} caller;

static void *call_many(void *argument) {
    caller *c = argument;
    for (uint32_t call = 0; call < CALLS; call++) {
        int accepted;
        c->wrong += ring_run_wrong(c->context, c->count, c->seed + call, &accepted);
        c->accepted += accepted;
    }
    return NULL;
}

static void many_callers(int32_t threads) {
    gru_context *context = create(threads);
    caller callers[CALLERS];
    pthread_t ids[CALLERS];
    int accepted = 0;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.context = context, .count = 2 + i % (threads - 1), .seed = (uint32_t)i << 16};
        REQUIRE(pthread_create(&ids[i], NULL, call_many, &callers[i]) == 0, "no thread for caller %d", i);
    }
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(ids[i], NULL);
        CHECK(callers[i].wrong == 0, "caller %d of %d threads: %d calls are wrong", i, threads,
              callers[i].wrong);
        accepted += callers[i].accepted;
    }
    CHECK(accepted > 0, "the pool ran none of %d calls", CALLERS * CALLS);
    gru_context_release(context);
}

TEST(threads, many_callers_on_two_threads) {
    many_callers(2);
}

TEST(threads, many_callers_on_four_threads) {
    many_callers(4);
}

typedef struct nest {
    const gru_context *context;
    gru_barrier barrier;
    int accepted[2], wrong[2];
} nest;

static void nest_task(void *argument, int32_t index) {
    nest *n = argument;
    n->wrong[index] = ring_run_wrong(n->context, 2, 5, &n->accepted[index]);
    gru_barrier_wait(&n->barrier, 2); /* so that neither asks when the other is done */
}

TEST(threads, a_call_within_a_task_is_refused) {
    gru_context *context = create(4);
    nest n = {.context = context};
    REQUIRE(gru_pool_run(context, 2, nest_task, &n) == 1, "a free pool refused");
    for (int i = 0; i < 2; i++) {
        CHECK(!n.accepted[i], "task %d got the pool that runs it", i);
        CHECK(!n.wrong[i], "task %d is wrong", i);
    }
    gru_context_release(context);
}

/* ---- the caller's own threads -------------------------------------------------------------------------- */

typedef struct hook {
    int calls;
    int32_t most;
} hook;

typedef struct hook_task {
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t index;
} hook_task;

static void *run_task(void *argument) {
    const hook_task *one = argument;
    one->task(one->argument, one->index);
    return NULL;
}

static void run_parallel(void *user, int32_t count, void (*task)(void *argument, int32_t index),
                         void *argument) {
    hook *h = user;
    pthread_t ids[MOST];
    hook_task tasks[MOST];
    h->calls++;
    if (count > h->most) h->most = count;
    for (int32_t i = 0; i < count; i++) {
        tasks[i] = (hook_task){task, argument, i};
        (void)pthread_create(&ids[i], NULL, run_task, &tasks[i]);
    }
    for (int32_t i = 0; i < count; i++) (void)pthread_join(ids[i], NULL);
}

TEST(threads, a_parallel_hook_replaces_the_workers) {
    hook h = {0};
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 3;
    config.parallel = run_parallel;
    config.parallel_user = &h;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_pool_threads(context) == 3, "%d threads", gru_pool_threads(context));
    CHECK(context->device == NULL, "workers beside a hook");
    for (int32_t count = 1; count <= 4; count++) {
        int accepted;
        const int wrong = ring_run_wrong(context, count, 9, &accepted);
        CHECK(accepted == (count <= 3) && !wrong, "count %d: accepted %d, wrong %d", count, accepted, wrong);
    }
    CHECK(h.calls == 2 && h.most == 3, "%d calls of the hook, at most %d tasks; one task needs none", h.calls,
          h.most);
    gru_context_release(context);
}

/* ---- forks --------------------------------------------------------------------------------------------- */

/* What a child does with its parent's context: it runs alone, and is released. 0 when all is right. */
static int inherited_wrong(gru_context *context) {
    int accepted;
    if (gru_pool_threads(context) != 1) return 1;
    if (ring_run_wrong(context, 2, 3, &accepted) || accepted) return 2;
    if (ring_run_wrong(context, 1, 3, &accepted) || !accepted) return 3;
    gru_context_release(context);
    return 0;
}

/* A context that the child makes has threads of its own. */
static int own_wrong(gru_context *inherited) {
    gru_context_config config = GRU_INIT;
    gru_context *own = NULL;
    int accepted;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 2;
    if (gru_context_create(&config, &own) != GRU_OK) return 1;
    if (ring_run_wrong(own, 2, 3, &accepted) || !accepted) return 2;
    gru_context_release(own);
    gru_context_release(inherited);
    return 0;
}

static void fork_and_check(gru_context *context, int (*child_wrong)(gru_context *context)) {
    const pid_t child = fork();
    int status = -1;
    REQUIRE(child >= 0, "no fork");
    if (child == 0) {
        (void)alarm(300); /* a child that hangs ends by a signal, one on a busy machine does not */
        _exit(child_wrong(context));
    }
    REQUIRE(waitpid(child, &status, 0) == child, "lost the child");
    CHECK(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) == 0, "the child failed at %d", WEXITSTATUS(status));
}

TEST(threads, a_forked_child_runs_alone) {
    gru_context *context = create(2);
    int accepted;
    CHECK(!ring_run_wrong(context, 2, 1, &accepted) && accepted, "the call before the fork");
    fork_and_check(context, inherited_wrong);
    CHECK(!ring_run_wrong(context, 2, 2, &accepted) && accepted, "the call after the fork");
    gru_context_release(context);
}

TEST(threads, a_forked_child_makes_its_own) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer allows no new threads in the child of a process that has some");
#endif
    gru_context *context = create(2);
    fork_and_check(context, own_wrong);
    gru_context_release(context);
}

typedef struct background {
    const gru_context *context;
    atomic_int stop;
    int wrong;
} background;

static void *call_until_stopped(void *argument) {
    background *b = argument;
    for (uint32_t seed = 0; !atomic_load(&b->stop); seed++) {
        int accepted;
        b->wrong += ring_run_wrong(b->context, 2, seed, &accepted) || !accepted;
    }
    return NULL;
}

TEST(threads, a_fork_in_the_middle_of_a_run) {
    gru_context *context = create(2);
    background b = {.context = context};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, call_until_stopped, &b) == 0, "no thread");
    for (int i = 0; i < 10; i++) fork_and_check(context, inherited_wrong);
    atomic_store(&b.stop, 1);
    (void)pthread_join(thread, NULL);
    CHECK(b.wrong == 0, "%d calls beside the forks are wrong", b.wrong);
    gru_context_release(context);
}

/* ---- creation ------------------------------------------------------------------------------------------ */

typedef struct account {
    int64_t blocks, bytes;
} account;

static void *account_allocate(void *user, size_t bytes, size_t alignment, int32_t device) {
    account *a = user;
    (void)device;
    a->blocks++;
    a->bytes += (int64_t)bytes;
    return aligned_alloc(alignment, bytes);
}

static void account_release(void *user, void *memory, size_t bytes, int32_t device) {
    account *a = user;
    (void)device;
    a->blocks--;
    a->bytes -= (int64_t)bytes;
    free(memory);
}

static gru_context_config accounted(account *a, int32_t threads) {
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU;
    config.threads = threads;
    config.allocator = (gru_allocator){account_allocate, account_release, a};
    return config;
}

TEST(threads, created_and_released_in_a_loop) {
    account a = {0};
    for (uint32_t i = 0; i < 100; i++) {
        const gru_context_config config = accounted(&a, 4);
        gru_context *context = NULL;
        int accepted = 1, wrong = 0;
        REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
        CHECK(a.blocks > 0, "the allocator was not asked");
        if (i % 2) wrong = ring_run_wrong(context, 4, i, &accepted);
        CHECK(accepted && !wrong, "context %u: accepted %d, wrong %d", i, accepted, wrong);
        gru_context_release(context);
        REQUIRE(a.blocks == 0 && a.bytes == 0, "%lld blocks, %lld bytes left", (long long)a.blocks,
                (long long)a.bytes);
    }
}

/* Address space that this process uses, in bytes. */
static rlim_t address_space(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%llu", &pages) != 1) pages = 0;
    if (file) (void)fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void mark_task(void *argument, int32_t index) {
    ((int *)argument)[index]++;
}

TEST(threads, a_system_that_refuses_threads) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    SKIP("a sanitizer's shadow memory does not fit under a limit of address space");
#endif
    account a = {0};
    const gru_context_config many = accounted(&a, 1024), few = accounted(&a, 2);
    struct rlimit before, tight;
    gru_context *context = NULL;
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0 && address_space() > 0, "no limits, or no /proc");
    tight = before;
    tight.rlim_cur = address_space() + ((rlim_t)256 << 20); /* far less than 1023 stacks */
    REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0, "cannot limit the address space");
    void *volatile beyond = malloc((size_t)1 << 30);
    free(beyond);
    if (beyond) {
        (void)setrlimit(RLIMIT_AS, &before);
        SKIP("the limit of address space is not kept here (qemu-user)");
    }
    const gru_status status = gru_context_create(&many, &context);
    (void)setrlimit(RLIMIT_AS, &before);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    const int32_t threads = gru_context_threads(context);
    CHECK(threads >= 1 && threads < 1024, "%d threads in 256 MB", threads);
    static int ran[1024];
    int accepted, all = 1;
    CHECK(gru_pool_run(context, threads + 1, mark_task, ran) == 0, "a run on one thread more than there are");
    CHECK(gru_pool_run(context, threads, mark_task, ran) == 1, "no run on all %d threads", threads);
    for (int32_t i = 0; i < 1024; i++) all &= ran[i] == (i < threads);
    CHECK(all, "not every one of %d threads ran once", threads);
    gru_context_release(context);
    CHECK(a.blocks == 0 && a.bytes == 0, "%lld blocks, %lld bytes left", (long long)a.blocks,
          (long long)a.bytes);
    REQUIRE(gru_context_create(&few, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_context_threads(context) == 2, "%d threads", gru_context_threads(context));
    CHECK(!ring_run_wrong(context, 2, 1, &accepted) && accepted, "the context after the failure");
    gru_context_release(context);
    CHECK(gru_context_threads(NULL) == 0, "threads of no context");
}

/* In a process that may start no thread, as in some containers: 0 if a context of four threads runs on one. */
static int run_without_threads(void) {
    const struct rlimit none = {0, 0};
    const gru_context_config config = {.backend = GRU_BACKEND_CPU, .threads = 4};
    gru_context *context = NULL;
    int accepted;
    if (geteuid() == 0 && setreuid(65534, 65534) != 0) return 77; /* limits do not hold for root */
    if (setrlimit(RLIMIT_NPROC, &none) != 0) return 77;
    if (gru_context_create(&config, &context) != GRU_OK) return 1;
    if (gru_context_threads(context) != 1) return 2;
    if (ring_run_wrong(context, 1, 1, &accepted) || !accepted) return 3;
    gru_context_release(context);
    return 0;
}

TEST(threads, a_system_that_gives_none) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer starts a thread of its own after a fork");
#endif
    int end;
    const pid_t child = fork();
    if (child == 0) _exit(run_without_threads());
    REQUIRE(child > 0 && waitpid(child, &end, 0) == child, "no child");
    if (WIFEXITED(end) && WEXITSTATUS(end) == 77) SKIP("this system does not limit the number of threads");
    CHECK(WIFEXITED(end) && WEXITSTATUS(end) == 0, "the child ended with %x", (unsigned)end);
}
