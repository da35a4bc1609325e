/* stack_layout.h: a stack, and where the tensors of one of its calls lie. */
#ifndef GRU_STACK_LAYOUT_H
#define GRU_STACK_LAYOUT_H

#include "gru/stack.h"
#include "core/layer.h"

/* One layer of a stack: one or two cells. */
typedef struct gru_stack_part {
    gru_layer *cells[2]; /* [1] only with two directions */
    int32_t directions, merge;
    int32_t first_cell;      /* number of cells[0] in the caller's order */
    int32_t inputs, outputs; /* numbers in one row of x, and of y after the merge */
} gru_stack_part;

struct gru_stack {
    gru_context *context;
    size_t bytes; /* of this struct, for its release */
    int32_t count, cells;
    int32_t io_type, state_type;
    float dropout;
    gru_stack_part parts[]; /* [count] */
};

/* Bytes of what a call needs, each rounded up to whole lines. In this order:
 *
 *   workspace            between[0], between[1], sum, cell[0], cell[1]
 *   backward workspace   between[0], between[1], sum_backward, then one for each cell (they outlive the data part)
 *   reserve              for each layer: the reserves of its cells, then its output (the last layer's is the caller's) */
typedef struct gru_stack_plan {
    size_t between[2];        /* outputs between layers (backward: their gradients) take turns in these */
    size_t sum, sum_backward; /* the reverse direction's part of a sum, until it is added */
    size_t cell[2];           /* forward workspaces: both directions of a layer run at once */
    gru_sizes memory;         /* the wholes */
} gru_stack_plan;

gru_status gru_stack_plan_for(const gru_stack *stack, int64_t T, int64_t N, gru_stack_plan *plan);

/* One call, its user views filled in by the checks. */
typedef struct gru_stack_call {
    const gru_stack *stack;
    const gru_stack_run *run;
    const gru_stack_gradients *gradients; /* NULL: forward */
    gru_stack_plan plan;
    gru_run data; /* run->data */
    gru_view y_reverse;
    gru_gradients shared; /* gradients->data */
    gru_const_view dy_reverse;
} gru_stack_call;

/* The run of direction d of layer k, all strides filled in. (By pointer: a copy of a run is felt in a streaming step.) */
void gru_stack_cell_run(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run);
gru_gradients gru_stack_cell_gradients(const gru_stack_call *call, int32_t k, int32_t d);

/* Where both directions' parts of a sum meet: what layer k writes forward (its y), or backward (its dx). from is the
 * reverse direction's. data NULL: nothing to add. */
typedef struct gru_stack_sum {
    gru_view to;
    gru_const_view from;
    int32_t row;
} gru_stack_sum;

gru_stack_sum gru_stack_sum_of(const gru_stack_call *call, int32_t k);

/* Whether numbers between the layers are dropped in this call. */
int gru_stack_drops(const gru_stack_call *call);
/* What lies between layer k and the next: the output, in backward its gradient. */
gru_view gru_stack_between(const gru_stack_call *call, int32_t k);

#endif
