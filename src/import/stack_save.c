/* stack_save.c: saves the weights that a stack's layers hold, and updates them from a file. */
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/check_range.h"
#include "core/error.h"
#include "core/number.h"
#include "safetensors.h"
#include "stack/stack_layout.h"

/* ---- what a stack holds ---- */

/* A description of a stack, with memory for its numbers. */
typedef struct holding {
    gru_stack_config config;
    gru_stack_layer *layers;
    gru_arena numbers; /* of all sublayers */
} holding;

/* Of biases and initial states, and of all weights but int8. */
static int32_t number_type(const gru_stack *stack) {
    return stack->io_type == GRU_F64 ? GRU_F64 : GRU_F32;
}

static void *take(gru_arena *arena, size_t count, int32_t type) {
    return gru_arena_take(arena, gru_size_times(count, gru_type_bytes(type)));
}

/* Places for a sublayer's weights. */
static gru_weights_out take_weights(gru_arena *arena, const gru_layer_config *config, int32_t type) {
    const size_t H = (size_t)config->hidden, I = (size_t)config->inputs;
    const int int8 = config->weight_type == GRU_INT8;
    gru_weights_out out = {.type = int8 ? GRU_INT8 : type};
    out.W = take(arena, 3 * H * I, out.type), out.R = take(arena, 3 * H * H, out.type);
    out.bW = take(arena, 3 * H, type), out.bR = take(arena, 3 * H, type);
    if (int8) out.W_scale = take(arena, 3 * H, GRU_F32), out.R_scale = take(arena, 3 * H, GRU_F32);
    return out;
}

static size_t count_bytes(const gru_stack *stack) {
    gru_arena arena = {NULL, 0};
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            const gru_layer_config *config = &stack->layers[k].sublayers[d]->config;
            (void)take_weights(&arena, config, number_type(stack));
            (void)take(&arena, (size_t)config->hidden, number_type(stack));
        }
    return arena.used;
}

static gru_status read_initial_state(const gru_stacked_layer *layer, int32_t d, int32_t type, void *to,
                                     void *stream) {
    const gru_layer *sublayer = layer->sublayers[d];
    const size_t H = (size_t)sublayer->config.hidden;
    const int32_t from = sublayer->config.state_type;
    void *raw = malloc(H * gru_type_bytes(from));
    if (!raw) return gru_fail(GRU_OUT_OF_MEMORY, "no memory for an initial state of %zu numbers", H);
    gru_status status =
        gru_copy(sublayer->context, raw, layer->initial_states[d], H * gru_type_bytes(from), stream);
    if (status == GRU_OK) status = gru_wait(sublayer->context, stream);
    for (size_t i = 0; i < H && status == GRU_OK; i++)
        gru_store_double(to, type, i, gru_load_double(raw, from, i));
    free(raw);
    return status;
}

static gru_status read_sublayer(const gru_stacked_layer *layer, int32_t d, int32_t type, holding *h,
                                gru_stack_layer *to, void *stream) {
    const gru_layer *sublayer = layer->sublayers[d];
    const gru_weights_out out = take_weights(&h->numbers, &sublayer->config, type);
    void *state = take(&h->numbers, (size_t)sublayer->config.hidden, type);
    GRU_TRY(gru_layer_read(sublayer, &out, stream));
    to->weights[d] = (gru_weights){.W = out.W,
                                   .R = out.R,
                                   .bW = out.bW,
                                   .bR = out.bR,
                                   .type = out.type,
                                   .W_scale = out.W_scale,
                                   .R_scale = out.R_scale};
    if (!layer->initial_states[d]) return GRU_OK;
    to->h0[d] = state;
    return read_initial_state(layer, d, type, state, stream);
}

static gru_status read_layers(const gru_stack *stack, holding *h, void *stream) {
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++)
            GRU_TRY(read_sublayer(&stack->layers[k], d, number_type(stack), h, &h->layers[k], stream));
    return GRU_OK;
}

static gru_status hold(const gru_stack *stack, holding *h, void *stream) {
    const size_t bytes = count_bytes(stack);
    h->layers = stack->count > 0 ? calloc((size_t)stack->count, sizeof *h->layers) : NULL;
    h->numbers.base = bytes < SIZE_MAX ? malloc(bytes) : NULL;
    if (!h->layers || !h->numbers.base)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the weights of %d layers: %zu bytes", stack->count,
                        bytes);
    GRU_TRY(gru_stack_describe(stack, &h->config, h->layers));
    h->config.layers = h->layers;
    return read_layers(stack, h, stream);
}

gru_status gru_stack_save(const char *path, const gru_stack *stack, const char *prefix,
                          const gru_named_tensor *tensors, int32_t count, void *stream) {
    holding h = {.layers = NULL};
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (count < 0) return gru_fail(GRU_BAD_ARGUMENT, "count is %d, expected 0 or more", count);
    if (count > 0 && !tensors) return gru_fail(GRU_BAD_ARGUMENT, "tensors is NULL, expected [%d]", count);
    gru_status status = hold(stack, &h, stream);
    if (status == GRU_OK) status = gru_file_save_all(path, &h.config, prefix, tensors, count);
    free(h.layers);
    free(h.numbers.base);
    return status;
}

/* ---- from a file ---- */

static int same_variant(const gru_layer_config *a, const gru_layer_config *b) {
    gru_layer_config c = *b; /* in our number types */
    c.io_type = a->io_type, c.state_type = a->state_type, c.weight_type = a->weight_type;
    return gru_stack_same_config(a, &c);
}

/* Whether a stack in host memory has learned another initial state than zeros, which stand in files for none. */
static int starts_elsewhere(const gru_stacked_layer *layer, int32_t d) {
    const gru_layer_config *config = &layer->sublayers[d]->config;
    for (size_t i = 0; layer->initial_states[d] && i < (size_t)config->hidden; i++)
        if (gru_load_double(layer->initial_states[d], config->state_type, i) != 0) return 1;
    return 0;
}

/* Whether both stacks have the same layers with the same sublayers. One layer of two directions has as many sublayers as two
 * layers of one. */
static gru_status check_alike(const gru_stack *stack, const gru_stack *loaded) {
    if (stack->sublayer_count != loaded->sublayer_count)
        return gru_fail(GRU_BAD_DATA, "the file has %d sublayers, expected %d", loaded->sublayer_count,
                        stack->sublayer_count);
    if (stack->count != loaded->count)
        return gru_fail(GRU_BAD_DATA, "the file has %d layers, expected %d", loaded->count, stack->count);
    for (int32_t k = 0; k < stack->count; k++)
        if (stack->layers[k].directions != loaded->layers[k].directions)
            return gru_fail(GRU_BAD_DATA, "layer %d of the file has %d directions, expected %d", k,
                            loaded->layers[k].directions, stack->layers[k].directions);
    for (int32_t k = 0; k < stack->sublayer_count; k++) {
        gru_layer_config ours, theirs;
        GRU_TRY(gru_stack_sublayer(stack, k, &ours, NULL));
        GRU_TRY(gru_stack_sublayer(loaded, k, &theirs, NULL));
        if (ours.inputs != theirs.inputs || ours.hidden != theirs.hidden)
            return gru_fail(GRU_BAD_DATA,
                            "sublayer %d of the file has %d inputs and %d units, expected %d and %d", k,
                            theirs.inputs, theirs.hidden, ours.inputs, ours.hidden);
        if (!same_variant(&ours, &theirs))
            return gru_fail(GRU_BAD_DATA, "sublayer %d of the file has another direction or variant", k);
    }
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++)
            if (!stack->layers[k].initial_states[d] && starts_elsewhere(&loaded->layers[k], d))
                return gru_fail(GRU_BAD_DATA,
                                "layer %d of the file has a learned initial state, and the stack has none",
                                k);
    return GRU_OK;
}

/* What replaces the numbers of a stack. */
typedef struct replacement {
    holding h;            /* of the file */
    gru_weights *weights; /* [sublayers] */
    void *state;          /* room for the largest initial state */
} replacement;

static gru_status check_initial_state(const gru_stacked_layer *layer, int32_t d, const void *from,
                                      int32_t type) {
    const gru_layer_config *config = &layer->sublayers[d]->config;
    if (!layer->initial_states[d]) return GRU_OK;
    return gru_check_range("h0", from, type, (size_t)config->hidden, config->state_type);
}

/* The learned initial state of direction d, from numbers of this type; NULL: zeros. */
static gru_status update_initial_state(const gru_stacked_layer *layer, int32_t d, const void *from,
                                       int32_t type, void *rounded, void *stream) {
    const gru_layer *sublayer = layer->sublayers[d];
    const size_t H = (size_t)sublayer->config.hidden;
    const int32_t to = sublayer->config.state_type;
    if (!layer->initial_states[d]) return GRU_OK;
    for (size_t i = 0; i < H; i++)
        gru_store_double(rounded, to, i, from ? gru_load_double(from, type, i) : 0);
    GRU_TRY(gru_copy(sublayer->context, layer->initial_states[d], rounded, H * gru_type_bytes(to), stream));
    return gru_wait(sublayer->context, stream); /* the copy ends here */
}

/* Everything that fails without the device fails here, before a number is replaced. */
static gru_status prepare(const gru_stack *stack, const gru_stack *loaded, replacement *r) {
    size_t most = 1;
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            const size_t H = (size_t)stack->layers[k].sublayers[d]->config.hidden;
            if (H > most) most = H;
        }
    r->weights = stack->sublayer_count > 0 ? calloc((size_t)stack->sublayer_count, sizeof *r->weights) : NULL;
    r->state = malloc(most * sizeof(double));
    if (!r->weights || !r->state)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for %d sublayers", stack->sublayer_count);
    GRU_TRY(hold(loaded, &r->h, NULL));
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            r->weights[stack->layers[k].first_sublayer + d] = r->h.layers[k].weights[d];
            GRU_TRY(check_initial_state(&stack->layers[k], d, r->h.layers[k].h0[d], number_type(loaded)));
        }
    return GRU_OK;
}

static gru_status replace(gru_stack *stack, const replacement *r, int32_t type, void *stream) {
    GRU_TRY(gru_stack_update(stack, r->weights, stream));
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++)
            GRU_TRY(update_initial_state(&stack->layers[k], d, r->h.layers[k].h0[d], type, r->state, stream));
    return gru_wait(stack->context, stream); /* the copies end here */
}

static gru_status update_from(gru_stack *stack, const gru_stack *loaded, void *stream) {
    replacement r = {.weights = NULL};
    gru_status status = prepare(stack, loaded, &r);
    if (status == GRU_OK) status = replace(stack, &r, number_type(loaded), stream);
    free(r.h.layers);
    free(r.h.numbers.base);
    free(r.weights);
    free(r.state);
    return status;
}

/* Whether all layers are of int8 weights. */
static int is_int8(const gru_stack *stack) {
    int32_t count = 0;
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++)
            count += stack->layers[k].sublayers[d]->config.weight_type == GRU_INT8;
    return count == stack->sublayer_count;
}

/* By way of a stack in host memory: in f32 or f64, which holds every stored number of f32 and 16 bits as it is, or in int8,
 * which keeps stored integers. */
gru_status gru_stack_update_from_file(gru_stack *stack, const gru_file *file, const char *prefix,
                                      void *stream) {
    const gru_context_config cpu = {.backend = GRU_BACKEND_CPU, .threads = 1};
    gru_context *context = NULL;
    gru_stack *loaded = NULL;
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    const int32_t type = number_type(stack);
    const gru_load_options options = {.prefix = prefix,
                                      .io_type = type,
                                      .state_type = type,
                                      .weight_type = is_int8(stack) ? GRU_INT8 : type};
    gru_status status = gru_context_create(&cpu, &context);
    if (status == GRU_OK) status = gru_stack_load(context, file, &options, &loaded);
    if (status == GRU_OK) status = check_alike(stack, loaded);
    if (status == GRU_OK) status = update_from(stack, loaded, stream);
    gru_stack_release(loaded);
    gru_context_release(context);
    return status;
}
