/* stack_check.h: decides whether the arguments of a stack's call make sense, before anything is written. */
#ifndef GRU_STACK_CHECK_H
#define GRU_STACK_CHECK_H

#include "stack_layout.h"

/* The configuration of direction d. */
static inline const gru_layer_config *gru_stack_config_of(const gru_stack_layer *layer, int32_t d) {
    return d && layer->reverse_config.hidden ? &layer->reverse_config : &layer->config;
}

/* Everything of a stack's configuration that its layers alone do not check. */
gru_status gru_stack_check_config(const gru_stack_config *config);

/* Every check of a forward or backward call. call: filled in for gru_stack_sublayer_run and its like. */
gru_status gru_stack_check_forward(const gru_stack *stack, const gru_stack_run *run, gru_stack_call *call);
gru_status gru_stack_check_backward(const gru_stack *stack, const gru_stack_run *run,
                                    const gru_stack_gradients *gradients, gru_stack_call *call);

/* Puts "layer 1, reverse: " before the sentence of this thread's latest failure. */
gru_status gru_stack_sublayer_failed(const gru_stack *stack, int32_t k, int32_t d, gru_status status);

#endif
