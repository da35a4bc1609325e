/* layout_call.h: a training call of a problem with lengths, whose steps are laid out otherwise.
 *
 *     check_layout(p, &plain, &gradients, OTHER_OFFSETS);
 */
#ifndef LAYOUT_CALL_H
#define LAYOUT_CALL_H

#include "other_layout.h"

/* Tensors of [rows]; NULL: there is none. */
typedef struct layout_call {
    gru_run run;
    gru_gradients wanted;
    void *memory[24];
    int count;
} layout_call;

/* The tensors and states of p, spread, with the layer of its result; outputs are NaN. */
void layout_call_prepare_forward(const problem *p, const result *plain, const other_layout *o,
                                 layout_call *c);
/* The same for gradients. Those that have no rows are g's. */
void layout_call_prepare_backward(const problem *p, const other_layout *o, const gradients *g,
                                  layout_call *c);
void layout_call_free(layout_call *c);

/* Forward and backward of training problem p in a layout give the bits of its result and gradients with lengths; what lies at
 * absent steps is not read, and zeros or repeated outputs are written there. */
void check_layout(const problem *p, const result *plain, const gradients *expected, int kind);

#endif
