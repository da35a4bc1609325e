/* test_webnn.c: every option of WebNN's gru has its equivalent here: the numbers of its definition, written apart in double
 * precision. */
#include <math.h>

#include "gru/import.h"
#include "gru/stack.h"
#include "support/tester.h"

enum {
    STEPS = 3,
    BATCH = 2,
    INPUTS = 2,
    HIDDEN = 3,
    DIRECTIONS = 2,
    ROWS = 3 * HIDDEN,
    STATE = BATCH * HIDDEN
};

typedef enum activation { SIGMOID, TANH, RELU, ACTIVATIONS } activation;

/* The arguments of MLGraphBuilder.gru, and the tensors, of which a single direction takes the first half. */
typedef struct webnn_gru {
    int directions, backward, reset_after, return_sequence, rzn; /* backward: of a single direction */
    activation gates, candidate;
    const float *input;                                             /* [STEPS][BATCH][INPUTS] */
    const float *weight, *recurrent_weight, *bias, *recurrent_bias; /* [directions][ROWS][...] */
    const float *initial_hidden_state;                              /* [directions][BATCH][HIDDEN] or NULL */
} webnn_gru;

typedef struct outputs {
    double state[DIRECTIONS * STATE];            /* [directions][BATCH][HIDDEN] */
    double sequence[STEPS * DIRECTIONS * STATE]; /* [STEPS][directions][BATCH][HIDDEN] */
} outputs;

static int is_backward(const webnn_gru *g, int d) {
    return g->directions == 2 ? d == 1 : g->backward;
}

/* ---- WebNN's definition ------------------------------------------------------------------------------------------- */

static double activated(activation f, double v) {
    return f == SIGMOID ? 1 / (1 + exp(-v)) : f == TANH ? tanh(v) : v > 0 ? v : 0;
}

static double product(const float *row, const double *column, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)row[i] * column[i];
    return sum;
}

/* gruCell for one sequence. Blocks of rows: update, reset, new; with rzn reset, update, new. */
static void cell(const webnn_gru *g, int d, const double *x, double *h) {
    const float *W = g->weight + d * ROWS * INPUTS, *R = g->recurrent_weight + d * ROWS * HIDDEN;
    const float *b = g->bias + d * ROWS, *rb = g->recurrent_bias + d * ROWS;
    const int update = g->rzn ? HIDDEN : 0, reset = g->rzn ? 0 : HIDDEN, new = 2 * HIDDEN;
    double z[HIDDEN], r[HIDDEN], rh[HIDDEN], next[HIDDEN];
    for (int j = 0; j < HIDDEN; j++) {
        const int u = update + j, e = reset + j;
        z[j] = activated(g->gates, product(W + u * INPUTS, x, INPUTS) + (double)b[u] + (double)rb[u] +
                                       product(R + u * HIDDEN, h, HIDDEN));
        r[j] = activated(g->gates, product(W + e * INPUTS, x, INPUTS) + (double)b[e] + (double)rb[e] +
                                       product(R + e * HIDDEN, h, HIDDEN));
        rh[j] = r[j] * h[j];
    }
    for (int j = 0; j < HIDDEN; j++) {
        const int k = new + j;
        const double a = product(W + k * INPUTS, x, INPUTS) + (double)b[k];
        const double v = g->reset_after ? a + r[j] * (product(R + k * HIDDEN, h, HIDDEN) + (double)rb[k])
                                        : a + (double)rb[k] + product(R + k * HIDDEN, rh, HIDDEN);
        next[j] = z[j] * h[j] + (1 - z[j]) * activated(g->candidate, v);
    }
    for (int j = 0; j < HIDDEN; j++) h[j] = next[j];
}

static void define(const webnn_gru *g, outputs *out) {
    for (int d = 0; d < g->directions; d++)
        for (int n = 0; n < BATCH; n++) {
            double *h = out->state + d * STATE + n * HIDDEN;
            for (int j = 0; j < HIDDEN; j++)
                h[j] =
                    g->initial_hidden_state ? (double)g->initial_hidden_state[d * STATE + n * HIDDEN + j] : 0;
            for (int s = 0; s < STEPS; s++) {
                const int t = is_backward(g, d) ? STEPS - 1 - s : s;
                double x[INPUTS];
                for (int i = 0; i < INPUTS; i++) x[i] = (double)g->input[(t * BATCH + n) * INPUTS + i];
                cell(g, d, x, h);
                for (int j = 0; j < HIDDEN; j++)
                    out->sequence[(t * g->directions + d) * STATE + n * HIDDEN + j] = h[j];
            }
        }
}

/* ---- the same here ------------------------------------------------------------------------------------------------ */

/* zrn is ONNX's order, whose biases are one array; rzn is this library's own. */
static void convert(const webnn_gru *g, int d, const gru_layer_config *config, float W[ROWS * INPUTS],
                    float R[ROWS * HIDDEN], float biases[2 * ROWS]) {
    const float *const weights[] = {g->weight + d * ROWS * INPUTS, g->recurrent_weight + d * ROWS * HIDDEN};
    float both[2 * ROWS];
    memcpy(both, g->bias + d * ROWS, ROWS * sizeof *both);
    memcpy(both + ROWS, g->recurrent_bias + d * ROWS, ROWS * sizeof *both);
    if (g->rzn) {
        memcpy(W, weights[0], ROWS * INPUTS * sizeof *W);
        memcpy(R, weights[1], ROWS * HIDDEN * sizeof *R);
        memcpy(biases, both, sizeof both);
        return;
    }
    const gru_framework_weights source = {.order = GRU_ORDER_ONNX,
                                          .reset_mode = config->reset_mode,
                                          .arrays = {weights[0], weights[1], both},
                                          .counts = {ROWS * INPUTS, ROWS * HIDDEN, 2 * ROWS}};
    const gru_native_weights target = {.W = W, .R = R, .bW = biases, .bR = biases + ROWS};
    REQUIRE(gru_import(&source, config, &target) == GRU_OK, "%s", gru_last_error());
}

static gru_layer_config config_of(const webnn_gru *g, int d) {
    static const int32_t functions[] = {GRU_ACTIVATION_SIGMOID, GRU_ACTIVATION_TANH, GRU_ACTIVATION_RELU};
    const gru_layer_config config = {.inputs = INPUTS,
                                     .hidden = HIDDEN,
                                     .reset_mode = g->reset_after ? GRU_RESET_AFTER : GRU_RESET_BEFORE,
                                     .gate = functions[g->gates],
                                     .candidate = functions[g->candidate],
                                     .direction = is_backward(g, d) ? GRU_REVERSE : GRU_FORWARD};
    return config;
}

/* A direction's weights as this library has them. */
typedef struct native {
    float W[ROWS * INPUTS], R[ROWS * HIDDEN], biases[2 * ROWS];
} native;

static gru_weights weights_of(const webnn_gru *g, int d, native *n) {
    const gru_layer_config config = config_of(g, d);
    convert(g, d, &config, n->W, n->R, n->biases);
    return (gru_weights){.W = n->W, .R = n->R, .bW = n->biases, .bR = n->biases + ROWS};
}

/* Direction d as a layer whose views lead into [STEPS][directions][BATCH][HIDDEN]. */
static void run_direction(gru_context *context, const webnn_gru *g, int d, float *state, float *sequence) {
    const gru_layer_config config = config_of(g, d);
    native numbers;
    const gru_weights weights = weights_of(g, d, &numbers);
    gru_run run = {.T = STEPS, .N = BATCH, .x.data = g->input, .hT = state + d * STATE};
    if (g->initial_hidden_state) run.h0 = g->initial_hidden_state + d * STATE;
    if (g->return_sequence) run.y = (gru_view){sequence + d * STATE, (int64_t)g->directions * STATE, HIDDEN};
    gru_layer *layer = NULL;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    gru_run_free(context, &run);
    gru_layer_release(layer);
}

/* Both directions as one bidirectional layer, whose outputs are two tensors. */
static void run_bidirectional(gru_context *context, const webnn_gru *g, float *state, float *sequence) {
    native numbers[DIRECTIONS];
    const gru_stack_layer layer = {.config = config_of(g, 0),
                                   .bidirectional = 1,
                                   .merge = GRU_MERGE_SEPARATE,
                                   .weights = {weights_of(g, 0, &numbers[0]), weights_of(g, 1, &numbers[1])}};
    const gru_stack_config config = {.layers = &layer, .count = 1};
    void *const last[] = {state, state + STATE};
    gru_stack_run run = {.data = {.T = STEPS, .N = BATCH, .x.data = g->input}, .hT = last};
    const float *initial = g->initial_hidden_state;
    const void *const first[] = {initial, initial ? initial + STATE : NULL};
    run.h0 = first;
    float y[DIRECTIONS][STEPS * STATE];
    if (g->return_sequence) run.data.y.data = y[0], run.y_reverse.data = y[1];
    gru_stack *stack = NULL;
    REQUIRE(gru_stack_create(context, &config, &stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_allocate(stack, &run.data) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < STEPS * DIRECTIONS && g->return_sequence; i++)
        memcpy(sequence + i * STATE, y[i % DIRECTIONS] + i / DIRECTIONS * STATE, STATE * sizeof *sequence);
    gru_run_free(context, &run.data);
    gru_stack_release(stack);
}

/* f32 against double: three steps of sums of six numbers of about 1. */
static void check_array(const webnn_gru *g, const char *what, const float *got, const double *expected,
                        int count) {
    for (int i = 0; i < count; i++)
        CHECK(fabs((double)got[i] - expected[i]) <= 0x1p-19 * fmax(1, fabs(expected[i])),
              "%s[%d] is %.9g, expected %.9g: %d directions, backward %d, reset after %d, rzn %d, gates %d, "
              "candidate %d",
              what, i, (double)got[i], expected[i], g->directions, g->backward, g->reset_after, g->rzn,
              g->gates, g->candidate);
}

/* one_layer: both directions in one bidirectional layer, else a layer for each direction. */
static void check_case(gru_context *context, const webnn_gru *g, int one_layer) {
    float state[DIRECTIONS * STATE], sequence[STEPS * DIRECTIONS * STATE];
    outputs expected;
    define(g, &expected);
    if (one_layer) run_bidirectional(context, g, state, sequence);
    for (int d = 0; d < g->directions && !one_layer; d++) run_direction(context, g, d, state, sequence);
    check_array(g, "state", state, expected.state, g->directions * STATE);
    if (g->return_sequence)
        check_array(g, "sequence", sequence, expected.sequence, STEPS * g->directions * STATE);
}

/* Takes the next digit of a number that says which case it is. */
static int take(int *number, int base) {
    const int digit = *number % base;
    *number /= base;
    return digit;
}

TEST(webnn, every_combination_of_options_has_an_equivalent) {
    enum { CASES = ACTIVATIONS * ACTIVATIONS * 2 * 2 * 2 * 2 * 3 };
    float input[STEPS * BATCH * INPUTS], W[DIRECTIONS * ROWS * INPUTS], R[DIRECTIONS * ROWS * HIDDEN];
    float bias[DIRECTIONS * ROWS], recurrent_bias[DIRECTIONS * ROWS], initial[DIRECTIONS * STATE];
    gru_context *context = tester_context(NULL, 1);
    tester_fill(input, GRU_F32, STEPS * BATCH * INPUTS, 1, 1);
    tester_fill(W, GRU_F32, DIRECTIONS * ROWS * INPUTS, 1, 2);
    tester_fill(R, GRU_F32, DIRECTIONS * ROWS * HIDDEN, 1, 3);
    tester_fill(bias, GRU_F32, DIRECTIONS * ROWS, 0.5, 4);
    tester_fill(recurrent_bias, GRU_F32, DIRECTIONS * ROWS, 0.5, 5);
    tester_fill(initial, GRU_F32, DIRECTIONS * STATE, 1, 6);
    for (int i = 0; i < CASES; i++) {
        int rest = i;
        webnn_gru g = {.input = input,
                       .weight = W,
                       .recurrent_weight = R,
                       .bias = bias,
                       .recurrent_bias = recurrent_bias};
        g.gates = (activation)take(&rest, ACTIVATIONS), g.candidate = (activation)take(&rest, ACTIVATIONS);
        g.reset_after = take(&rest, 2), g.return_sequence = take(&rest, 2), g.rzn = take(&rest, 2);
        g.initial_hidden_state = take(&rest, 2) ? initial : NULL;
        const int direction = take(&rest, 3); /* forward, backward, both */
        g.directions = direction == 2 ? 2 : 1, g.backward = direction == 1;
        check_case(context, &g, 0);
        if (g.directions == 2) check_case(context, &g, 1);
    }
    gru_context_release(context);
}
