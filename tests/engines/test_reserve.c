/* test_reserve.c: what GRU_CHECK_WEIGHTS finds: a layer that was updated between forward and backward. */
#include <string.h>

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

typedef struct study {
    problem *p;
    result r;
    gradients g;
} study;

static void open_study(study *s, gru_context *context, uint32_t options) {
    const shape sizes = {3, 2, 5, 17, "a panel and one unit"};
    const gru_layer_config config = GRU_INIT;
    s->p = problem_make(&sizes, &config, options | PROBLEM_TRAIN, 1);
    problem_run(s->p, context, &s->r);
    gradients_make(s->p, &s->g);
}

static void close_study(study *s) {
    gradients_free(&s->g);
    result_free(&s->r);
    problem_free(s->p);
}

static void check_backward(study *s, int refused, const char *when) {
    const size_t bytes = s->g.count[GRAD_X] * sizeof(float);
    memset(s->g.data[GRAD_X], 0xFF, bytes);
    check_answer(problem_backward(s->p, &s->r, 0, &s->g), refused, when);
    CHECK(tester_untouched(s->g.data[GRAD_X], bytes) == refused, "%s: dx was%s written", when,
          refused ? "" : " not");
}

static void update(study *s) {
    REQUIRE(gru_layer_update(s->r.layer, &s->p->weights, NULL) == GRU_OK, "%s", gru_last_error());
}

/* Every engine of the CPU keeps the sum, also those without a backward pass. */
ENGINE_TEST(reserve, an_updated_layer_is_found) {
    ONLY_ON_THE_CPU(engine); /* test_cuda_weight_checksum.c */
    gru_context *context = checking_context(engine, GRU_CHECK_WEIGHTS),
                *reference = checking_context("cpu_reference", GRU_CHECK_WEIGHTS);
    study s, kept;
    open_study(&kept, context, 0);
    open_study(&s, reference, 0);
    memcpy(s.r.run.reserve, kept.r.run.reserve, s.r.memory.reserve);
    check_backward(&s, 0, "nothing was updated");
    update(&s);
    check_backward(&s, 0, "updated with the same numbers");
    float *const parts[] = {(float *)(uintptr_t)s.p->weights.W, (float *)(uintptr_t)s.p->weights.R,
                            (float *)(uintptr_t)s.p->weights.bW, (float *)(uintptr_t)s.p->weights.bR};
    for (int i = 0; i < 4; i++) {
        uint32_t *last = (uint32_t *)(void *)(parts[i] + 3 * 17 * (i == 0 ? 5 : i == 1 ? 17 : 1) - 1);
        *last ^= 1; /* the last bit of the last number */
        update(&s);
        check_backward(&s, 1, "one bit of one number");
        *last ^= 1;
    }
    const float first = parts[1][0];
    parts[1][0] = parts[1][1], parts[1][1] = first;
    update(&s);
    check_backward(&s, 1, "two numbers exchanged");
    parts[1][1] = parts[1][0], parts[1][0] = first;
    update(&s);
    check_backward(&s, 0, "updated with the old numbers again");
    close_study(&s), close_study(&kept);
    gru_context_release(context), gru_context_release(reference);
}

TEST(reserve, other_packed_weights_are_found) {
    gru_context *context = checking_context(NULL, GRU_CHECK_WEIGHTS);
    study s;
    open_study(&s, context, PROBLEM_PACKED);
    check_backward(&s, 0, "the weights of the run");
    s.r.run.packed = NULL;
    check_backward(&s, 1, "the layer's own weights");
    close_study(&s);
    gru_context_release(context);
}

/* Without the flag in forward there is nothing to compare, without it in backward nobody does. */
TEST(reserve, weights_are_checked_where_both_contexts_ask) {
    for (uint32_t flags = 0; flags < 4; flags++) {
        gru_context *contexts[2];
        study s[2];
        for (int i = 0; i < 2; i++) {
            contexts[i] = checking_context(NULL, flags >> i & 1 ? GRU_CHECK_WEIGHTS : 0);
            open_study(&s[i], contexts[i], 0);
        }
        memcpy(s[1].r.run.reserve, s[0].r.run.reserve, s[0].r.memory.reserve);
        ((float *)(uintptr_t)s[1].p->weights.R)[3] += 1;
        update(&s[1]);
        check_backward(&s[1], flags == 3, "one weight differs");
        for (int i = 0; i < 2; i++) close_study(&s[i]), gru_context_release(contexts[i]);
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
    run.data.workspace = stack_fixture_allocate(fixture, fixture->memory.backward_workspace);
    run.data.workspace_size = fixture->memory.backward_workspace;
    check_answer(gru_stack_backward(fixture->stack, &run, &g), 0, "nothing was updated");
    REQUIRE(gru_stack_sublayer(fixture->stack, 1, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, fixture->weights[0], NULL) == GRU_OK, "%s", gru_last_error());
    check_answer(gru_stack_backward(fixture->stack, &run, &g), 1, "layer 0, reverse, was updated");
    CHECK(strstr(gru_last_error(), "layer 0, reverse: "), "%s", gru_last_error());
    stack_fixture_free(fixture);
    gru_context_release(context);
}
