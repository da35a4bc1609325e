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

#include "cpu/cpu_processors.h"
#include "cpu/cpu_threads.h"
#include "meeting.h"
#include "ring.h"
#include "support/ledger.h"
#include "support/tester.h"

/* ---- one caller ---------------------------------------------------------------------------------------- */

TEST(threads, phases_wait_for_each_other) {
    for (int32_t threads = 1; threads <= 4; threads++) {
        gru_context *context = tester_context(NULL, threads);
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
    gru_context *context = tester_context(NULL, 2);
    ring r;
    ring_start(&r, 3, 1);
    CHECK(gru_pool_run(context, &r.phases, ring_task, &r) == 0, "2 threads took 3 parts");
    CHECK(r.ran[0] + r.ran[1] + r.ran[2] == 0, "a refused call ran something");
    gru_context_release(context);
}

static void see_mask(void *masks, int32_t index) {
    (void)pthread_sigmask(SIG_BLOCK, NULL, &((sigset_t *)masks)[index]);
}

TEST(threads, signals_stay_with_the_application) {
    sigset_t before, of[2];
    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    gru_context *context = tester_context(NULL, 2);
    meet(context, see_mask, of);
    for (int signal = 1; signal < SIGSYS; signal++)
        CHECK(sigismember(&of[0], signal) == sigismember(&before, signal), "the caller's mask changed");
    CHECK(sigismember(&of[1], SIGUSR1) == 1, "a worker takes SIGUSR1");
    CHECK(sigismember(&of[1], SIGALRM) == 1, "a worker takes SIGALRM");
    CHECK(sigismember(&of[1], SIGSEGV) == 0, "a worker hides its own SIGSEGV");
    gru_context_release(context);
}

/* ---- too few processors -------------------------------------------------------------------------------- */

TEST(threads, eight_threads_on_any_machine) {
    gru_context *context = tester_context(NULL, RING_MOST);
    for (uint32_t call = 0; call < 50; call++) {
        int accepted;
        const int wrong = ring_run_wrong(context, RING_MOST, call, &accepted);
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
    gru_context *free_choice = tester_context(NULL, 0), *four = tester_context(NULL, 4);
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
    gru_context *context = tester_context(NULL, threads);
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
    gru_phases phases;
    gru_phase_claims claims[2];
    int accepted[2], wrong[2];
} nest;

static void nest_part(void *work, int32_t part) {
    nest *n = work;
    n->wrong[part] = ring_run_wrong(n->context, 2, 5, &n->accepted[part]);
}

static void nest_task(void *argument, int32_t index) {
    nest *n = argument;
    gru_phase_member member = gru_phase_member_of(&n->phases, index);
    gru_phase_run(&member, nest_part, n);
}

TEST(threads, a_call_within_a_task_is_refused) {
    gru_context *context = tester_context(NULL, 4);
    nest n = {.context = context};
    gru_phases_start(&n.phases, n.claims, 2);
    REQUIRE(gru_pool_run(context, &n.phases, nest_task, &n) == 1, "a free pool refused");
    for (int i = 0; i < 2; i++) {
        CHECK(!n.accepted[i], "part %d got the pool that runs it", i);
        CHECK(!n.wrong[i], "part %d is wrong", i);
    }
    gru_context_release(context);
}

/* ---- creation ------------------------------------------------------------------------------------------ */

static gru_context_config accounted(ledger *l, int32_t threads) {
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU;
    config.threads = threads;
    config.allocator = ledger_allocator(l);
    return config;
}

TEST(threads, created_and_released_in_a_loop) {
    ledger l = LEDGER_INIT;
    for (uint32_t i = 0; i < 100; i++) {
        const gru_context_config config = accounted(&l, 4);
        gru_context *context = NULL;
        int accepted = 1, wrong = 0;
        REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
        CHECK(l.blocks > 0, "the allocator was not asked");
        if (i % 2) wrong = ring_run_wrong(context, 4, i, &accepted);
        CHECK(accepted && !wrong, "context %u: accepted %d, wrong %d", i, accepted, wrong);
        gru_context_release(context);
        REQUIRE(l.blocks == 0 && l.bytes == 0, "%ld blocks, %zu bytes left", l.blocks, l.bytes);
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

/* Counts the parts that run. */
typedef struct counted {
    gru_phases *phases;
    atomic_int ran;
} counted;

static void count_part(void *work, int32_t part) {
    counted *c = work;
    (void)part;
    atomic_fetch_add(&c->ran, 1);
}

static void count_task(void *argument, int32_t index) {
    counted *c = argument;
    gru_phase_member member = gru_phase_member_of(c->phases, index);
    gru_phase_run(&member, count_part, c);
}

/* Runs one phase of so many parts: 1 if the pool takes it. */
static int takes_parts(const gru_context *context, int32_t parts) {
    static gru_phase_claims claims[1025];
    gru_phases phases;
    gru_phases_start(&phases, claims, parts);
    counted many = {.phases = &phases};
    const int taken = gru_pool_run(context, &phases, count_task, &many);
    CHECK(atomic_load(&many.ran) == (taken ? parts : 0), "%d of %d parts ran", atomic_load(&many.ran), parts);
    return taken;
}

TEST(threads, a_system_that_refuses_threads) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    SKIP("a sanitizer's shadow memory does not fit under a limit of address space");
#endif
    ledger l = LEDGER_INIT;
    const gru_context_config many = accounted(&l, 1024), few = accounted(&l, 2);
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
    int accepted;
    CHECK(!takes_parts(context, threads + 1), "a run on one thread more than there are");
    CHECK(takes_parts(context, threads), "no run on all %d threads", threads);
    gru_context_release(context);
    CHECK(l.blocks == 0 && l.bytes == 0, "%ld blocks, %zu bytes left", l.blocks, l.bytes);
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
