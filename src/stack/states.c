/* states.c: memory for the states of all sublayers of a stack. */
#include <string.h>

#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/number.h"
#include "stack_run.h"

struct gru_states {
    gru_context *context;
    size_t bytes;  /* of this struct with its array */
    size_t length; /* of one copy of all states */
    char *memory;  /* the states, then what a reset copies to them */
    void *h[];     /* [sublayers] */
};

/* Sets h to the places of the sublayers in memory, or NULL, and length. SIZE_MAX: too large. */
static void lay_out(gru_states *states, const gru_stack *stack, int64_t N) {
    states->length = 0;
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            const size_t row =
                (size_t)stack->layers[k].sublayers[d]->config.hidden * gru_type_bytes(stack->state_type);
            states->h[stack->layers[k].first_sublayer + d] =
                states->memory ? states->memory + states->length : NULL;
            states->length = gru_size_plus(states->length, gru_size_lines(gru_size_times(row, (size_t)N)));
        }
}

/* Where a reset finds the states of a sublayer. */
static void *initial_of(const gru_states *states, int32_t sublayer) {
    return (char *)states->h[sublayer] + states->length;
}

static gru_status copy_learned(gru_states *states, const gru_stack *stack, int64_t N) {
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            const gru_stacked_layer *layer = &stack->layers[k];
            GRU_TRY(gru_stack_repeat_initial_state(layer, d, N, initial_of(states, layer->first_sublayer + d),
                                                   NULL));
        }
    return GRU_OK;
}

static gru_status set_initial(gru_states *states, const gru_stack *stack, int64_t N) {
    void *zeros = gru_host_allocate(states->context, states->length, "zero states");
    if (!zeros) return GRU_OUT_OF_MEMORY;
    memset(zeros, 0, states->length);
    gru_status status =
        gru_copy(states->context, states->memory + states->length, zeros, states->length, NULL);
    if (status == GRU_OK) status = copy_learned(states, stack, N);
    if (status == GRU_OK) status = gru_states_reset(states, NULL);
    if (status == GRU_OK) status = gru_wait(states->context, NULL);
    gru_host_free(states->context, zeros, states->length);
    return status;
}

static gru_status fill(gru_states *states, const gru_stack *stack, int64_t N) {
    void *memory;
    lay_out(states, stack, N);
    const size_t whole = gru_size_times(2, states->length);
    if (whole == SIZE_MAX)
        return gru_fail(GRU_BAD_ARGUMENT, "N is %lld, which needs more bytes than there are addresses",
                        (long long)N);
    GRU_TRY(gru_allocate(states->context, whole, &memory));
    states->memory = memory;
    lay_out(states, stack, N);
    return set_initial(states, stack, N);
}

gru_status gru_states_create(const gru_stack *stack, int64_t N, gru_states **states) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!states)
        return gru_fail(GRU_BAD_ARGUMENT, "states is NULL, expected a pointer to store the new states");
    if (N < 0) return gru_fail(GRU_BAD_ARGUMENT, "N is %lld, expected 0 or more", (long long)N);
    const size_t bytes = sizeof(gru_states) + (size_t)stack->sublayer_count * sizeof(void *);
    gru_states *result = gru_host_allocate(stack->context, bytes, "the states");
    if (!result) return GRU_OUT_OF_MEMORY;
    *result = (gru_states){.context = stack->context, .bytes = bytes};
    gru_context_retain(stack->context);
    const gru_status status = fill(result, stack, N);
    if (status == GRU_OK)
        *states = result;
    else
        gru_states_release(result);
    return status;
}

void gru_states_release(gru_states *states) {
    if (!states) return;
    gru_context *context = states->context;
    gru_free(context, states->memory);
    gru_host_free(context, states, states->bytes);
    gru_context_release(context);
}

const void *const *gru_states_initial(const gru_states *states) {
    return states ? (const void *const *)states->h : NULL;
}

void *const *gru_states_final(gru_states *states) {
    return states ? states->h : NULL;
}

gru_status gru_states_reset(gru_states *states, void *stream) {
    if (!states) return gru_fail(GRU_BAD_ARGUMENT, "states is NULL");
    return gru_copy(states->context, states->memory, states->memory + states->length, states->length, stream);
}
