/* test_cuda_backward_stack.c: both directions of a layer go backward through the launches of one, and lose no bit by it. */
#include <string.h>

#include "control.h"
#include "cuda_fixture.h"
#include "support/stack_fixture.h"

enum { INPUTS = 7 }; /* which each direction alone copies into rows too */

/* Gradients of study_options in a tower of cells. */
typedef struct tower_gradients {
    void *dy, *dx;
    void *dhT[TOWER_CELLS], *dh0[TOWER_CELLS], *dW[TOWER_CELLS], *dR[TOWER_CELLS], *dbW[TOWER_CELLS],
        *dbR[TOWER_CELLS];
    size_t x_bytes;
} tower_gradients;

static void *zeros(tower *t, size_t count) {
    float *data = tower_allocate(t, count * sizeof *data);
    memset(data, 0, count * sizeof *data);
    return data;
}

static tower_gradients ask(tower *t) {
    tower_gradients g = {.x_bytes = (size_t)(t->sizes.T * t->sizes.N * t->sizes.I) * tower_io_bytes(t)};
    g.dy = tower_allocate(t, tower_y_count(t) * tower_io_bytes(t));
    tester_fill(g.dy, t->sizes.type, tower_y_count(t), 1, 7);
    g.dx = tower_allocate(t, g.x_bytes);
    for (int32_t k = 0; k < t->cells; k++) {
        const size_t h = (size_t)t->cell[k].hidden, states = tower_states(t, k) * tower_state_bytes(t);
        g.dhT[k] = tower_allocate(t, states);
        tester_fill(g.dhT[k], GRU_F32, tower_states(t, k), 1, 8 + (uint64_t)k);
        g.dh0[k] = tower_allocate(t, states);
        g.dW[k] = zeros(t, 3 * h * (size_t)t->cell[k].inputs);
        g.dR[k] = zeros(t, 3 * h * h);
        g.dbW[k] = zeros(t, 3 * h), g.dbR[k] = zeros(t, 3 * h);
    }
    return g;
}

/* Forward and backward; the value is the number of launches of the backward pass. */
static uint64_t run_tower(tower *t, tower_gradients *g) {
    gru_stack_gradients wanted = GRU_INIT;
    gru_stack_run run = t->run;
    REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
    run.data.workspace = tower_allocate(t, t->memory.backward_workspace);
    run.data.workspace_size = t->memory.backward_workspace;
    wanted.data.dy.data = g->dy, wanted.data.dx.data = g->dx;
    wanted.dhT = (const void *const *)g->dhT, wanted.dh0 = g->dh0;
    wanted.dW = g->dW, wanted.dR = g->dR, wanted.dbW = g->dbW, wanted.dbR = g->dbR;
    const uint64_t before = emu_launches();
    REQUIRE(mirror_stack_backward(t->stack, &run, &wanted) == GRU_OK, "%s", gru_last_error());
    return emu_launches() - before;
}

static void same(const tower *t, const char *what, int32_t k, const void *a, const void *b, size_t bytes) {
    CHECK(memcmp(a, b, bytes) == 0, "%s of cell %d, reset %d: both directions together have other bits", what,
          k, t->sizes.reset_mode);
}

/* Direction d of the tower's only layer, of the same numbers, alone. */
static tower *take_apart(const tower *both, const tower_gradients *g, int32_t d, tower_gradients *alone) {
    const tower_floor floors[] = {{.hidden = H, .direction = d}};
    const size_t states = (size_t)N * H * sizeof(float), row = H * sizeof(float);
    tower *t = tower_make(both->context, floors, 1, both->sizes);
    gru_layer *layer;
    REQUIRE(gru_stack_sublayer(t->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, both->weights[d], NULL) == GRU_OK && gru_wait(t->context, NULL) == GRU_OK,
            "%s", gru_last_error());
    *alone = ask(t);
    memcpy(t->x, both->x, g->x_bytes);
    memcpy(t->h0[0], both->h0[d], states);
    memcpy(alone->dhT[0], g->dhT[d], states);
    for (size_t k = 0; k < T * N; k++)
        memcpy((char *)alone->dy + k * row, (char *)g->dy + (2 * k + (size_t)d) * row, row);
    return t;
}

/* Its gradients must be those of both together; dx: they add up to that. Returns its launches. */
static uint64_t compare_alone(const tower *both, const tower_gradients *g, int32_t d, float *dx) {
    tower_gradients alone;
    tower *t = take_apart(both, g, d, &alone);
    const size_t h = H, i = INPUTS;
    const uint64_t launches = run_tower(t, &alone);
    same(t, "dh0", d, g->dh0[d], alone.dh0[0], (size_t)N * h * sizeof(float));
    same(t, "dW", d, g->dW[d], alone.dW[0], 3 * h * i * sizeof(float));
    same(t, "dR", d, g->dR[d], alone.dR[0], 3 * h * h * sizeof(float));
    same(t, "dbW", d, g->dbW[d], alone.dbW[0], 3 * h * sizeof(float));
    same(t, "dbR", d, g->dbR[d], alone.dbR[0], 3 * h * sizeof(float));
    for (size_t k = 0; k < g->x_bytes / sizeof(float); k++) dx[k] += ((const float *)alone.dx)[k];
    tower_free(t);
    return launches;
}

/* Both directions go through the sweep of one: of both together are the rows of states, of x and of r h, the steps, and the launch
 * behind them; what is added is the sum of dx. */
static void compare_directions(const form *f, int32_t lengths) {
    static const tower_floor floors[] = {{.hidden = H, .bidirectional = 1}};
    const int32_t reset = form_has_reset(f, GRU_RESET_AFTER) ? GRU_RESET_AFTER : GRU_RESET_BEFORE;
    gru_context *context = study_context(f, 0, 0);
    const tower_sizes tall = {
        .T = T, .N = N, .I = INPUTS, .lengths = lengths, .reset_mode = reset, .mode = GRU_TRAIN};
    form_force_sweep(f, GRU_CUDA_F32);
    tower *t = tower_make(context, floors, 1, tall);
    tower_gradients g = ask(t);
    const uint64_t launches = run_tower(t, &g);
    float *dx = zeros(t, g.x_bytes / sizeof(float));
    uint64_t alone = 0;
    for (int32_t d = 0; d < 2; d++) alone += compare_alone(t, &g, d, dx);
    same(t, "dx", 0, g.dx, dx, g.x_bytes);
    if (tester_machine.watches) /* a GPU does not count */
        CHECK(launches + 2 + (reset == GRU_RESET_BEFORE) + T == alone,
              "%s: %d launches for both directions, %d for one after the other", f->name, (int)launches,
              (int)alone);
    tower_free(t);
    form_free_choice();
    gru_context_release(context);
}

TEST(cuda_backward_stack, directions_share_their_launches) {
    for (int i = 0; i < SWEEP_FORMS; i++)
        if (form_has_turn(i)) compare_directions(&sweep_forms[i], i % 2);
}
