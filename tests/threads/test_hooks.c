/* test_hooks.c: thread pools of the caller (gru_context_config.parallel), of every kind: all tasks at once, one after the other,
 * in any order, some of them, none; the results are those of one thread. */
#include <pthread.h>
#include <stdlib.h>

#include "ring.h"
#include "support/problem.h"
#include "support/properties.h"

typedef struct hook {
    int calls, threads; /* threads: as many tasks at once */
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t count;
    atomic_int next;
} hook;

static void *take_tasks(void *argument) {
    hook *h = argument;
    for (int32_t index; (index = atomic_fetch_add(&h->next, 1)) < h->count;) h->task(h->argument, index);
    return NULL;
}

/* A pool that runs at most h->threads tasks at once, as OpenMP may and torch's, ONNX Runtime's and XLA's pools do. */
static void run_pool(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument) {
    hook *h = user;
    pthread_t ids[RING_MOST];
    int started = 0;
    h->calls++, h->task = task, h->argument = argument, h->count = count;
    atomic_store(&h->next, 0);
    while (started < h->threads && pthread_create(&ids[started], NULL, take_tasks, h) == 0) started++;
    for (int i = 0; i < started; i++) (void)pthread_join(ids[i], NULL);
}

static void run_in_order(void *user, int32_t count, void (*task)(void *argument, int32_t index),
                         void *argument) {
    ((hook *)user)->calls++;
    for (int32_t i = 0; i < count; i++) task(argument, i);
}

static void run_backwards(void *user, int32_t count, void (*task)(void *argument, int32_t index),
                          void *argument) {
    ((hook *)user)->calls++;
    for (int32_t i = count - 1; i >= 0; i--) task(argument, i);
}

static void run_the_last(void *user, int32_t count, void (*task)(void *argument, int32_t index),
                         void *argument) {
    ((hook *)user)->calls++;
    task(argument, count - 1);
}

static void run_none(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument) {
    (void)count, (void)task, (void)argument;
    ((hook *)user)->calls++;
}

typedef struct pool_kind {
    const char *name;
    gru_parallel parallel;
    int threads;
} pool_kind;

static const pool_kind kinds[] = {{"as many threads as tasks", run_pool, 4},
                                  {"two threads", run_pool, 2},
                                  {"one thread", run_pool, 1},
                                  {"in order", run_in_order, 1},
                                  {"backwards", run_backwards, 1},
                                  {"only the last task", run_the_last, 1},
                                  {"no task", run_none, 0}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static gru_context *create(const pool_kind *kind, hook *h, const char *engine, int32_t threads) {
    gru_context_config config = {.backend = GRU_BACKEND_CPU, .threads = threads, .engine = engine};
    gru_context *context = NULL;
    *h = (hook){.threads = kind->threads};
    config.parallel = kind->parallel;
    config.parallel_user = h;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

TEST(hooks, phases_end_on_any_pool) {
    for (int k = 0; k < KINDS; k++) {
        hook h;
        gru_context *context = create(&kinds[k], &h, NULL, 3);
        CHECK(gru_pool_threads(context) == 3, "%d threads", gru_pool_threads(context));
        CHECK(context->device == NULL, "workers beside a hook");
        for (int32_t count = 1; count <= 4; count++) {
            int accepted;
            const int wrong = ring_run_wrong(context, count, 9, &accepted);
            CHECK(accepted == (count <= 3) && !wrong, "%s, count %d: accepted %d, wrong %d", kinds[k].name,
                  count, accepted, wrong);
        }
        CHECK(h.calls == 2, "%s: %d calls of the hook; one task needs none", kinds[k].name, h.calls);
        gru_context_release(context);
    }
}

/* Whole layers: rows for several threads, units, two halves of a step, 16-bit input. */
static void compare(const char *engine, const pool_kind *kind, const shape *sizes, int32_t reset_mode,
                    int32_t type) {
    gru_layer_config config = {.reset_mode = reset_mode, .io_type = type};
    problem *p = problem_make(sizes, &config, PROBLEM_H0 | PROBLEM_TRAIN, 1);
    gru_context *alone = tester_context(engine, 1);
    hook h;
    gru_context *hooked = create(kind, &h, engine, 4);
    result one, many;
    gradients of_one, of_many;
    problem_run(p, alone, &one);
    problem_run(p, hooked, &many);
    check_same_results(p, &one, &many);
    const int calls = h.calls;
    gradients_make(p, &of_one), gradients_make(p, &of_many);
    CHECK(problem_backward(p, &one, 0, &of_one) == GRU_OK, "%s", gru_last_error());
    CHECK(problem_backward(p, &many, 0, &of_many) == GRU_OK, "%s", gru_last_error());
    check_same_gradients(p, &of_one, &of_many);
    CHECK(calls > 0 && h.calls > calls, "%s: the hook was called %d and %d times: %s", kind->name, calls,
          h.calls, p->text);
    gradients_free(&of_one), gradients_free(&of_many);
    result_free(&one), result_free(&many);
    problem_free(p);
    gru_context_release(alone), gru_context_release(hooked);
}

ENGINE_TEST(hooks, bits_of_one_thread_on_any_pool) {
    ONLY_ON_THE_CPU(engine);
    if (strcmp(engine, "cpu_reference") == 0) SKIP("%s runs on one thread", engine);
    const shape rows = {2, 32, 24, 129, "rows for threads"}, units = {5, 3, 33, 255, "units for threads"};
    for (int k = 0; k < KINDS; k++) {
        compare(engine, &kinds[k], &rows, k % 3, k % 2 ? GRU_BF16 : GRU_F32);
        compare(engine, &kinds[k], &units, k % 3, k % 2 ? GRU_BF16 : GRU_F32);
        compare(engine, &kinds[k], &units, (k + 1) % 3, k % 2 ? GRU_F32 : GRU_BF16);
    }
}
