/* stream.c: keeps the states of a layer or stack and steps it, without looking up or checking again what stays the same. */
#include "gru/stream.h"

#include <stdatomic.h>
#include <string.h>

#include "api/check_view.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/number.h"
#include "stack_run.h"

/* A sublayer of the stream. states[0] is read by the next step. Only steps without a plan write another place than they
 * read. */
typedef struct stream_layer {
    gru_step step;
    void *states[2]; /* [N][H], in whole blocks of GRU_STEP_UNITS */
    void *first;     /* [N][H] what a reset copies to the states */
    size_t bytes;    /* of [N][H] */
    size_t row;      /* of [H] */
} stream_layer;

struct gru_stream {
    gru_context *context;
    atomic_int busy;
    int32_t prepared; /* every layer has a gru_step; else calls are planned each time */
    int32_t count;
    size_t x_bytes, y_bytes, unaligned; /* of an address: the bits that must be zero */
    gru_stack_call call;                /* of the planned way; x and y change */
    gru_stack_run run;
    void *memory;    /* the states of all layers, then the workspace */
    size_t bytes;    /* of this struct with its arrays */
    const void **h0; /* [count] */
    void **hT;
    const gru_stack *stack; /* the caller's, or the one below */
    gru_stack *own;         /* makes a stack of a layer; NULL: there is one */
    stream_layer layers[];  /* [count] */
};

/* ---- creation ---- */

static gru_status check_config(const gru_stream_config *config, const gru_context *context) {
    if (config->rows < 0)
        return gru_fail(GRU_BAD_ARGUMENT, "config.rows is %lld, expected 0 (for 1) or more",
                        (long long)config->rows);
    if (config->queue && context->config.backend == GRU_BACKEND_CPU)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.queue is %p, but the context is a CPU, which has none: NULL", config->queue);
    return gru_check_reserved("config", config->reserved, 4);
}

static gru_status check_layers(const gru_stack *stack) {
    if (!stack->layers[0].sublayers[0]->packed)
        return gru_fail(GRU_UNSUPPORTED,
                        "layer was created without weights, and a stream has no packed ones");
    if (stack->layers[0].inputs == 0)
        return gru_fail(GRU_UNSUPPORTED, "the first layer has 0 inputs, and a stream has no projected input");
    for (int32_t k = 0; k < stack->count; k++) {
        const gru_stacked_layer *layer = &stack->layers[k];
        if (layer->directions == 2 || layer->sublayers[0]->config.direction == GRU_REVERSE)
            return gru_fail(GRU_UNSUPPORTED,
                            "layer %d has a reverse direction, which starts from the last step: it cannot be "
                            "streamed",
                            k);
    }
    return GRU_OK;
}

/* Bytes of a sublayer's states, in whole blocks. */
static size_t padded_bytes(const gru_layer *layer, int64_t rows) {
    const size_t units = gru_size_times((size_t)rows, (size_t)layer->config.hidden);
    const size_t blocks = gru_size_plus(units, GRU_STEP_UNITS - 1) / GRU_STEP_UNITS;
    return gru_size_lines(gru_size_times(blocks, GRU_STEP_UNITS * gru_type_bytes(layer->config.state_type)));
}

/* All layers' steps; 0: there is a layer that only plans run. */
static int prepare_steps(gru_stream *stream, int64_t rows) {
    if (rows != 1) return 0;
    for (int32_t k = 0; k < stream->count; k++) {
        const gru_layer *layer = stream->stack->layers[k].sublayers[0];
        const gru_engine *engine = layer->engines[0];
        if (!engine->prepare_step || !engine->prepare_step(engine, layer, &stream->layers[k].step)) return 0;
    }
    return 1;
}

/* Divides the memory, or with NULL measures it. */
static size_t lay_out(gru_stream *stream, int64_t rows, size_t workspace, char *memory) {
    size_t used = 0;
    for (int32_t k = 0; k < stream->count; k++) {
        stream_layer *layer = &stream->layers[k];
        const gru_layer *of = stream->stack->layers[k].sublayers[0];
        const size_t bytes = padded_bytes(of, rows);
        void **const places[] = {&layer->first, &layer->states[0], &layer->states[1]};
        layer->row = (size_t)of->config.hidden * gru_type_bytes(of->config.state_type);
        layer->bytes = gru_size_times(layer->row, (size_t)rows);
        for (int i = 0; i < 2 + stream->prepared; i++) {
            *places[i] = memory ? memory + used : NULL;
            used = gru_size_plus(used, bytes);
        }
    }
    stream->run.data.workspace = memory ? memory + used : NULL;
    return gru_size_plus(used, workspace);
}

/* Memory for states and workspace; all states are zeros. */
static gru_status allocate(gru_stream *stream, int64_t rows) {
    gru_sizes sizes;
    const gru_status sized =
        gru_stack_sizes(stream->stack, 1, rows, &sizes); /* refuses nothing but the rows */
    const size_t bytes = sized == GRU_OK ? lay_out(stream, rows, sizes.workspace, NULL) : SIZE_MAX;
    if (bytes == SIZE_MAX)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.rows is %lld, which needs more bytes than there are addresses",
                        (long long)rows);
    const size_t states = bytes - sizes.workspace;
    GRU_TRY(gru_allocate(stream->context, bytes, &stream->memory));
    (void)lay_out(stream, rows, sizes.workspace, stream->memory);
    stream->run.data.workspace_size = sizes.workspace;
    void *zeros = gru_host_allocate(stream->context, states, "the states of a stream");
    if (!zeros) return GRU_OUT_OF_MEMORY;
    memset(zeros, 0, states);
    gru_status status = gru_copy(stream->context, stream->memory, zeros, states, stream->run.data.stream);
    if (status == GRU_OK) status = gru_wait(stream->context, stream->run.data.stream);
    gru_host_free(stream->context, zeros, states);
    return status;
}

/* The call of the planned way: what the checks of gru_stack_forward would accept and fill in. */
static gru_status fill_call(gru_stream *stream, int64_t rows) {
    const gru_stack *stack = stream->stack;
    gru_run *data = &stream->run.data;
    const int64_t inputs = stack->layers[0].inputs, outputs = stack->layers[stack->count - 1].outputs;
    data->T = 1, data->N = rows;
    data->x.time_stride = rows * inputs, data->x.batch_stride = inputs;
    data->y.time_stride = rows * outputs, data->y.batch_stride = outputs;
    for (int32_t k = 0; k < stream->count; k++) stream->h0[k] = stream->hT[k] = stream->layers[k].states[0];
    stream->run.h0 = stream->h0, stream->run.hT = stream->hT;
    stream->call = (gru_stack_call){.stack = stack, .run = &stream->run, .data = *data};
    return gru_stack_layout_of(stack, 1, rows, GRU_INFERENCE, &stream->call.layout);
}

static gru_status set_initial_states(gru_stream *stream, int64_t rows) {
    void *queue = stream->run.data.stream;
    for (int32_t k = 0; k < stream->count; k++) {
        const stream_layer *layer = &stream->layers[k];
        GRU_TRY(gru_stack_repeat_initial_state(&stream->stack->layers[k], 0, rows, layer->first, queue));
        GRU_TRY(gru_copy(stream->context, layer->states[0], layer->first, layer->bytes, queue));
    }
    return gru_wait(stream->context, queue);
}

static gru_status fill(gru_stream *stream, const gru_stream_config *config) {
    const gru_stack *stack = stream->stack;
    const int64_t rows = config->rows ? config->rows : 1;
    const size_t io = gru_type_bytes(stack->io_type);
    stream->run.data.stream = config->queue;
    stream->x_bytes = gru_size_times((size_t)rows, (size_t)stack->layers[0].inputs * io);
    stream->y_bytes = gru_size_times((size_t)rows, (size_t)stack->layers[stack->count - 1].outputs * io);
    stream->unaligned = io - 1;
    stream->prepared = prepare_steps(stream, rows);
    GRU_TRY(allocate(stream, rows));
    GRU_TRY(set_initial_states(stream, rows));
    return fill_call(stream, rows);
}

/* own: released with the stream. */
static gru_status create(const gru_stack *stack, gru_stack *own, const gru_stream_config *config,
                         gru_stream **stream) {
    static const gru_stream_config defaults = GRU_INIT;
    gru_context *context = stack->context;
    if (!config) config = &defaults;
    GRU_TRY(check_config(config, context));
    GRU_TRY(check_layers(stack));
    const size_t pointers = 2 * sizeof(void *) * (size_t)stack->count;
    const size_t bytes = sizeof(gru_stream) + (size_t)stack->count * sizeof(stream_layer) + pointers;
    gru_stream *result = gru_host_allocate(context, bytes, "the stream");
    if (!result) return GRU_OUT_OF_MEMORY;
    memset(result, 0, bytes);
    result->context = context;
    result->bytes = bytes;
    result->stack = stack;
    result->count = stack->count;
    result->h0 = (const void **)(void *)&result->layers[stack->count];
    result->hT = (void **)(void *)&result->h0[stack->count];
    gru_context_retain(context);
    const gru_status status = fill(result, config);
    if (status != GRU_OK) {
        gru_stream_release(result);
        return status;
    }
    result->own = own;
    *stream = result;
    return GRU_OK;
}

gru_status gru_stream_create_stack(const gru_stack *stack, const gru_stream_config *config,
                                   gru_stream **stream) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!stream)
        return gru_fail(GRU_BAD_ARGUMENT, "stream is NULL, expected a pointer to store the new stream");
    return create(stack, NULL, config, stream);
}

/* A stack of this one layer, which stays the caller's. */
static gru_stack *wrap(const gru_layer *layer, size_t bytes) {
    gru_stack *stack = gru_host_allocate(layer->context, bytes, "a stream of a layer");
    if (!stack) return NULL;
    memset(stack, 0, bytes);
    stack->context = layer->context;
    stack->bytes = bytes;
    stack->count = stack->sublayer_count = 1;
    stack->io_type = layer->config.io_type;
    stack->state_type = layer->config.state_type;
    stack->layers[0] = (gru_stacked_layer){.sublayers = {(gru_layer *)(uintptr_t)layer},
                                           .directions = 1,
                                           .alike = 1,
                                           .inputs = layer->config.inputs,
                                           .outputs = layer->config.hidden};
    return stack;
}

gru_status gru_stream_create(const gru_layer *layer, const gru_stream_config *config, gru_stream **stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!stream)
        return gru_fail(GRU_BAD_ARGUMENT, "stream is NULL, expected a pointer to store the new stream");
    const size_t bytes = sizeof(gru_stack) + sizeof(gru_stacked_layer);
    gru_stack *own = wrap(layer, bytes);
    if (!own) return GRU_OUT_OF_MEMORY;
    const gru_status status = create(own, own, config, stream);
    if (status != GRU_OK) gru_host_free(layer->context, own, bytes);
    return status;
}

void gru_stream_release(gru_stream *stream) {
    if (!stream) return;
    gru_context *context = stream->context;
    if (stream->own) gru_host_free(context, stream->own, stream->own->bytes);
    gru_free(context, stream->memory);
    gru_host_free(context, stream, stream->bytes);
    gru_context_release(context);
}

/* ---- steps ---- */

/* Finds most threads that meet, without the price of a locked instruction in each step. */
static int enter(gru_stream *stream) {
    if (atomic_load_explicit(&stream->busy, memory_order_relaxed)) return 0;
    atomic_store_explicit(&stream->busy, 1, memory_order_relaxed);
    return 1;
}

static void leave(gru_stream *stream) {
    atomic_store_explicit(&stream->busy, 0, memory_order_relaxed);
}

static gru_status met(void) {
    return gru_fail(GRU_BAD_ARGUMENT, "stream is in use by another thread, expected one call at a time");
}

static int data_is_good(const gru_stream *stream, const void *x, const void *y) {
    const uintptr_t a = (uintptr_t)x, b = (uintptr_t)y;
    return x && !((a | b) & stream->unaligned) &&
           (!y || a + stream->x_bytes <= b || b + stream->y_bytes <= a);
}

static __attribute__((cold)) gru_status explain(const gru_stream *stream, const void *x, const void *y) {
    if (!x) return gru_fail(GRU_BAD_ARGUMENT, "x is NULL, expected %zu bytes", stream->x_bytes);
    GRU_TRY(gru_check_aligned("x", x, stream->unaligned + 1));
    GRU_TRY(gru_check_aligned("y", y, stream->unaligned + 1));
    return gru_fail(GRU_BAD_ARGUMENT, "x (%p, %zu bytes) overlaps y (%p, %zu bytes), which is written", x,
                    stream->x_bytes, y, stream->y_bytes);
}

static gru_status check_reachable(const gru_stream *stream, const void *x, const void *y) {
    const gru_backend *backend = stream->context->backend;
    if (!backend->check_buffer) return GRU_OK;
    GRU_TRY(backend->check_buffer(stream->context, "x", x));
    return backend->check_buffer(stream->context, "y", y);
}

static gru_status planned_step(gru_stream *stream, const void *x, void *y) {
    GRU_TRY(check_reachable(stream, x, y));
    stream->call.data.x.data = x;
    stream->call.data.y.data = y;
    return gru_stack_run_forward(&stream->call);
}

/* Each layer reads the state that the layer below has just made. */
static void prepared_step(gru_stream *stream, const void *x, void *y) {
    stream_layer *const last = stream->layers + stream->count - 1;
    for (stream_layer *layer = stream->layers; layer <= last; layer++) {
        void *h = layer->states[0], *next = layer->states[1];
        layer->states[0] = next, layer->states[1] = h;
        layer->step.run(layer->step.own, x, h, next, layer == last ? y : NULL, stream->run.data.workspace);
        x = next;
    }
}

gru_status gru_stream_step(gru_stream *stream, const void *x, void *y) {
    gru_status status = GRU_OK;
    if (!stream) return gru_fail(GRU_BAD_ARGUMENT, "stream is NULL");
    if (!data_is_good(stream, x, y)) return explain(stream, x, y);
    if (!enter(stream)) return met();
    if (stream->prepared)
        prepared_step(stream, x, y);
    else
        status = planned_step(stream, x, y);
    leave(stream);
    return status;
}

/* ---- states ---- */

size_t gru_stream_state_bytes(const gru_stream *stream) {
    size_t bytes = 0;
    for (int32_t k = 0; stream && k < stream->count; k++) bytes += stream->layers[k].bytes;
    return bytes;
}

static gru_status copy(gru_stream *stream, void *to, const void *from, size_t bytes) {
    return gru_copy(stream->context, to, from, bytes, stream->run.data.stream);
}

static gru_status reset_rows(gru_stream *stream, int64_t row) {
    for (int32_t k = 0; k < stream->count; k++) {
        const stream_layer *layer = &stream->layers[k];
        const size_t at = row >= 0 ? (size_t)row * layer->row : 0;
        GRU_TRY(copy(stream, (char *)layer->states[0] + at, (const char *)layer->first + at,
                     row >= 0 ? layer->row : layer->bytes));
    }
    return GRU_OK;
}

gru_status gru_stream_reset(gru_stream *stream, int64_t row) {
    if (!stream) return gru_fail(GRU_BAD_ARGUMENT, "stream is NULL");
    if (row < -1 || row >= stream->run.data.N)
        return gru_fail(GRU_BAD_ARGUMENT, "row is %lld, expected -1 (all) to %lld", (long long)row,
                        (long long)stream->run.data.N - 1);
    if (!enter(stream)) return met();
    const gru_status status = reset_rows(stream, row);
    leave(stream);
    return status;
}

/* To or from `state`, whichever is not NULL. */
static gru_status copy_states(gru_stream *stream, char *to, const char *from) {
    gru_status status = GRU_OK;
    if (!stream) return gru_fail(GRU_BAD_ARGUMENT, "stream is NULL");
    if (!to && !from)
        return gru_fail(GRU_BAD_ARGUMENT, "state is NULL, expected %zu bytes",
                        gru_stream_state_bytes(stream));
    if (!enter(stream)) return met();
    size_t at = 0;
    for (int32_t k = 0; k < stream->count && status == GRU_OK; k++) {
        const stream_layer *layer = &stream->layers[k];
        status = to ? copy(stream, to + at, layer->states[0], layer->bytes)
                    : copy(stream, layer->states[0], from + at, layer->bytes);
        at += layer->bytes;
    }
    leave(stream);
    return status;
}

gru_status gru_stream_read_state(gru_stream *stream, void *state) {
    return copy_states(stream, state, NULL);
}

gru_status gru_stream_write_state(gru_stream *stream, const void *state) {
    return copy_states(stream, NULL, state);
}
