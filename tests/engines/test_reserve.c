/* test_reserve.c: which bytes of the reserve are written and read, and what GRU_CHECK_WEIGHTS finds: a layer that was updated between
 * forward and backward. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/problem.h"
#include "support/stack_fixture.h"

static gru_context *checking_context(const char *engine, uint32_t flags) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 1;
    config.engine = engine;
    config.flags = flags;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

static const char refusal[] = "run.reserve was made with other weights";

static void check_answer(gru_status status, int refused, const char *when) {
    if (refused)
        CHECK(status == GRU_BAD_ARGUMENT && strstr(gru_last_error(), refusal), "%s: %s, \"%s\"", when,
              gru_status_name(status), gru_last_error());
    else
        CHECK(status == GRU_OK, "%s: %s", when, gru_last_error());
}

typedef struct training {
    problem *p;
    result r;
    gradients g;
} training;

static void open_training(training *run, gru_context *context, uint32_t options) {
    const shape sizes = {3, 2, 5, 17, "a panel and one unit"};
    const gru_layer_config config = GRU_INIT;
    run->p = problem_make(&sizes, &config, options | PROBLEM_TRAIN, 1);
    problem_run(run->p, context, &run->r);
    gradients_make(run->p, &run->g);
}

static void close_training(training *run) {
    gradients_free(&run->g);
    result_free(&run->r);
    problem_free(run->p);
}

static void check_backward(training *run, int refused, const char *when) {
    const size_t bytes = run->g.count[GRAD_X] * sizeof(float);
    memset(run->g.data[GRAD_X], 0xFF, bytes);
    check_answer(problem_backward(run->p, &run->r, 0, &run->g), refused, when);
    CHECK(tester_untouched(run->g.data[GRAD_X], bytes) == refused, "%s: dx was%s written", when,
          refused ? "" : " not");
}

static void update(training *run) {
    REQUIRE(gru_layer_update(run->r.layer, &run->p->weights, NULL) == GRU_OK, "%s", gru_last_error());
}

/* Whatever was in the reserve before: callers compare reserves, or store them. */
static void check_every_byte(uint32_t options) {
    training run;
    gru_context *context = checking_context(NULL, 0);
    open_training(&run, context, options);
    const size_t bytes = run.r.run.reserve_size;
    char *first = tester_allocate(bytes);
    memset(run.r.run.reserve, 0x00, bytes);
    REQUIRE(gru_layer_forward(run.r.layer, &run.r.run) == GRU_OK, "%s", gru_last_error());
    memcpy(first, run.r.run.reserve, bytes);
    memset(run.r.run.reserve, 0xFF, bytes);
    REQUIRE(gru_layer_forward(run.r.layer, &run.r.run) == GRU_OK, "%s", gru_last_error());
    for (size_t i = 0; i < bytes; i++)
        CHECK(first[i] == ((char *)run.r.run.reserve)[i], "byte %zu of %zu depends on what was there", i,
              bytes);
    tester_free(first);
    close_training(&run);
    gru_context_release(context);
}

TEST(reserve, every_byte_is_written_where_no_sequence_is_shorter) {
    check_every_byte(0);
    check_every_byte(PROBLEM_RECOMPUTE);
}

/* Also those of the units that fill the last panel up, which some instruction sets do not multiply. */
ENGINE_TEST(reserve, has_the_same_bytes_on_every_instruction_set) {
    ONLY_ON_THE_CPU(engine);
    if (strcmp(engine, "cpu_reference") == 0) SKIP("it saves no activations");
    gru_context *contexts[2] = {tester_context(engine, 1), tester_context("cpu_scalar", 1)};
    training runs[2];
    for (int i = 0; i < 2; i++) open_training(&runs[i], contexts[i], 0);
    const char *own = runs[0].r.run.reserve, *scalar = runs[1].r.run.reserve;
    for (size_t i = 0; i < runs[0].r.run.reserve_size; i++)
        CHECK(own[i] == scalar[i], "byte %zu is %d, and %d on cpu_scalar", i, own[i], scalar[i]);
    for (int i = 0; i < 2; i++) close_training(&runs[i]), gru_context_release(contexts[i]);
}

/* A run in GRU_TRAIN_RECOMPUTE is given room for states alone, and writes nothing behind them: memory there is guarded.
 * Backward in GRU_TRAIN would read activations there. */
TEST(reserve, of_states_alone) {
    training run;
    gru_context *context = checking_context(NULL, 0);
    open_training(&run, context, PROBLEM_RECOMPUTE);
    CHECK(run.r.run.reserve_size == 64 + 3 * 2 * 17 * sizeof(float), "%zu bytes", run.r.run.reserve_size);
    CHECK(tester_intact(run.r.run.reserve), "forward wrote behind the states");
    CHECK(problem_backward(run.p, &run.r, 0, &run.g) == GRU_OK, "%s", gru_last_error());
    run.r.run.mode = GRU_TRAIN;
    CHECK(problem_backward(run.p, &run.r, 0, &run.g) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "run.reserve_size is 472"),
          "%s", gru_last_error());
    close_training(&run);
    gru_context_release(context);
}

/* Memory that ends where no memory follows: reading on ends the test. */
typedef struct last_memory {
    char *pages;
    size_t whole, page;
    void *data;
} last_memory;

static last_memory last_memory_of(size_t bytes) {
    last_memory m = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    m.whole = (bytes + m.page - 1) / m.page * m.page;
    m.pages = mmap(NULL, m.whole + m.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(m.pages != MAP_FAILED && mprotect(m.pages + m.whole, m.page, PROT_NONE) == 0, "no memory");
    m.data = m.pages + m.whole - bytes;
    return m;
}

/* 24 units end within a panel, and six such states at a whole line. */
static void check_last_states(gru_context *context, gru_layer_config config) {
    const shape sizes = {3, 2, 5, 24, "half a panel"};
    problem *p = problem_make(&sizes, &config, PROBLEM_RECOMPUTE, 1);
    result r;
    gradients g;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    last_memory memory = last_memory_of(r.run.reserve_size);
    r.run.reserve = memory.data;
    REQUIRE(problem_call(p, &r) == GRU_OK, "%s", gru_last_error());
    gradients_make(p, &g);
    CHECK(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", p->text, gru_last_error());
    (void)munmap(memory.pages, memory.whole + memory.page);
    gradients_free(&g), result_free(&r), problem_free(p);
}

ENGINE_TEST(reserve, of_states_alone_is_read_to_its_end_and_no_further) {
    static const int32_t types[] = {GRU_F32, GRU_F64};
    ONLY_ON_THE_CPU(engine); /* it runs in host memory */
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < 2; i++)
        for (int32_t mode = GRU_RESET_AFTER; mode <= GRU_RESET_ALL; mode++) {
            const gru_layer_config config = {
                .reset_mode = mode, .io_type = types[i], .state_type = types[i], .weight_type = types[i]};
            check_last_states(context, config);
        }
    gru_context_release(context);
}

/* Every engine of the CPU keeps the sum, also those without a backward pass. */
ENGINE_TEST(reserve, an_updated_layer_is_found) {
    ONLY_ON_THE_CPU(engine); /* test_cuda_weight_checksum.c */
    gru_context *context = checking_context(engine, GRU_CHECK_WEIGHTS),
                *reference = checking_context("cpu_reference", GRU_CHECK_WEIGHTS);
    training s, other;
    open_training(&other, context, 0);
    open_training(&s, reference, 0);
    memcpy(s.r.run.reserve, other.r.run.reserve, s.r.sizes.reserve);
    check_backward(&s, 0, "nothing was updated");
    update(&s);
    check_backward(&s, 0, "updated with the same numbers");
    float *const tensors[] = {(float *)(uintptr_t)s.p->weights.W, (float *)(uintptr_t)s.p->weights.R,
                              (float *)(uintptr_t)s.p->weights.bW, (float *)(uintptr_t)s.p->weights.bR};
    for (int i = 0; i < 4; i++) {
        uint32_t *last = (uint32_t *)(void *)(tensors[i] + 3 * 17 * (i == 0 ? 5 : i == 1 ? 17 : 1) - 1);
        *last ^= 1; /* the last bit of the last number */
        update(&s);
        check_backward(&s, 1, "one bit of one number");
        *last ^= 1;
    }
    const float first = tensors[1][0];
    tensors[1][0] = tensors[1][1], tensors[1][1] = first;
    update(&s);
    check_backward(&s, 1, "two numbers exchanged");
    tensors[1][1] = tensors[1][0], tensors[1][0] = first;
    update(&s);
    check_backward(&s, 0, "updated with the old numbers again");
    close_training(&s), close_training(&other);
    gru_context_release(context), gru_context_release(reference);
}

TEST(reserve, other_packed_weights_are_found) {
    gru_context *context = checking_context(NULL, GRU_CHECK_WEIGHTS);
    training s;
    open_training(&s, context, PROBLEM_PACKED);
    check_backward(&s, 0, "the weights of the run");
    s.r.run.packed = NULL;
    check_backward(&s, 1, "the layer's own weights");
    close_training(&s);
    gru_context_release(context);
}

/* Without the flag in forward there is nothing to compare, without it in backward nobody does. */
TEST(reserve, weights_are_checked_where_both_contexts_ask) {
    for (uint32_t flags = 0; flags < 4; flags++) {
        gru_context *contexts[2];
        training s[2];
        for (int i = 0; i < 2; i++) {
            contexts[i] = checking_context(NULL, flags >> i & 1 ? GRU_CHECK_WEIGHTS : 0);
            open_training(&s[i], contexts[i], 0);
        }
        memcpy(s[1].r.run.reserve, s[0].r.run.reserve, s[0].r.sizes.reserve);
        ((float *)(uintptr_t)s[1].p->weights.R)[3] += 1;
        update(&s[1]);
        check_backward(&s[1], flags == 3, "one weight differs");
        for (int i = 0; i < 2; i++) close_training(&s[i]), gru_context_release(contexts[i]);
    }
}

TEST(reserve, a_stack_names_the_cell_that_was_updated) {
    static const layer_spec two[] = {{.hidden = 4, .bidirectional = 1}, {.hidden = 3, .bidirectional = 1}};
    gru_context *context = checking_context(NULL, GRU_CHECK_WEIGHTS);
    stack_fixture *fixture =
        stack_fixture_make(context, two, 2, (stack_fixture_sizes){.T = 3, .N = 2, .I = 2, .mode = GRU_TRAIN});
    gru_stack_gradients g = GRU_INIT;
    gru_layer *layer = NULL;
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    gru_stack_run run = fixture->run;
    run.data.workspace = stack_fixture_allocate(fixture, fixture->needed.backward_workspace);
    run.data.workspace_size = fixture->needed.backward_workspace;
    check_answer(gru_stack_backward(fixture->stack, &run, &g), 0, "nothing was updated");
    REQUIRE(gru_stack_sublayer(fixture->stack, 1, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, fixture->weights[0], NULL) == GRU_OK, "%s", gru_last_error());
    check_answer(gru_stack_backward(fixture->stack, &run, &g), 1, "layer 0, reverse, was updated");
    CHECK(strstr(gru_last_error(), "layer 0, reverse: "), "%s", gru_last_error());
    stack_fixture_free(fixture);
    gru_context_release(context);
}
