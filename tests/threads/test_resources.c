/* test_resources.c: failing allocations, and that a run on one thread asks the system for nothing, also after a fork. */
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gru/stream.h"
#include "support/ledger.h"
#include "support/problem.h"

/* ---- every allocation fails once --------------------------------------------------------------------------------- */

/* Makes a context, a layer and a buffer, and runs; all is given back whatever fails. */
static gru_status build_and_run(const problem *p, const char *engine, int32_t threads, ledger *l) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    void *memory = NULL;
    result r;
    config.engine = engine;
    config.threads = threads;
    config.allocator = ledger_allocator(l);
    gru_status status = gru_context_create(&config, &context);
    if (status == GRU_OK) status = gru_allocate(context, 1000, &memory);
    if (status == GRU_OK) status = problem_open(p, context, &r);
    if (status == GRU_OK) {
        const long before = l->asked;
        status = problem_call(p, &r);
        CHECK(l->asked == before, "a run allocated %ld times: %s", l->asked - before, p->text);
        CHECK(gru_layer_update(r.layer, &p->weights, NULL) == GRU_OK && l->asked == before,
              "an update allocated: %s", p->text);
        result_free(&r);
    }
    gru_free(context, memory);
    gru_context_release(context);
    return status;
}

static void fail_each(const char *engine, int32_t threads) {
    const shape sizes = {2, 2, 3, 5, "small"};
    const gru_layer_config config = GRU_INIT;
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_PACKED, 1);
    ledger whole = LEDGER_INIT;
    REQUIRE(build_and_run(p, engine, threads, &whole) == GRU_OK, "%s", gru_last_error());
    CHECK(whole.asked >= 4 && whole.blocks == 0 && whole.bytes == 0,
          "%ld of %ld allocations are left, %zu bytes", whole.blocks, whole.asked, whole.bytes);
    CHECK(!whole.uneven, "a size that is no multiple of its alignment was asked for");
    for (long k = 0; k < whole.asked; k++) {
        ledger l = {.left = k};
        const gru_status status = build_and_run(p, engine, threads, &l);
        CHECK(status == GRU_OUT_OF_MEMORY && strstr(gru_last_error(), "bytes"),
              "allocation %ld failed: %s, \"%s\"", k, gru_status_name(status), gru_last_error());
        CHECK(l.blocks == 0 && l.bytes == 0, "allocation %ld failed, %ld others are left", k, l.blocks);
    }
    problem_free(p);
}

ENGINE_TEST(resources, each_allocation_may_fail) {
    ONLY_ON_THE_CPU(engine);
    fail_each(engine, 1);
    fail_each(engine, 3);
}

/* ---- nothing is asked of the system ------------------------------------------------------------------------------- */

/* Runs on one shape of each kind: streaming, a batch, chunks, 16-bit types; every reset. */
enum { SILENT_RUNS = 18 };

static problem *silent_problem(int i) {
    gru_layer_config config = problem_variant((int)(tester_random(11, (uint64_t)i) % VARIANTS));
    config.reset_mode = i % 3;
    problem_types(&config, i % 2 ? i % CPU_TYPES : 0);
    return problem_make(&tester_shapes[i % tester_shape_count], &config, problem_options((uint64_t)i),
                        (uint64_t)i);
}

/* A backward call after its forward pass. */
typedef struct backward_call {
    problem *p;
    result r;
    gradients g;
    gru_run run;
    gru_gradients wanted;
} backward_call;

static void open_backward(backward_call *call, int i, gru_context *context) {
    gru_layer_config config = problem_variant((int)(tester_random(12, (uint64_t)i) % VARIANTS));
    config.reset_mode = i % 3;
    problem_types(&config, i % 2 ? i % CPU_TYPES : 0);
    const uint32_t recompute = i % 4 < 2 ? PROBLEM_RECOMPUTE : PROBLEM_TRAIN;
    const uint32_t options = problem_options((uint64_t)i) & ~(uint32_t)(PROBLEM_TRAIN | PROBLEM_RECOMPUTE);
    call->p = problem_make(&tester_shapes[i % tester_shape_count], &config, options | recompute, (uint64_t)i);
    problem_run(call->p, context, &call->r);
    gradients_make(call->p, &call->g);
    problem_backward_call(call->p, &call->r, 0, &call->g, &call->run, &call->wanted);
}

static void close_backward(backward_call *call) {
    gradients_free(&call->g);
    result_free(&call->r);
    problem_free(call->p);
}

/* Streams of the layers that streams can run, of one row and of three. */
enum { SILENT_STREAMS = 12 };

typedef struct silent_stream {
    gru_layer *layer;
    gru_stream *stream;
    float *x, *y;
} silent_stream;

static void open_stream(silent_stream *s, int i, gru_context *context) {
    static const int32_t units[] = {1, 8, 16, 20, 33, 64};
    gru_layer_config config = {.inputs = 5, .hidden = units[i % 6], .reset_mode = i % 3};
    const gru_stream_config rows = {.rows = i % 2 ? 3 : 1};
    const size_t H = (size_t)config.hidden, count = 3 * H * (H + 5);
    float *numbers = calloc(count, sizeof *numbers);
    const gru_weights weights = {.W = numbers, .R = numbers + 3 * H * 5};
    s->x = calloc(3 * 5, sizeof *s->x), s->y = calloc(3 * H, sizeof *s->y);
    REQUIRE(numbers && s->x && s->y, "no memory");
    tester_fill(numbers, GRU_F32, count, 0.5, (uint64_t)i);
    REQUIRE(gru_layer_create(context, &config, &weights, &s->layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stream_create(s->layer, &rows, &s->stream) == GRU_OK, "%s", gru_last_error());
    free(numbers);
}

static gru_status step_and_reset(const silent_stream *s) {
    gru_status status = gru_stream_step(s->stream, s->x, s->y);
    if (status == GRU_OK) status = gru_stream_step(s->stream, s->x, NULL);
    if (status == GRU_OK) status = gru_stream_read_state(s->stream, s->y);
    if (status == GRU_OK) status = gru_stream_write_state(s->stream, s->y);
    return status == GRU_OK ? gru_stream_reset(s->stream, -1) : status;
}

static void close_stream(silent_stream *s) {
    gru_stream_release(s->stream);
    gru_layer_release(s->layer);
    free(s->x), free(s->y);
}

/* Only where a program can replace functions of the C library: not under sanitizers, nor in a static program. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(GRU_TEST_PLAIN) || \
    !defined(__GLIBC__)
ENGINE_TEST(resources, runs_allocate_nothing_and_take_no_lock) {
    SKIP("allocations of %s cannot be counted in this kind of program", engine);
}

ENGINE_TEST(resources, streams_allocate_nothing_and_take_no_lock) {
    SKIP("allocations of %s cannot be counted in this kind of program", engine);
}
#else
/* Allocations and locks since counting began; -1: not counting. Of this thread: the test framework has threads of its own. */
static _Thread_local long counted = -1;

static void count_call(void) {
    if (counted >= 0) counted++;
}

#define INTERPOSE __attribute__((visibility("default")))
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *memory);

INTERPOSE void *malloc(size_t bytes) {
    count_call();
    return __libc_malloc(bytes);
}

INTERPOSE void *calloc(size_t count, size_t bytes) {
    count_call();
    return __libc_calloc(count, bytes);
}

INTERPOSE void *realloc(void *memory, size_t bytes) {
    count_call();
    return __libc_realloc(memory, bytes);
}

INTERPOSE void *aligned_alloc(size_t alignment, size_t bytes) {
    count_call();
    return __libc_memalign(alignment, bytes);
}

INTERPOSE void free(void *memory) {
    count_call();
    __libc_free(memory);
}

/* Waiting is left out: a lock that this program takes is free. */
INTERPOSE int pthread_mutex_lock(pthread_mutex_t *mutex) {
    count_call();
    while (pthread_mutex_trylock(mutex) != 0) continue;
    return 0;
}

ENGINE_TEST(resources, runs_allocate_nothing_and_take_no_lock) {
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    counted = 0;
    void *volatile memory = malloc(1);
    free(memory);
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&mutex), (void)pthread_mutex_unlock(&mutex);
    CHECK(counted == 3, "three calls were counted as %ld", counted);
    counted = -1;
    for (int i = 0; i < SILENT_RUNS; i++) {
        problem *p = silent_problem(i);
        result r;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
        problem_renew_outputs(p, &r);
        counted = 0;
        const gru_status status = gru_layer_forward(r.layer, &r.run);
        const long calls = counted;
        counted = -1;
        CHECK(status == GRU_OK, "%s: %s", gru_last_error(), p->text);
        CHECK(calls == 0, "the first run allocated or locked %ld times: %s", calls, p->text);
        result_free(&r);
        problem_free(p);
    }
    for (int i = 0; i < SILENT_RUNS; i++) {
        backward_call call;
        open_backward(&call, i, context);
        counted = 0;
        const gru_status status = gru_layer_backward(call.r.layer, &call.run, &call.wanted);
        const long calls = counted;
        counted = -1;
        CHECK(status == GRU_OK, "%s: %s", gru_last_error(), call.p->text);
        CHECK(calls == 0, "backward allocated or locked %ld times: %s", calls, call.p->text);
        close_backward(&call);
    }
    gru_context_release(context);
}

ENGINE_TEST(resources, streams_allocate_nothing_and_take_no_lock) {
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < SILENT_STREAMS; i++) {
        silent_stream s;
        open_stream(&s, i, context);
        counted = 0;
        const gru_status status = step_and_reset(&s);
        const long calls = counted;
        counted = -1;
        CHECK(status == GRU_OK, "%s", gru_last_error());
        CHECK(calls == 0, "stream %d allocated or locked %ld times", i, calls);
        close_stream(&s);
    }
    gru_context_release(context);
}
#endif

/* Runs forward, or with gradients backward, or without a run a stream, in a child process that may only read, write and exit.
 * Returns 0 if it ran, 1 if it failed, 2 if there is no such jail, else 256 and the signal that ended it. */
static int run_in_jail(const gru_layer *layer, const gru_run *run, const gru_gradients *wanted,
                       const silent_stream *stream) {
    int end;
    const pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit, 2);
        if (!layer) syscall(SYS_exit, (int)syscall(SYS_getppid) & 0);
        const gru_status status = stream   ? step_and_reset(stream)
                                  : wanted ? gru_layer_backward(layer, run, wanted)
                                           : gru_layer_forward(layer, run);
        syscall(SYS_exit, status != GRU_OK);
    }
    REQUIRE(child > 0 && waitpid(child, &end, 0) == child, "no child");
    return WIFSIGNALED(end) ? 256 + WTERMSIG(end) : WEXITSTATUS(end);
}

ENGINE_TEST(resources, runs_make_no_system_call) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer has a thread of its own, which outlives the jailed one (%s)", engine);
#endif
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    const int forbidden = run_in_jail(NULL, NULL, NULL, NULL);
    if (forbidden == 2) SKIP("this system has no strict seccomp mode");
    CHECK(forbidden == 256 + SIGKILL, "the jail let a system call pass: %d", forbidden);
    for (int i = 0; i < SILENT_RUNS; i++) {
        problem *p = silent_problem(i);
        result r;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
        problem_renew_outputs(p, &r);
        const int end = run_in_jail(r.layer, &r.run, NULL, NULL);
        CHECK(end == 0, "the first run ended with %d: %s", end, p->text);
        result_free(&r);
        problem_free(p);
    }
    for (int i = 0; i < SILENT_RUNS; i++) {
        backward_call call;
        open_backward(&call, i, context);
        const int end = run_in_jail(call.r.layer, &call.run, &call.wanted, NULL);
        CHECK(end == 0, "backward ended with %d: %s", end, call.p->text);
        close_backward(&call);
    }
    gru_context_release(context);
}

ENGINE_TEST(resources, streams_make_no_system_call) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer has a thread of its own, which outlives the jailed one (%s)", engine);
#endif
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    if (run_in_jail(NULL, NULL, NULL, NULL) == 2) SKIP("this system has no strict seccomp mode");
    for (int i = 0; i < SILENT_STREAMS; i++) {
        silent_stream s;
        open_stream(&s, i, context);
        const int end = run_in_jail(s.layer, NULL, NULL, &s);
        CHECK(end == 0, "stream %d ended with %d", i, end);
        close_stream(&s);
    }
    gru_context_release(context);
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

/* A child runs what its parent has run, and then the parent again; all get the same bits. */
static void run_around_fork(const char *engine, int32_t threads, const shape *sizes) {
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(engine, threads);
    problem *p = problem_make(sizes, &config, PROBLEM_H0, 1);
    const size_t bytes = (size_t)(sizes->T * sizes->N * sizes->H) * sizeof(float);
    result r;
    int end;
    problem_run(p, context, &r);
    const pid_t child = fork();
    if (child == 0) {
        (void)alarm(
            300); /* a run that waits for threads which it has not ends by a signal, a slow machine's does not */
        memset(r.run.y.data, 0xFF, bytes);
        const int same =
            gru_layer_forward(r.layer, &r.run) == GRU_OK && memcmp(r.run.y.data, r.y, bytes) == 0;
        gru_context_release(context);
        _exit(!same);
    }
    REQUIRE(child > 0 && waitpid(child, &end, 0) == child, "no child");
    CHECK(WIFEXITED(end) && WEXITSTATUS(end) == 0, "with %d threads the child ended with %x: %s", threads,
          end, p->text);
    memset(r.run.y.data, 0xFF, bytes);
    CHECK(gru_layer_forward(r.layer, &r.run) == GRU_OK && memcmp(r.run.y.data, r.y, bytes) == 0,
          "after the fork the parent's bits differ: %s", p->text);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

ENGINE_TEST(resources, forks_after_a_run) {
    ONLY_ON_THE_CPU(engine);
    const shape streaming = {1, 1, 8, 16, "a streaming step"};
    const shape rows = {5, 40, 24, 65, "rows for two threads"},
                units = {4, 3, 33, 255, "units for two threads"};
    for (int32_t threads = 1; threads <= 2; threads++) {
        run_around_fork(engine, threads, &streaming);
        run_around_fork(engine, threads, &rows);
        run_around_fork(engine, threads, &units);
    }
}
