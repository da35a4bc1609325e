/* test_cuda_backward_stack.c: both directions of a layer go backward through the launches of one, and lose no bit by it. */
#include <string.h>

#include "control.h"
#include "cuda_fixture.h"
#include "support/stack_fixture.h"

enum { INPUTS = 7 }; /* which each direction alone copies into rows too */

/* Gradients of fixture_options in a stack of sublayers. */
typedef struct stack_fixture_gradients {
    void *dy, *dx;
    void *dhT[STACK_FIXTURE_SUBLAYERS], *dh0[STACK_FIXTURE_SUBLAYERS], *dW[STACK_FIXTURE_SUBLAYERS],
        *dR[STACK_FIXTURE_SUBLAYERS], *dbW[STACK_FIXTURE_SUBLAYERS], *dbR[STACK_FIXTURE_SUBLAYERS];
    size_t x_bytes;
} stack_fixture_gradients;

static void *zeros(stack_fixture *fixture, size_t count) {
    float *data = stack_fixture_allocate(fixture, count * sizeof *data);
    memset(data, 0, count * sizeof *data);
    return data;
}

static stack_fixture_gradients ask(stack_fixture *fixture) {
    stack_fixture_gradients g = {.x_bytes = (size_t)(fixture->sizes.T * fixture->sizes.N * fixture->sizes.I) *
                                            stack_fixture_io_bytes(fixture)};
    g.dy = stack_fixture_allocate(fixture, stack_fixture_y_count(fixture) * stack_fixture_io_bytes(fixture));
    tester_fill(g.dy, fixture->sizes.type, stack_fixture_y_count(fixture), 1, 7);
    g.dx = stack_fixture_allocate(fixture, g.x_bytes);
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const size_t h = (size_t)fixture->configs[k].hidden,
                     states = stack_fixture_states(fixture, k) * stack_fixture_state_bytes(fixture);
        g.dhT[k] = stack_fixture_allocate(fixture, states);
        tester_fill(g.dhT[k], GRU_F32, stack_fixture_states(fixture, k), 1, 8 + (uint64_t)k);
        g.dh0[k] = stack_fixture_allocate(fixture, states);
        g.dW[k] = zeros(fixture, 3 * h * (size_t)fixture->configs[k].inputs);
        g.dR[k] = zeros(fixture, 3 * h * h);
        g.dbW[k] = zeros(fixture, 3 * h), g.dbR[k] = zeros(fixture, 3 * h);
    }
    return g;
}

/* Forward and backward; the value is the number of launches of the backward pass. */
static uint64_t run_tower(stack_fixture *fixture, stack_fixture_gradients *g) {
    gru_stack_gradients wanted = GRU_INIT;
    gru_stack_run run = fixture->run;
    REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    run.data.workspace = stack_fixture_allocate(fixture, fixture->needed.backward_workspace);
    run.data.workspace_size = fixture->needed.backward_workspace;
    wanted.data.dy.data = g->dy, wanted.data.dx.data = g->dx;
    wanted.dhT = (const void *const *)g->dhT, wanted.dh0 = g->dh0;
    wanted.dW = g->dW, wanted.dR = g->dR, wanted.dbW = g->dbW, wanted.dbR = g->dbR;
    const uint64_t before = emu_launches();
    REQUIRE(device_mirror_stack_backward(fixture->stack, &run, &wanted) == GRU_OK, "%s", gru_last_error());
    return emu_launches() - before;
}

static void same(const stack_fixture *fixture, const char *what, int32_t k, const void *a, const void *b,
                 size_t bytes) {
    CHECK(memcmp(a, b, bytes) == 0, "%s of sublayer %d, reset %d: both directions together have other bits",
          what, k, fixture->sizes.reset_mode);
}

/* Direction d of the fixture's only layer, of the same numbers, alone. */
static stack_fixture *take_apart(const stack_fixture *both, const stack_fixture_gradients *g, int32_t d,
                                 stack_fixture_gradients *alone) {
    const layer_spec specs[] = {{.hidden = H, .direction = d}};
    const size_t states = (size_t)N * H * sizeof(float), row = H * sizeof(float);
    stack_fixture *fixture = stack_fixture_make(both->context, specs, 1, both->sizes);
    gru_layer *layer;
    REQUIRE(gru_stack_sublayer(fixture->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, both->weights[d], NULL) == GRU_OK &&
                gru_wait(fixture->context, NULL) == GRU_OK,
            "%s", gru_last_error());
    *alone = ask(fixture);
    memcpy(fixture->x, both->x, g->x_bytes);
    memcpy(fixture->h0[0], both->h0[d], states);
    memcpy(alone->dhT[0], g->dhT[d], states);
    for (size_t k = 0; k < T * N; k++)
        memcpy((char *)alone->dy + k * row, (char *)g->dy + (2 * k + (size_t)d) * row, row);
    return fixture;
}

/* Its gradients must be those of both together; dx: they add up to that. Returns its launches. */
static uint64_t compare_alone(const stack_fixture *both, const stack_fixture_gradients *g, int32_t d,
                              float *dx) {
    stack_fixture_gradients alone;
    stack_fixture *fixture = take_apart(both, g, d, &alone);
    const size_t h = H, i = INPUTS;
    const uint64_t launches = run_tower(fixture, &alone);
    same(fixture, "dh0", d, g->dh0[d], alone.dh0[0], (size_t)N * h * sizeof(float));
    same(fixture, "dW", d, g->dW[d], alone.dW[0], 3 * h * i * sizeof(float));
    same(fixture, "dR", d, g->dR[d], alone.dR[0], 3 * h * h * sizeof(float));
    same(fixture, "dbW", d, g->dbW[d], alone.dbW[0], 3 * h * sizeof(float));
    same(fixture, "dbR", d, g->dbR[d], alone.dbR[0], 3 * h * sizeof(float));
    for (size_t k = 0; k < g->x_bytes / sizeof(float); k++) dx[k] += ((const float *)alone.dx)[k];
    stack_fixture_free(fixture);
    return launches;
}

/* Both directions go through the launches of one: of both together are the rows of states, of x and of r h, the steps, and the launch
 * behind them; what is added is the sum of dx. */
static void compare_directions(const kernel_config *f, int32_t lengths) {
    static const layer_spec specs[] = {{.hidden = H, .bidirectional = 1}};
    const int32_t reset = kernel_config_has_reset(f, GRU_RESET_AFTER) ? GRU_RESET_AFTER : GRU_RESET_BEFORE;
    gru_context *context = fixture_context(f, 0, 0);
    const stack_fixture_sizes tall = {
        .T = T, .N = N, .I = INPUTS, .lengths = lengths, .reset_mode = reset, .mode = GRU_TRAIN};
    kernel_config_override_backward(f, GRU_CUDA_F32);
    stack_fixture *fixture = stack_fixture_make(context, specs, 1, tall);
    stack_fixture_gradients g = ask(fixture);
    const uint64_t launches = run_tower(fixture, &g);
    float *dx = zeros(fixture, g.x_bytes / sizeof(float));
    uint64_t alone = 0;
    for (int32_t d = 0; d < 2; d++) alone += compare_alone(fixture, &g, d, dx);
    same(fixture, "dx", 0, g.dx, dx, g.x_bytes);
    if (tester_device.watches) /* a GPU does not count */
        CHECK(launches + 2 + (reset == GRU_RESET_BEFORE) + T == alone,
              "%s: %d launches for both directions, %d for one after the other", f->name, (int)launches,
              (int)alone);
    stack_fixture_free(fixture);
    kernel_config_clear_override();
    gru_context_release(context);
}

TEST(cuda_backward_stack, directions_share_their_launches) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++)
        if (kernel_config_is_selected(i)) compare_directions(&backward_kernel_configs[i], i % 2);
}
