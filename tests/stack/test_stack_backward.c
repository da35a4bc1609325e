/* test_stack_backward.c: gradients of stacks against central finite differences, and in parts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/device_mirror.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const tower_floor concat[] = {{.hidden = 3, .bidirectional = 1}, {.hidden = 2, .bidirectional = 1}};
static const tower_floor sum[] = {{.hidden = 3, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                  {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
static const tower_floor separate[] = {{.hidden = 2, .bidirectional = 1},
                                       {.hidden = 3, .direction = GRU_REVERSE},
                                       {.hidden = 2, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const struct building {
    const char *name;
    const tower_floor *floors;
    int32_t count;
    float dropout;
} buildings[] = {
    {"concat", concat, COUNT(concat), 0},        {"sum", sum, COUNT(sum), 0},
    {"separate", separate, COUNT(separate), 0},  {"concat with dropout", concat, COUNT(concat), 0.4f},
    {"sum with dropout", sum, COUNT(sum), 0.4f}, {"separate with dropout", separate, COUNT(separate), 0.25f}};

static const tower_sizes ragged = {.T = 4, .N = 3, .I = 2, .type = GRU_F64, .lengths = 1, .mode = GRU_TRAIN};

/* A tower with gradients of everything. Losses are sums of dy * y, dy_reverse * y_reverse and dhT * hT. */
typedef struct study {
    tower *t;
    double *dy, *dy_reverse, *dx;
    double *dhT[TOWER_CELLS], *dh0[TOWER_CELLS];
    double *dW[TOWER_CELLS], *dR[TOWER_CELLS], *dbW[TOWER_CELLS], *dbR[TOWER_CELLS];
    gru_stack_gradients gradients;
    gru_stack_run backward; /* the run with the backward workspace */
} study;

static double *given(tower *t, size_t count) {
    double *data = tower_allocate(t, count * sizeof *data);
    tester_fill(data, GRU_F64, count, 1, 1000 + (uint64_t)t->buffer_count);
    return data;
}

static double *zeros(tower *t, size_t count) {
    double *data = tower_allocate(t, count * sizeof *data);
    memset(data, 0, count * sizeof *data);
    return data;
}

static size_t weight_count(const gru_layer_config *config, int32_t columns) {
    return 3 * (size_t)config->hidden * (size_t)columns;
}

static void study_open(study *s, gru_context *context, const struct building *b) {
    memset(s, 0, sizeof *s);
    tower_sizes sizes = ragged;
    sizes.dropout = b->dropout;
    tower *t = s->t = tower_make(context, b->floors, b->count, sizes);
    const size_t x_count = (size_t)(t->sizes.T * t->sizes.N * t->sizes.I);
    gru_stack_gradients *g = &s->gradients;
    s->dy = given(t, tower_y_count(t));
    if (t->y_reverse) s->dy_reverse = given(t, tower_y_count(t));
    s->dx = tower_allocate(t, x_count * sizeof(double));
    g->data.dy.data = s->dy, g->dy_reverse.data = s->dy_reverse, g->data.dx.data = s->dx;
    for (int32_t k = 0; k < t->cells; k++) {
        const gru_layer_config *config = &t->cell[k];
        s->dhT[k] = given(t, tower_states(t, k));
        s->dh0[k] = tower_allocate(t, tower_states(t, k) * sizeof(double));
        s->dW[k] = zeros(t, weight_count(config, config->inputs));
        s->dR[k] = zeros(t, weight_count(config, config->hidden));
        s->dbW[k] = zeros(t, weight_count(config, 1));
        s->dbR[k] = zeros(t, weight_count(config, 1));
    }
    g->dhT = (const void *const *)s->dhT, g->dh0 = (void *const *)s->dh0;
    g->dW = (void *const *)s->dW, g->dR = (void *const *)s->dR;
    g->dbW = (void *const *)s->dbW, g->dbR = (void *const *)s->dbR;
    REQUIRE(gru_stack_forward(t->stack, &t->run) == GRU_OK, "%s: %s", b->name, gru_last_error());
    s->backward = t->run;
    s->backward.data.workspace = tower_allocate(t, t->memory.backward_workspace);
    s->backward.data.workspace_size = t->memory.backward_workspace;
}

static void backward(study *s, uint32_t parts) {
    s->gradients.data.parts = parts;
    REQUIRE(gru_stack_backward(s->t->stack, &s->backward, &s->gradients) == GRU_OK, "%s", gru_last_error());
}

/* ---- finite differences ---- */

static double loss(const study *s) {
    tower *t = s->t;
    double total = 0;
    for (int32_t k = 0; k < t->cells; k++) {
        gru_layer *layer = NULL;
        REQUIRE(gru_stack_sublayer(t->stack, k, NULL, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_update(layer, t->weights[k], NULL) == GRU_OK, "%s", gru_last_error());
    }
    REQUIRE(gru_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
    for (size_t i = 0; i < tower_y_count(t); i++) {
        total += s->dy[i] * ((const double *)t->y)[i];
        if (t->y_reverse) total += s->dy_reverse[i] * ((const double *)t->y_reverse)[i];
    }
    for (int32_t k = 0; k < t->cells; k++)
        for (size_t i = 0; i < tower_states(t, k); i++) total += s->dhT[k][i] * ((const double *)t->hT[k])[i];
    return total;
}

/* numbers: of the tower's own memory, which the loss depends on. The error of the difference is about step^2 from the
 * third derivative, and 2^-53 / step from the rounding of a loss of some tens. */
static void check_gradient(const study *s, const char *name, int32_t cell, const void *numbers, size_t count,
                           const double *gradient) {
    const double step = 1e-5, budget = 2e-9;
    double *at = (double *)(uintptr_t)numbers, largest = 0;
    for (size_t i = 0; i < count; i++) {
        const double saved = at[i];
        at[i] = saved + step;
        const double above = loss(s);
        at[i] = saved - step;
        const double below = loss(s);
        at[i] = saved;
        const double difference = (above - below) / (2 * step);
        CHECK(fabs(difference - gradient[i]) <= budget * (1 + fabs(difference)),
              "%s[%zu] of cell %d is %.12g, the difference quotient %.12g", name, i, cell, gradient[i],
              difference);
        largest = fmax(largest, fabs(gradient[i]));
    }
    CHECK(largest > 1e-3, "%s of cell %d is nowhere above %g: nothing was tested", name, cell, largest);
}

TEST(stack_backward, equals_finite_differences) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(buildings); b++) {
        study s;
        study_open(&s, context, &buildings[b]);
        const tower *t = s.t;
        backward(&s, 0);
        check_gradient(&s, "dx", 0, t->x, (size_t)(ragged.T * ragged.N * ragged.I), s.dx);
        for (int32_t k = 0; k < t->cells; k++) {
            const gru_layer_config *config = &t->cell[k];
            check_gradient(&s, "dh0", k, t->h0[k], tower_states(t, k), s.dh0[k]);
            check_gradient(&s, "dW", k, t->weights[k]->W, weight_count(config, config->inputs), s.dW[k]);
            check_gradient(&s, "dR", k, t->weights[k]->R, weight_count(config, config->hidden), s.dR[k]);
            check_gradient(&s, "dbW", k, t->weights[k]->bW, weight_count(config, 1), s.dbW[k]);
            check_gradient(&s, "dbR", k, t->weights[k]->bR, weight_count(config, 1), s.dbR[k]);
        }
        tower_free(s.t);
    }
    gru_context_release(context);
}

/* ---- parts ---- */

static uint64_t hash_weights(const study *s) {
    uint64_t hash = 0;
    for (int32_t k = 0; k < s->t->cells; k++) {
        const gru_layer_config *config = &s->t->cell[k];
        hash = tester_hash(hash, s->dW[k], weight_count(config, config->inputs) * sizeof(double));
        hash = tester_hash(hash, s->dR[k], weight_count(config, config->hidden) * sizeof(double));
        hash = tester_hash(hash, s->dbW[k], weight_count(config, 1) * sizeof(double));
        hash = tester_hash(hash, s->dbR[k], weight_count(config, 1) * sizeof(double));
    }
    return hash;
}

static uint64_t hash_data(const study *s) {
    uint64_t hash = tester_hash(0, s->dx, (size_t)(ragged.T * ragged.N * ragged.I) * sizeof(double));
    for (int32_t k = 0; k < s->t->cells; k++)
        hash = tester_hash(hash, s->dh0[k], tower_states(s->t, k) * sizeof(double));
    return hash;
}

TEST(stack_backward, parts_apart_give_the_same_bits) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(buildings); b++) {
        study whole, apart;
        study_open(&whole, context, &buildings[b]);
        study_open(&apart, context, &buildings[b]);
        const uint64_t before = hash_weights(&apart);
        backward(&whole, 0);
        backward(&apart, GRU_GRAD_DATA);
        CHECK(hash_data(&whole) == hash_data(&apart), "%s: the data part alone differs", buildings[b].name);
        CHECK(hash_weights(&apart) == before, "%s: the data part wrote weights", buildings[b].name);
        memset(apart.dx, 0xFF, (size_t)(ragged.T * ragged.N * ragged.I) * sizeof(double));
        backward(&apart, GRU_GRAD_WEIGHTS);
        CHECK(hash_weights(&whole) == hash_weights(&apart), "%s: the weight part alone differs",
              buildings[b].name);
        CHECK(tester_untouched(apart.dx, 2 * sizeof(double)), "%s: the weight part wrote dx",
              buildings[b].name);
        tower_free(whole.t);
        tower_free(apart.t);
    }
    gru_context_release(context);
}

TEST(stack_backward, weights_are_added_or_set) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t b = 0; b < COUNT(buildings); b++) {
        study s;
        study_open(&s, context, &buildings[b]);
        backward(&s, 0);
        const uint64_t once = hash_weights(&s), data = hash_data(&s);
        const double first = s.dR[0][0];
        backward(&s, 0);
        CHECK(s.dR[0][0] == 2 * first, "dR is %.17g, expected twice %.17g", s.dR[0][0], first);
        CHECK(hash_data(&s) == data, "%s: the second backward gave other data gradients", buildings[b].name);
        backward(&s, GRU_GRAD_OVERWRITE);
        CHECK(hash_weights(&s) == once, "%s: overwriting gave other gradients", buildings[b].name);
        tower_free(s.t);
    }
    gru_context_release(context);
}

TEST(stack_backward, needs_neither_states_nor_outputs_of_the_run) {
    gru_context *context = tester_context(NULL, 1);
    study s, bare;
    study_open(&s, context, &buildings[0]);
    study_open(&bare, context, &buildings[0]);
    backward(&s, 0);
    bare.backward.h0 = NULL, bare.backward.hT = NULL, bare.backward.data.y.data = NULL;
    memset(bare.t->y, 0xFF, tower_y_count(bare.t) * sizeof(double));
    backward(&bare, 0);
    CHECK(hash_data(&s) == hash_data(&bare), "data gradients depend on y, h0 or hT");
    CHECK(hash_weights(&s) == hash_weights(&bare), "weight gradients depend on y, h0 or hT");
    bare.gradients = (gru_stack_gradients)GRU_INIT;
    CHECK(gru_stack_backward(bare.t->stack, &bare.backward, &bare.gradients) == GRU_OK, "nothing wanted: %s",
          gru_last_error());
    tower_free(s.t);
    tower_free(bare.t);
    gru_context_release(context);
}

/* dx of a tower after a forward run of this engine, and of the reference. 0: the engine has no backward pass. */
static int compare_with_reference(const char *engine, float dropout) {
    gru_context *context = tester_context(engine, 1), *exact_context = tester_context("cpu_reference", 1);
    const tower_sizes sizes = {.T = 4, .N = 3, .I = 2, .lengths = 1, .mode = GRU_TRAIN, .dropout = dropout};
    tower *fast = tower_make(context, concat, COUNT(concat), sizes);
    tower *exact = tower_make(exact_context, concat, COUNT(concat), sizes);
    float *dx[2];
    int ran = 0;
    for (int i = 0; i < 2; i++) {
        tower *t = i ? exact : fast;
        gru_stack_gradients g = GRU_INIT;
        float *dy = tower_allocate(t, tower_y_count(t) * sizeof *dy);
        tester_fill(dy, GRU_F32, tower_y_count(t), 1, 5);
        dx[i] = tower_allocate(t, (size_t)(sizes.T * sizes.N * sizes.I) * sizeof *dx[i]);
        g.data.dy.data = dy, g.data.dx.data = dx[i];
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        t->run.data.workspace = tower_allocate(t, t->memory.backward_workspace);
        t->run.data.workspace_size = t->memory.backward_workspace;
        const gru_status status = mirror_stack_backward(t->stack, &t->run, &g);
        if (status == GRU_UNSUPPORTED) {
            CHECK(strstr(gru_last_error(), engine), "the sentence is: %s", gru_last_error());
            goto out;
        }
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
    }
    ran = 1;
    /* states in f32 between the steps: 2^-24 of numbers below 1, through two contracting layers of four steps */
    for (int64_t i = 0; i < sizes.T * sizes.N * sizes.I; i++)
        CHECK(fabsf(dx[0][i] - dx[1][i]) < 32 * 0x1p-24f, "dx[%d] is %.9g, expected %.9g", (int)i,
              (double)dx[0][i], (double)dx[1][i]);
out:
    tower_free(fast);
    tower_free(exact);
    gru_context_release(context);
    gru_context_release(exact_context);
    return ran;
}

/* Also with dropout: every engine drops the same numbers. */
ENGINE_TEST(stack_backward, follows_a_forward_run_of_every_engine) {
    if (compare_with_reference(engine, 0)) compare_with_reference(engine, 0.4f);
}
