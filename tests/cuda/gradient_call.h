/* gradient_call.h: a backward pass of a CUDA engine with what a caller may ask of it, and the exact gradients beside.
 *
 *     gradient_call call = {.parts = GRU_GRAD_OVERWRITE, .apart = 1};
 *     check_gradient_call(p, context, NULL, &call);
 */
#ifndef GRADIENT_CALL_H
#define GRADIENT_CALL_H

#include "kernel_config.h"
#include "support/problem.h"

enum { MISSING_DY = 1 << GRADS, MISSING_DHT = 1 << (GRADS + 1) }; /* beside 1 << GRAD_X ... */

typedef struct gradient_call {
    const kernel_config *kernel_config; /* of the backward steps; NULL: what the cost model chooses */
    uint32_t parts;                     /* GRU_GRAD_OVERWRITE or 0 */
    int apart;                          /* the data part and the weight part in calls of their own */
    uint32_t missing;                   /* what is NULL */
    float loss_scale;                   /* 0: none */
    int32_t steps;                      /* of a chunk, forward and backward; 0: as many as fit */
} gradient_call;

/* Training problem p on the context, forward and backward, against the reference. The reserve is that of the engine `maker`, of
 * the CPU, or (NULL) the context's own. */
void check_gradient_call(problem *p, gru_context *context, const char *maker, const gradient_call *call);

/* The backward pass of an opened and run result, whose gradients of weights begin with numbers of the seed. */
void run_gradient_call(problem *p, result *r, const gradient_call *call, gradients *g);

#endif
