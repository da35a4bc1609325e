/* test_stack_backward.c: gradients of stacks against central finite differences, and in parts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/device_mirror.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const layer_spec concat[] = {{.hidden = 3, .bidirectional = 1}, {.hidden = 2, .bidirectional = 1}};
static const layer_spec sum[] = {{.hidden = 3, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                 {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
static const layer_spec separate[] = {{.hidden = 2, .bidirectional = 1},
                                      {.hidden = 3, .direction = GRU_REVERSE},
                                      {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const layer_spec product[] = {{.hidden = 3, .bidirectional = 1, .merge = GRU_MERGE_MULTIPLY},
                                     {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_AVERAGE}};
static const layer_spec average[] = {{.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_AVERAGE},
                                     {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_MULTIPLY}};
static const layer_spec variants[] = {
    {.hidden = 3, .bidirectional = 1, .reverse_hidden = 2, .reverse_reset = GRU_RESET_BEFORE},
    {.hidden = 2,
     .bidirectional = 1,
     .merge = GRU_MERGE_SEPARATE,
     .reverse_hidden = 1,
     .reverse_candidate = GRU_CANDIDATE_LINEAR}};
static const struct stack_spec {
    const char *name;
    const layer_spec *specs;
    int32_t count;
    float dropout;
    int32_t extras; /* projected input, packed weights and attention */
} stacks[] = {
    {.name = "product below average", .specs = product, .count = COUNT(product)},
    {.name = "average below product, dropout", .specs = average, .count = COUNT(average), .dropout = 0.4f},
    {.name = "two variants", .specs = variants, .count = COUNT(variants)},
    {.name = "two variants, extras", .specs = variants, .count = COUNT(variants), .extras = 1},
    {.name = "concat, extras", .specs = concat, .count = COUNT(concat), .extras = 1},
    {.name = "concat", .specs = concat, .count = COUNT(concat)},
    {.name = "sum", .specs = sum, .count = COUNT(sum)},
    {.name = "separate", .specs = separate, .count = COUNT(separate)},
    {.name = "concat with dropout", .specs = concat, .count = COUNT(concat), .dropout = 0.4f},
    {.name = "sum with dropout", .specs = sum, .count = COUNT(sum), .dropout = 0.4f},
    {.name = "separate with dropout", .specs = separate, .count = COUNT(separate), .dropout = 0.25f}};

static const stack_fixture_sizes ragged = {
    .T = 4, .N = 3, .I = 2, .type = GRU_F64, .lengths = 1, .mode = GRU_TRAIN};

static size_t x_count(void) {
    return (size_t)(ragged.T * ragged.N * ragged.I);
}

/* A stack with gradients of everything. Losses are sums of dy * y, dy_reverse * y_reverse and dhT * hT. */
typedef struct training {
    stack_fixture *fixture;
    double *dy, *dy_reverse, *dx;
    double *attention, *dattention,
        *dprojected; /* with extras; then there is no dx, nor dW and dbW of the first layer */
    double *dhT[STACK_FIXTURE_SUBLAYERS], *dh0[STACK_FIXTURE_SUBLAYERS];
    double *dW[STACK_FIXTURE_SUBLAYERS], *dR[STACK_FIXTURE_SUBLAYERS], *dbW[STACK_FIXTURE_SUBLAYERS],
        *dbR[STACK_FIXTURE_SUBLAYERS];
    gru_stack_gradients gradients;
    gru_stack_run backward; /* the run with the backward workspace */
} training;

static double *given(stack_fixture *fixture, size_t count) {
    double *data = stack_fixture_allocate(fixture, count * sizeof *data);
    tester_fill(data, GRU_F64, count, 1, 1000 + (uint64_t)fixture->buffer_count);
    return data;
}

static double *zeros(stack_fixture *fixture, size_t count) {
    double *data = stack_fixture_allocate(fixture, count * sizeof *data);
    memset(data, 0, count * sizeof *data);
    return data;
}

static size_t weight_count(const gru_layer_config *config, int32_t columns) {
    return 3 * (size_t)config->hidden * (size_t)columns;
}

static size_t projected_count(const stack_fixture *fixture) {
    return (size_t)(fixture->sizes.T * fixture->sizes.N) * stack_fixture_projected_row(fixture);
}

/* Attention as columns of a wider tensor, and gradients of it and of the projected input. */
static void ask_for_extras(training *run) {
    stack_fixture *fixture = run->fixture;
    const int64_t T = fixture->sizes.T, N = fixture->sizes.N;
    const size_t rows = (size_t)(T * N);
    run->attention = stack_fixture_allocate(fixture, rows * sizeof(double));
    run->dattention = stack_fixture_allocate(fixture, 2 * rows * sizeof(double));
    run->dprojected = stack_fixture_allocate(fixture, projected_count(fixture) * sizeof(double));
    for (size_t i = 0; i < rows; i++) run->attention[i] = 0.5 + 0.4 * tester_uniform(3, i);
    fixture->run.data.attention.data = run->attention;
    run->gradients.data.dattention = (gru_view){run->dattention, 2 * N, 2};
    run->gradients.data.dprojected.data = run->dprojected;
}

static void training_open(training *run, gru_context *context, const struct stack_spec *spec) {
    memset(run, 0, sizeof *run);
    stack_fixture_sizes sizes = ragged;
    sizes.dropout = spec->dropout;
    sizes.projected = sizes.packed = spec->extras;
    stack_fixture *fixture = run->fixture = stack_fixture_make(context, spec->specs, spec->count, sizes);
    gru_stack_gradients *g = &run->gradients;
    run->dy = given(fixture, stack_fixture_y_count(fixture));
    if (fixture->y_reverse) run->dy_reverse = given(fixture, stack_fixture_y_reverse_count(fixture));
    if (spec->extras) ask_for_extras(run);
    if (!spec->extras) run->dx = stack_fixture_allocate(fixture, x_count() * sizeof(double));
    g->data.dy.data = run->dy, g->dy_reverse.data = run->dy_reverse, g->data.dx.data = run->dx;
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const gru_layer_config *config = &fixture->configs[k];
        run->dhT[k] = given(fixture, stack_fixture_states(fixture, k));
        run->dh0[k] = stack_fixture_allocate(fixture, stack_fixture_states(fixture, k) * sizeof(double));
        const int projects = !spec->extras || k > fixture->layers[0].bidirectional;
        if (projects) run->dW[k] = zeros(fixture, weight_count(config, config->inputs));
        run->dR[k] = zeros(fixture, weight_count(config, config->hidden));
        if (projects) run->dbW[k] = zeros(fixture, weight_count(config, 1));
        run->dbR[k] = zeros(fixture, weight_count(config, 1));
    }
    g->dhT = (const void *const *)run->dhT, g->dh0 = (void *const *)run->dh0;
    g->dW = (void *const *)run->dW, g->dR = (void *const *)run->dR;
    g->dbW = (void *const *)run->dbW, g->dbR = (void *const *)run->dbR;
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s: %s", spec->name,
            gru_last_error());
    run->backward = fixture->run;
    run->backward.data.workspace = stack_fixture_allocate(fixture, fixture->needed.backward_workspace);
    run->backward.data.workspace_size = fixture->needed.backward_workspace;
}

static void backward(training *run, uint32_t parts) {
    run->gradients.data.parts = parts;
    REQUIRE(gru_stack_backward(run->fixture->stack, &run->backward, &run->gradients) == GRU_OK, "%s",
            gru_last_error());
}

/* ---- finite differences ---- */

static double loss(const training *run) {
    stack_fixture *fixture = run->fixture;
    double total = 0;
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        gru_layer *layer = NULL;
        REQUIRE(gru_stack_sublayer(fixture->stack, k, NULL, &layer) == GRU_OK, "%s", gru_last_error());
        const gru_status status =
            fixture->run.packed
                ? gru_layer_pack(layer, fixture->weights[k], (void *)(uintptr_t)fixture->packed[k], NULL)
                : gru_layer_update(layer, fixture->weights[k], NULL);
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
    }
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    for (size_t i = 0; i < stack_fixture_y_count(fixture); i++)
        total += run->dy[i] * ((const double *)fixture->y)[i];
    for (size_t i = 0; fixture->y_reverse && i < stack_fixture_y_reverse_count(fixture); i++)
        total += run->dy_reverse[i] * ((const double *)fixture->y_reverse)[i];
    for (int32_t k = 0; k < fixture->sublayers; k++)
        for (size_t i = 0; i < stack_fixture_states(fixture, k); i++)
            total += run->dhT[k][i] * ((const double *)fixture->hT[k])[i];
    return total;
}

/* numbers: of the fixture's own memory, which the loss depends on. The error of the difference is about step^2 from the
 * third derivative, and 2^-53 / step from the rounding of a loss of some tens. */
static void check_gradient(const training *run, const char *name, int32_t sublayer, const void *numbers,
                           size_t count, const double *gradient) {
    const double step = 1e-5, budget = 2e-9;
    double *at = (double *)(uintptr_t)numbers, largest = 0;
    for (size_t i = 0; i < count; i++) {
        const double saved = at[i];
        at[i] = saved + step;
        const double above = loss(run);
        at[i] = saved - step;
        const double below = loss(run);
        at[i] = saved;
        const double difference = (above - below) / (2 * step);
        CHECK(fabs(difference - gradient[i]) <= budget * (1 + fabs(difference)),
              "%s[%zu] of sublayer %d is %.12g, the difference quotient %.12g", name, i, sublayer,
              gradient[i], difference);
        largest = fmax(largest, fabs(gradient[i]));
    }
    CHECK(largest > 1e-3, "%s of sublayer %d is nowhere above %g: nothing was tested", name, sublayer,
          largest);
}

static void check_extras(training *run) {
    const size_t rows = (size_t)(ragged.T * ragged.N);
    for (size_t i = 0; i < rows; i++) {
        CHECK(tester_untouched(&run->dattention[2 * i + 1], sizeof(double)), "a gap was written");
        run->dattention[i] = run->dattention[2 * i];
    }
    check_gradient(run, "dattention", 0, run->attention, rows, run->dattention);
    check_gradient(run, "dprojected", 0, run->fixture->projected, projected_count(run->fixture),
                   run->dprojected);
}

TEST(stack_backward, equals_finite_differences) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(stacks); b++) {
        training s;
        training_open(&s, context, &stacks[b]);
        const stack_fixture *fixture = s.fixture;
        backward(&s, 0);
        if (s.dx) check_gradient(&s, "dx", 0, fixture->x, x_count(), s.dx);
        if (stacks[b].extras) check_extras(&s);
        for (int32_t k = 0; k < fixture->sublayers; k++) {
            const gru_layer_config *config = &fixture->configs[k];
            check_gradient(&s, "dh0", k, fixture->h0[k], stack_fixture_states(fixture, k), s.dh0[k]);
            if (s.dW[k])
                check_gradient(&s, "dW", k, fixture->weights[k]->W, weight_count(config, config->inputs),
                               s.dW[k]);
            check_gradient(&s, "dR", k, fixture->weights[k]->R, weight_count(config, config->hidden),
                           s.dR[k]);
            if (s.dbW[k])
                check_gradient(&s, "dbW", k, fixture->weights[k]->bW, weight_count(config, 1), s.dbW[k]);
            check_gradient(&s, "dbR", k, fixture->weights[k]->bR, weight_count(config, 1), s.dbR[k]);
        }
        stack_fixture_free(s.fixture);
    }
    gru_context_release(context);
}

/* ---- parts ---- */

static uint64_t hash_weights(const training *run) {
    uint64_t hash = 0;
    for (int32_t k = 0; k < run->fixture->sublayers; k++) {
        const gru_layer_config *config = &run->fixture->configs[k];
        if (run->dW[k])
            hash = tester_hash(hash, run->dW[k], weight_count(config, config->inputs) * sizeof(double));
        hash = tester_hash(hash, run->dR[k], weight_count(config, config->hidden) * sizeof(double));
        if (run->dbW[k]) hash = tester_hash(hash, run->dbW[k], weight_count(config, 1) * sizeof(double));
        hash = tester_hash(hash, run->dbR[k], weight_count(config, 1) * sizeof(double));
    }
    return hash;
}

static uint64_t hash_data(const training *run) {
    uint64_t hash = run->dx ? tester_hash(0, run->dx, x_count() * sizeof(double))
                            : tester_hash(0, run->dprojected, projected_count(run->fixture) * sizeof(double));
    if (run->dattention)
        hash = tester_hash(hash, run->dattention, 2 * (size_t)(ragged.T * ragged.N) * sizeof(double));
    for (int32_t k = 0; k < run->fixture->sublayers; k++)
        hash = tester_hash(hash, run->dh0[k], stack_fixture_states(run->fixture, k) * sizeof(double));
    return hash;
}

TEST(stack_backward, parts_apart_give_the_same_bits) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(stacks); b++) {
        training whole, apart;
        training_open(&whole, context, &stacks[b]);
        training_open(&apart, context, &stacks[b]);
        const uint64_t before = hash_weights(&apart);
        backward(&whole, 0);
        backward(&apart, GRU_GRAD_DATA);
        CHECK(hash_data(&whole) == hash_data(&apart), "%s: the data part alone differs", stacks[b].name);
        CHECK(hash_weights(&apart) == before, "%s: the data part wrote weights", stacks[b].name);
        if (apart.dx) memset(apart.dx, 0xFF, x_count() * sizeof(double));
        backward(&apart, GRU_GRAD_WEIGHTS);
        CHECK(hash_weights(&whole) == hash_weights(&apart), "%s: the weight part alone differs",
              stacks[b].name);
        CHECK(!apart.dx || tester_untouched(apart.dx, 2 * sizeof(double)), "%s: the weight part wrote dx",
              stacks[b].name);
        stack_fixture_free(whole.fixture);
        stack_fixture_free(apart.fixture);
    }
    gru_context_release(context);
}

TEST(stack_backward, weights_are_added_or_set) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(stacks); b++) {
        training s;
        training_open(&s, context, &stacks[b]);
        backward(&s, 0);
        const uint64_t once = hash_weights(&s), data = hash_data(&s);
        const double first = s.dR[0][0];
        backward(&s, 0);
        CHECK(s.dR[0][0] == 2 * first, "dR is %.17g, expected twice %.17g", s.dR[0][0], first);
        CHECK(hash_data(&s) == data, "%s: the second backward gave other data gradients", stacks[b].name);
        backward(&s, GRU_GRAD_OVERWRITE);
        CHECK(hash_weights(&s) == once, "%s: overwriting gave other gradients", stacks[b].name);
        stack_fixture_free(s.fixture);
    }
    gru_context_release(context);
}

TEST(stack_backward, needs_neither_states_nor_outputs_of_the_run) {
    gru_context *context = tester_context(NULL, 1);
    training s, bare;
    training_open(&s, context, &stacks[0]);
    training_open(&bare, context, &stacks[0]);
    backward(&s, 0);
    bare.backward.h0 = NULL, bare.backward.hT = NULL, bare.backward.data.y.data = NULL;
    memset(bare.fixture->y, 0xFF, stack_fixture_y_count(bare.fixture) * sizeof(double));
    backward(&bare, 0);
    CHECK(hash_data(&s) == hash_data(&bare), "data gradients depend on y, h0 or hT");
    CHECK(hash_weights(&s) == hash_weights(&bare), "weight gradients depend on y, h0 or hT");
    bare.gradients = (gru_stack_gradients)GRU_INIT;
    CHECK(gru_stack_backward(bare.fixture->stack, &bare.backward, &bare.gradients) == GRU_OK,
          "nothing wanted: %s", gru_last_error());
    stack_fixture_free(s.fixture);
    stack_fixture_free(bare.fixture);
    gru_context_release(context);
}

/* dx of a stack after a forward run of this engine, and of the reference. 0: the engine has no backward pass. */
static int compare_with_reference(const char *engine, const struct stack_spec *spec) {
    gru_context *context = tester_context(engine, 1), *exact_context = tester_context("cpu_reference", 1);
    const stack_fixture_sizes sizes = {
        .T = 4, .N = 3, .I = 2, .lengths = 1, .mode = GRU_TRAIN, .dropout = spec->dropout};
    stack_fixture *fast = stack_fixture_make(context, spec->specs, spec->count, sizes);
    stack_fixture *exact = stack_fixture_make(exact_context, spec->specs, spec->count, sizes);
    float *dx[2];
    int ran = 0;
    for (int i = 0; i < 2; i++) {
        stack_fixture *fixture = i ? exact : fast;
        gru_stack_gradients g = GRU_INIT;
        float *dy = stack_fixture_allocate(fixture, stack_fixture_y_count(fixture) * sizeof *dy);
        tester_fill(dy, GRU_F32, stack_fixture_y_count(fixture), 1, 5);
        dx[i] = stack_fixture_allocate(fixture, (size_t)(sizes.T * sizes.N * sizes.I) * sizeof *dx[i]);
        g.data.dy.data = dy, g.data.dx.data = dx[i];
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        fixture->run.data.workspace = stack_fixture_allocate(fixture, fixture->needed.backward_workspace);
        fixture->run.data.workspace_size = fixture->needed.backward_workspace;
        const gru_status status = device_mirror_stack_backward(fixture->stack, &fixture->run, &g);
        if (status == GRU_UNSUPPORTED) {
            CHECK(strstr(gru_last_error(), engine), "the sentence is: %s", gru_last_error());
            goto out;
        }
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
    }
    ran = 1;
    /* states in f32 between the steps: 2^-24 of numbers below 1, through two contracting layers of four steps */
    for (int64_t i = 0; i < sizes.T * sizes.N * sizes.I; i++)
        CHECK(fabsf(dx[0][i] - dx[1][i]) < 32 * 0x1p-24f, "%s: dx[%d] is %.9g, expected %.9g", spec->name,
              (int)i, (double)dx[0][i], (double)dx[1][i]);
out:
    stack_fixture_free(fast);
    stack_fixture_free(exact);
    gru_context_release(context);
    gru_context_release(exact_context);
    return ran;
}

/* Also with dropout: every engine drops the same numbers. */
ENGINE_TEST(stack_backward, follows_a_forward_run_of_every_engine) {
    for (int b = 0; b < COUNT(stacks); b++)
        if (!stacks[b].extras && !compare_with_reference(engine, &stacks[b])) return;
}
