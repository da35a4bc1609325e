/* stack_layout.h: a stack, and where the tensors of one of its calls lie. */
#ifndef GRU_STACK_LAYOUT_H
#define GRU_STACK_LAYOUT_H

#include <string.h>

#include "gru/stack.h"
#include "core/combination.h"
#include "core/layer.h"

/* One layer of a stack: one or two sublayers. */
typedef struct gru_stacked_layer {
    gru_layer *sublayers[2]; /* [1] only with two directions */
    void *initial_states[2]; /* [H] learned, in the context's memory; NULL: zeros */
    int32_t directions, merge;
    int32_t alike;           /* its directions have one configuration, so that one call can run both */
    int32_t first_sublayer;  /* number of sublayers[0] in the caller's order */
    int32_t inputs, outputs; /* numbers in one row of x, and of y after the merge */
} gru_stacked_layer;

/* Whether two configurations have the same bytes. */
static inline int gru_stack_same_config(const gru_layer_config *config, const gru_layer_config *other) {
    const void *a = config, *b = other;
    return memcmp(a, b, sizeof *config) == 0;
}

struct gru_stack {
    gru_context *context;
    size_t bytes; /* of this struct, for its release */
    int32_t count, sublayer_count;
    int32_t io_type, state_type;
    float dropout;
    gru_stacked_layer layers[]; /* [count] */
};

/* Bytes of what a call needs, each rounded up to whole lines. In this order:
 *
 *   workspace            between[0], between[1], second, workspace[0], workspace[1], initial_states[0], initial_states[1]
 *   backward workspace   between[0], between[1], second_dx, split[0], split[1], attention[0], attention[1], then one for each
 *                        sublayer: a later call for the gradients of weights reads what this one wrote there
 *   reserve              for each layer: the reserves of its sublayers; with MULTIPLY both outputs; then its merged output
 *                        (the last layer's is the caller's) */
typedef struct gru_stack_layout {
    size_t between[2]; /* ping-pong buffers: outputs between layers, in backward their gradients */
    size_t second,
        second_dx;   /* the reverse direction's output, and gradient of the input, before they are merged */
    size_t split[2]; /* with AVERAGE and MULTIPLY: gradients of each direction's output */
    size_t attention[2];      /* each direction's gradient of attention, before it is added to the others */
    size_t workspace[2];      /* of sublayers, forward: both directions of a layer may run at once */
    size_t initial_states[2]; /* rows of the learned initial states of a layer's directions */
    gru_sizes total;
} gru_stack_layout;

/* mode: of the run whose reserve total.reserve is. */
gru_status gru_stack_layout_of(const gru_stack *stack, int64_t T, int64_t N, int32_t mode,
                               gru_stack_layout *layout);

/* One call. The checks fill it in. */
typedef struct gru_stack_call {
    const gru_stack *stack;
    const gru_stack_run *run;
    const gru_stack_gradients *gradients; /* NULL: forward */
    gru_stack_layout layout;
    int32_t visited;   /* the layer that gru_stack_visit set */
    gru_sizes offsets; /* its first byte in the reserve, and in the backward workspace among the sublayers' */
    gru_run data;      /* run->data, strides filled in */
    gru_view y_reverse;
    gru_gradients shared; /* gradients->data */
    gru_const_view dy_reverse;
} gru_stack_call;

/* Goes to layer k. In a training call the functions below answer only for that layer. Visiting all layers in order costs
 * one addition for each. */
void gru_stack_visit(gru_stack_call *call, int32_t k);

/* The run of direction d of layer k, all strides filled in. By pointer: copying a run costs time in a streaming step. */
void gru_stack_sublayer_run(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run);
/* Where the run of this sublayer wants its learned initial state, one row for each sequence; NULL: nowhere. */
void *gru_stack_initial_states(const gru_stack_call *call, int32_t k, int32_t d);
/* For any layer, visited or not. */
gru_gradients gru_stack_sublayer_gradients(const gru_stack_call *call, int32_t k, int32_t d);

/* What becomes of the tensors of the visited layer k; to.data NULL: nothing. merge: after a forward pass, the outputs of both
 * directions. Backward: split, before it, the gradient of direction d's output; sum and attention, after it, the gradients
 * of the input and of direction d's attention. */
gru_combination gru_stack_merge(const gru_stack_call *call, int32_t k);
gru_combination gru_stack_split(const gru_stack_call *call, int32_t k, int32_t d);
gru_combination gru_stack_sum(const gru_stack_call *call, int32_t k);
gru_combination gru_stack_attention(const gru_stack_call *call, int32_t k, int32_t d);

/* Whether this call applies dropout between the layers. */
int gru_stack_has_dropout(const gru_stack_call *call);
/* The numbers between layer k and the next: the output, in backward its gradient. */
gru_view gru_stack_between(const gru_stack_call *call, int32_t k);

#endif
