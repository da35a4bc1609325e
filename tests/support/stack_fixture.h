/* stack_fixture.h: a stack with all numbers of one call, made from a list of layer_spec; and the same computed sublayer by sublayer.
 *
 *     static const layer_spec specs[] = {{.hidden = 5, .bidirectional = 1}, {.hidden = 3, .direction = GRU_REVERSE}};
 *     stack_fixture *fixture = stack_fixture_make(context, specs, 2, (stack_fixture_sizes){.T = 7, .N = 4, .I = 6, .lengths = 1});
 *     REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
 *     stack_fixture_run_sublayers(fixture, &hand);
 *
 * States start from h0 in every sublayer; outputs are NaN until a run writes them. */
#ifndef STACK_FIXTURE_H
#define STACK_FIXTURE_H

#include "gru/stack.h"
#include "tester.h"

enum {
    STACK_FIXTURE_LAYERS = 4,
    STACK_FIXTURE_SUBLAYERS = 2 * STACK_FIXTURE_LAYERS,
    STACK_FIXTURE_BUFFERS = 192
};

typedef struct layer_spec {
    int32_t hidden, bidirectional, merge, direction;
    /* of a reverse direction with a variant of its own; reverse_hidden 0: as the forward one */
    int32_t reverse_hidden, reverse_reset, reverse_candidate;
} layer_spec;

typedef struct stack_fixture_sizes {
    int64_t T, N;
    int32_t I;
    int32_t type;       /* io_type; f64: states and weights too, else states are f32 */
    int32_t weights;    /* weight_type, unless type is f64; weights are given in it, or for int8 in f32 */
    int32_t reset_mode; /* of all sublayers */
    int32_t lengths;    /* ragged, the last row empty */
    int32_t projected;  /* the first layer gets projected input instead of x */
    int32_t packed;     /* weights are in run.packed, and those of the layers are zeros */
    int32_t mode;
    float dropout;
} stack_fixture_sizes;

typedef struct stack_fixture {
    gru_context *context;
    stack_fixture_sizes sizes;
    gru_stack_config config;
    gru_stack_layer layers[STACK_FIXTURE_LAYERS];
    gru_stack *stack;
    gru_sizes needed;
    int32_t sublayers, outputs;
    gru_layer_config configs[STACK_FIXTURE_SUBLAYERS];
    const gru_weights *weights[STACK_FIXTURE_SUBLAYERS];
    void *h0[STACK_FIXTURE_SUBLAYERS], *hT[STACK_FIXTURE_SUBLAYERS]; /* [N][H] */
    const void *packed[STACK_FIXTURE_SUBLAYERS];
    void *x, *y, *y_reverse; /* dense; y_reverse NULL unless the last layer is SEPARATE */
    void *projected;         /* dense; NULL: not given */
    uint64_t *dropout_seed;  /* [2] */
    gru_stack_run run;
    void *buffers[STACK_FIXTURE_BUFFERS];
    int buffer_count;
} stack_fixture;

/* Ends the test if the stack cannot be made. */
stack_fixture *stack_fixture_make(gru_context *context, const layer_spec *specs, int32_t count,
                                  stack_fixture_sizes sizes);
/* Checks the guards of every buffer. */
void stack_fixture_free(stack_fixture *fixture);
/* Guarded memory that lives as long as the stack. */
void *stack_fixture_allocate(stack_fixture *fixture, size_t bytes);

size_t stack_fixture_io_bytes(const stack_fixture *fixture); /* of one number of x, y */
size_t
stack_fixture_state_bytes(const stack_fixture *fixture); /* of one number of h0, hT, gradients of weights */
size_t stack_fixture_y_count(const stack_fixture *fixture); /* numbers in y */
size_t stack_fixture_y_reverse_count(const stack_fixture *fixture);
size_t stack_fixture_projected_row(const stack_fixture *fixture); /* numbers in a row of projected input */
size_t stack_fixture_states(const stack_fixture *fixture, int32_t sublayer);

/* The outputs of the fixture's sublayers, each run alone by gru_layer_forward on dense copies, merged and dropped by the test itself.
 * Memory of the stack. */
typedef struct stack_fixture_outputs {
    void *y, *y_reverse;
    void *hT[STACK_FIXTURE_SUBLAYERS];
} stack_fixture_outputs;
void stack_fixture_run_sublayers(stack_fixture *fixture, stack_fixture_outputs *out);

/* One check each, bit by bit: y, y_reverse and every hT of the fixture's run. */
void stack_fixture_check(const stack_fixture *fixture, const char *what,
                         const stack_fixture_outputs *expected);

#endif
