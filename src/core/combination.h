/* combination.h: two tensors that become one: the outputs of a layer's directions, and their gradients. */
#ifndef GRU_COMBINATION_H
#define GRU_COMBINATION_H

#include "gru/gru.h"

typedef enum gru_operation {
    GRU_OPERATION_ADD,      /* a + b */
    GRU_OPERATION_AVERAGE,  /* (a + b) / 2 */
    GRU_OPERATION_MULTIPLY, /* a b */
    GRU_OPERATION_HALVE     /* a / 2; there is no b */
} gru_operation;

/* to = the operation on a and b, number by number. to may be a. Strides filled in, as in a run. */
typedef struct gru_combination {
    gru_operation operation;
    int32_t type;
    int64_t T, N, row;
    gru_view to;
    gru_const_view a, b;
} gru_combination;

#endif
