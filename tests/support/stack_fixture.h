/* stack_fixture.h: a stack with all numbers of one call, made from a list of floors; and the same computed cell by cell.
 *
 *     static const tower_floor floors[] = {{.hidden = 5, .bidirectional = 1}, {.hidden = 3, .direction = GRU_REVERSE}};
 *     tower *t = tower_make(context, floors, 2, (tower_sizes){.T = 7, .N = 4, .I = 6, .lengths = 1});
 *     REQUIRE(gru_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
 *     tower_by_hand(t, &hand);
 *
 * States start from h0 in every cell; outputs are NaN until a run writes them. */
#ifndef STACK_FIXTURE_H
#define STACK_FIXTURE_H

#include "gru/stack.h"
#include "tester.h"

enum { TOWER_FLOORS = 4, TOWER_CELLS = 2 * TOWER_FLOORS, TOWER_BUFFERS = 96 };

typedef struct tower_floor {
    int32_t hidden, bidirectional, merge, direction;
} tower_floor;

typedef struct tower_sizes {
    int64_t T, N;
    int32_t I;
    int32_t type;       /* io_type; f64: states and weights too, else states are f32 */
    int32_t weights;    /* weight_type, unless type is f64 */
    int32_t reset_mode; /* of all cells */
    int32_t lengths;    /* ragged, the last row empty */
    int32_t mode;
    float dropout;
} tower_sizes;

typedef struct tower {
    gru_context *context;
    tower_sizes sizes;
    gru_stack_config config;
    gru_stack_layer layers[TOWER_FLOORS];
    gru_stack *stack;
    gru_sizes memory;
    int32_t cells, outputs;
    gru_layer_config cell[TOWER_CELLS];
    const gru_weights *weights[TOWER_CELLS];
    void *h0[TOWER_CELLS], *hT[TOWER_CELLS]; /* [N][H] */
    void *x, *y, *y_reverse;                 /* dense; y_reverse NULL unless the last floor is SEPARATE */
    uint64_t *dropout_seed;                  /* [2] */
    gru_stack_run run;
    void *buffers[TOWER_BUFFERS];
    int buffer_count;
} tower;

/* Ends the test if the stack cannot be made. */
tower *tower_make(gru_context *context, const tower_floor *floors, int32_t count, tower_sizes sizes);
/* Checks the guards of every buffer. */
void tower_free(tower *t);
/* Guarded memory that lives as long as the tower. */
void *tower_allocate(tower *t, size_t bytes);

size_t tower_io_bytes(const tower *t);    /* of one number of x, y */
size_t tower_state_bytes(const tower *t); /* of one number of h0, hT, gradients of weights */
size_t tower_y_count(const tower *t);     /* numbers in y */
size_t tower_states(const tower *t, int32_t cell);

/* The outputs of the tower's cells, each run alone by gru_layer_forward on dense copies, merged and dropped by the test itself.
 * Memory of the tower. */
typedef struct tower_outputs {
    void *y, *y_reverse;
    void *hT[TOWER_CELLS];
} tower_outputs;
void tower_by_hand(tower *t, tower_outputs *out);

/* One check each, bit by bit: y, y_reverse and every hT of the tower's run. */
void check_tower(const tower *t, const char *what, const tower_outputs *expected);

#endif
