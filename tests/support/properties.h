/* properties.h: what must not change the bits of an output; each property checks one problem on one context. */
#ifndef PROPERTIES_H
#define PROPERTIES_H

#include "problem.h"

/* The options of p with which the properties must hold. */
extern const uint32_t property_options;

/* plain: the result of p on the context. */
typedef void (*property)(gru_context *context, const problem *p, const result *plain);

void property_repeated(gru_context *context, const problem *p, const result *plain);
/* Training, strides, slots, packed weights, outputs that are not wanted, states in place. */
void property_options_unseen(gru_context *context, const problem *p, const result *plain);
void property_rows(gru_context *context, const problem *p,
                   const result *plain); /* alone, or with few others */
void property_cuts(gru_context *context, const problem *p, const result *plain); /* forward layers */
/* NaN or infinity in one row affects this row only, and NaN is never lost. */
void property_poison(gru_context *context, const problem *p, const result *plain);
/* The same bits on another context, or with other instructions. */
void property_elsewhere(gru_context *other, const problem *p, const result *plain);
/* All of the above but property_elsewhere. */
void property_every_way(gru_context *context, const problem *p, const result *plain);

/* A problem of inference whose weights are of this type, and x, y and states of drawn ones. */
problem *problem_of_weights(int32_t weight_type, const shape *sizes, int variant, uint32_t options,
                            uint64_t draw);

/* y and hT, where both results have them. */
void check_same_results(const problem *p, const result *a, const result *b);

#endif
