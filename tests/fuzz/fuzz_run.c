/* fuzz_run.c: layers and runs of any content, in memory of exactly the size that they claim. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gru/gru.h"
#include "core/number.h"

/* ---- choices, read from the fuzzer's bytes ---- */

static const uint8_t *next, *last;

static uint8_t byte(void) {
    return next < last ? *next++ : 0;
}

static int rarely(void) {
    return byte() > 240;
}

static int64_t word(void) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | byte();
    return (int64_t)value;
}

/* Mostly 0 to limit - 1, rarely some other small or negative number. */
static int32_t pick(int32_t limit) {
    return rarely() ? (int8_t)byte() : byte() % limit;
}

/* Mostly 0 to 5, rarely negative or so large that no memory could hold it: between these is what memory could. */
static int64_t pick_count(void) {
    if (!rarely()) return byte() % 6;
    const int64_t any = word();
    return any < 0 || any >= INT64_MAX / 2 ? any : INT64_MAX - any % 1000;
}

/* Sets one of the reserved words of a struct. */
#define SPOIL(words) ((words)[byte() % (sizeof(words) / sizeof *(words))] = 1)

static float pick_float(void) {
    static const float numbers[] = {0, 0, 0, 0.5f, 1.0f / 6, 3, -1, NAN, INFINITY};
    return numbers[byte() % (sizeof numbers / sizeof *numbers)];
}

/* ---- memory: blocks of exactly the size claimed, between the address sanitizer's fences ---- */

enum { BLOCKS = 64, MOST = 1 << 18 };
typedef enum role { READ, WRITTEN, SCRATCH } role;

static struct block {
    uint8_t *data, *before; /* before: a copy */
    size_t bytes;
    role role;
} blocks[BLOCKS];
static int block_count;

static void *make_block(size_t bytes, role as) {
    struct block *b = &blocks[block_count];
    if (rarely() && block_count > 0) { /* an overlap, on purpose */
        b = &blocks[byte() % block_count];
        if (b->bytes >= bytes) {
            if (as != READ) b->role = b->role == READ ? as : b->role;
            return b->data;
        }
        b = &blocks[block_count];
    }
    void *data = NULL;
    if (block_count == BLOCKS || bytes > 64 * MOST || posix_memalign(&data, 64, bytes + !bytes) != 0) abort();
    const uint8_t seed = byte();
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)data)[i] = (uint8_t)(seed + i * i % 57);
    *b = (struct block){.data = data, .before = malloc(bytes + 1), .bytes = bytes, .role = as};
    memcpy(b->before, data, bytes);
    block_count++;
    return data;
}

/* After the caller filled a block by hand, and before the next call. */
static void remember_blocks(void) {
    for (int i = 0; i < block_count; i++) memcpy(blocks[i].before, blocks[i].data, blocks[i].bytes);
}

static void check_blocks(const char *call, gru_status status) {
    for (int i = 0; i < block_count; i++) {
        const struct block *b = &blocks[i];
        if (b->role == SCRATCH || (b->role == WRITTEN && status == GRU_OK)) continue;
        if (memcmp(b->before, b->data, b->bytes) == 0) continue;
        (void)fprintf(stderr, "%s (%s) changed a block of %zu bytes\n", call, gru_status_name(status),
                      b->bytes);
        abort();
    }
}

static void free_blocks(void) {
    for (int i = 0; i < block_count; i++) {
        free(blocks[i].data);
        free(blocks[i].before);
    }
    block_count = 0;
}

/* Bytes of rows with two strides; MOST + 1 if more than a block may have, -1 if more than any memory has. */
static int64_t extent(__int128 T, __int128 time_stride, __int128 N, __int128 batch_stride, __int128 row,
                      size_t element) {
    if (T <= 0 || N <= 0 || time_stride < 0 || batch_stride < 0) return 0;
    if (time_stride > INT64_MAX || batch_stride > INT64_MAX) return -1;
    const __int128 first = (T - 1) * time_stride, second = (N - 1) * batch_stride;
    if (first > INT64_MAX || second > INT64_MAX) return -1;
    const __int128 bytes = (first + second + row) * (__int128)element;
    return bytes > INT64_MAX ? -1 : bytes > MOST ? MOST + 1 : (int64_t)bytes;
}

/* What a call is made of. impossible: it claims memory that cannot exist, or a number that cannot be, so it must be
 * refused. */
static struct {
    gru_layer_config config;
    int64_t T, N;
    int ragged; /* views have `rows` rows, and no batch stride */
    int64_t rows;
    int impossible;
} now;

static gru_view make_ragged_view(int32_t row, size_t element, role as) {
    gru_view view = {NULL, 0, 0};
    if (byte() % 2) view.time_stride = row + pick(3);
    if (rarely()) view.batch_stride = pick(3);
    const int64_t bytes = extent(now.rows, view.time_stride ? view.time_stride : row, 1, 0, row, element);
    view.data = make_block(bytes < 0 || bytes > MOST ? 64 : (size_t)bytes, as);
    return view;
}

static gru_view make_view(int32_t row, size_t element, role as) {
    gru_view view = {NULL, 0, 0};
    if (byte() % 4 == 0) return view;
    if (now.ragged) return make_ragged_view(row, element, as);
    const int countable = now.T >= 0 && now.T < 64 && now.N >= 0 && now.N < 64;
    const uint8_t kind = countable ? byte() % 4 : 0;
    if (kind == 1) view.batch_stride = row + pick(3), view.time_stride = now.N * view.batch_stride + pick(3);
    if (kind == 2) view.time_stride = row + pick(3), view.batch_stride = now.T * view.time_stride + pick(3);
    if (kind == 3) view.time_stride = word(), view.batch_stride = word();
    for (int attempt = 0;; attempt++) {
        const __int128 batch_stride = view.batch_stride ? view.batch_stride : row;
        const __int128 time_stride = view.time_stride ? view.time_stride : now.N * batch_stride;
        const int64_t bytes = extent(now.T, time_stride, now.N, batch_stride, row, element);
        if (bytes == MOST + 1 && attempt == 0) {
            view.time_stride = view.batch_stride = 0;
            continue;
        }
        if (bytes < 0) now.impossible = 1;
        view.data = make_block(bytes < 0 ? 64 : (size_t)bytes, as);
        if (element > 1 && rarely()) view.data = (char *)view.data + 1, now.impossible = 1;
        return view;
    }
}

static gru_const_view make_input(int32_t row, size_t element) {
    const gru_view view = make_view(row, element, READ);
    return (gru_const_view){view.data, view.time_stride, view.batch_stride};
}

/* [rows][H] with a stride. */
static void *make_state(int64_t rows, int64_t *stride, role as) {
    const int32_t H = now.config.hidden;
    const size_t element = gru_type_bytes(now.config.state_type);
    *stride = 0;
    if (byte() % 3 == 0) return NULL;
    if (byte() % 2) *stride = rarely() ? word() : H + pick(3);
    int64_t bytes = extent(rows, *stride ? *stride : H, 1, 0, H, element);
    if (bytes == MOST + 1) {
        *stride = 0;
        bytes = extent(rows, H, 1, 0, H, element);
    }
    if (bytes < 0 || bytes > MOST) now.impossible = 1;
    return make_block(bytes < 0 || bytes > MOST ? 64 : (size_t)bytes, as);
}

/* [N] small numbers. */
static int32_t *make_indices(int32_t limit) {
    if (byte() % 3) return NULL;
    const int64_t count = now.N < 0 || now.N > 64 ? 16 : now.N;
    if (now.N > 64) now.impossible = 1;
    int32_t *indices = make_block((size_t)count * sizeof(int32_t), READ);
    for (int64_t i = 0; i < count; i++) indices[i] = pick(limit);
    return indices;
}

/* ---- a layer ---- */

static gru_context *context_of(uint8_t choice) {
    enum { CONTEXTS = 8 };
    static gru_context *contexts[2 * CONTEXTS];
    const int index = choice % (2 * CONTEXTS), engine = index % CONTEXTS;
    if (contexts[index]) return contexts[index];
    gru_context_config config = GRU_INIT;
    config.threads = 1;
    config.flags = index < CONTEXTS ? 0 : GRU_CHECK_WEIGHTS;
    config.engine = engine ? gru_engine_at(engine - 1) : NULL;
    if (gru_context_create(&config, &contexts[index]) != GRU_OK) {
        config.engine = NULL;
        if (gru_context_create(&config, &contexts[index]) != GRU_OK) abort();
    }
    return contexts[index];
}

/* One of the first functions, or of all. */
static int32_t pick_function(int32_t first) {
    return byte() % 2 ? pick(first)
                      : GRU_ACTIVATION_SIGMOID + pick(GRU_ACTIVATION_MISH + 1 - GRU_ACTIVATION_SIGMOID);
}

static void pick_config(void) {
    gru_layer_config *c = &now.config;
    *c = (gru_layer_config)GRU_INIT;
    c->inputs = pick(9), c->hidden = 1 + pick(17);
    c->reset_mode = pick(3), c->update = pick(2), c->direction = pick(2);
    c->gate = pick_function(2), c->candidate = pick_function(3);
    if (byte() % 4 == 0) c->gate_alpha = pick_float(), c->gate_beta = pick_float();
    if (byte() % 4 == 0) c->candidate_alpha = pick_float(), c->candidate_beta = pick_float();
    c->io_type = byte() % 2 ? GRU_F32 : pick(4);
    c->state_type = byte() % 2 ? GRU_F32 : c->io_type;
    c->weight_type = c->io_type == GRU_F64 ? GRU_F64 : pick(5);
    c->clip = pick_float(), c->hard_slope = pick_float();
    if (rarely()) SPOIL(c->reserved);
}

static const void *pick_array(size_t count, size_t element, int required) {
    if (required ? rarely() : byte() % 3 == 0) return NULL;
    return make_block(count * element, READ);
}

static gru_weights pick_weights(void) {
    gru_weights w = GRU_INIT;
    const size_t H = now.config.hidden > 0 ? (size_t)now.config.hidden : 0;
    const size_t I = now.config.inputs > 0 ? (size_t)now.config.inputs : 0;
    w.type = pick(5);
    const size_t element = gru_type_bytes(w.type), bias = w.type == GRU_INT8 ? sizeof(float) : element;
    w.W = pick_array(3 * H * I, element, 1);
    w.R = pick_array(3 * H * H, element, 1);
    w.bW = pick_array(3 * H, bias, 0);
    w.bR = pick_array(3 * H, bias, 0);
    if (w.type == GRU_INT8 || rarely()) {
        w.W_scale = pick_array(3 * H, sizeof(float), 1);
        w.R_scale = pick_array(3 * H, sizeof(float), 1);
    }
    if (rarely()) w.on_device = pick(3);
    return w;
}

/* ---- a run and its gradients ---- */

static void provide(void **memory, size_t *size, size_t bytes, role as) {
    *size = bytes > MOST * 16 ? 64 : bytes;
    *memory = make_block(*size, as);
    if (rarely() && *size > 0) --*size;
    if (rarely()) *memory = NULL;
}

/* Ascending, mostly by up to T. */
static const int64_t *make_offsets(void) {
    int64_t *offsets = make_block((size_t)(now.N + 1) * sizeof *offsets, READ);
    offsets[0] = rarely() ? pick(4) : 0;
    for (int64_t n = 0; n < now.N; n++) offsets[n + 1] = offsets[n] + pick((int32_t)now.T + 1);
    now.rows = offsets[now.N];
    return offsets;
}

static const int64_t *make_batch_sizes(void) {
    int64_t *sizes = make_block((size_t)now.T * sizeof *sizes, READ), most = now.N;
    now.rows = 0;
    for (int64_t t = 0; t < now.T; t++) {
        sizes[t] = byte() % 2 ? most : pick((int32_t)most + 1);
        if (sizes[t] >= 0 && sizes[t] < most) most = sizes[t];
        now.rows += sizes[t];
    }
    return sizes;
}

static const int64_t *make_batch_order(void) {
    if (byte() % 2) return NULL;
    int64_t *order = make_block((size_t)now.N * sizeof *order, READ);
    const int64_t turn = byte();
    for (int64_t i = 0; i < now.N; i++) order[i] = rarely() ? pick(6) : (i + turn) % now.N;
    return order;
}

/* Which steps each sequence has; before all views. */
static void pick_steps(gru_run *run) {
    const int countable = now.T >= 0 && now.T < 64 && now.N >= 0 && now.N < 64;
    const uint8_t form = byte() % 8;
    now.ragged = 0;
    run->absent_output = pick(2);
    if (form == 0) run->mask = make_input(1, 1);
    if (form == 1 && countable) run->offsets = make_offsets();
    if (form == 2 && countable) run->batch_sizes = make_batch_sizes(), run->batch_order = make_batch_order();
    if (form > 2 || rarely()) run->lengths = make_indices(6);
    now.ragged = run->offsets || run->batch_sizes;
    run->ragged_rows = now.ragged ? now.rows : rarely();
    if (rarely()) run->ragged_rows = word();
}

static gru_run pick_run(const gru_sizes *need) {
    gru_run run = GRU_INIT;
    const int32_t H = now.config.hidden, I = now.config.inputs;
    const size_t io = gru_type_bytes(now.config.io_type);
    run.T = now.T, run.N = now.N, run.mode = pick(3);
    pick_steps(&run);
    if (byte() % 4)
        run.x = make_input(I, io);
    else
        run.projected = make_input(3 * H, io);
    run.y = make_view(H, io, WRITTEN);
    run.slot_count = byte() % 8;
    run.h0_slots = make_indices(run.slot_count + 1);
    run.hT_slots = make_indices(run.slot_count + 1);
    run.h0 = make_state(run.h0_slots ? run.slot_count : now.N, &run.h0_stride, READ);
    run.hT = make_state(run.hT_slots ? run.slot_count : now.N, &run.hT_stride, WRITTEN);
    if (!run.h0_slots && !run.hT_slots && byte() % 16) run.slot_count = 0; /* else refused at once */
    if (now.N >= 0 && now.N < 64 && byte() % 2)
        run.h_restart = make_block((size_t)(now.N * H) * gru_type_bytes(now.config.state_type), READ);
    run.restart = make_input(1, 1);
    run.attention = make_input(1, now.config.io_type == GRU_F64 ? sizeof(double) : sizeof(float));
    provide(&run.workspace, &run.workspace_size, need->workspace, SCRATCH);
    provide(&run.reserve, &run.reserve_size, need->reserve, WRITTEN);
    if (rarely()) SPOIL(run.reserved);
    if (rarely()) run.stream = &now;
    return run;
}

static void *pick_gradient(size_t count, size_t element) {
    return byte() % 2 ? make_block(count * element, WRITTEN) : NULL;
}

/* A loss scale, where only finite numbers above 0 may be taken. */
static const float *make_scale(void) {
    float *scale = make_block(sizeof *scale, READ);
    const float value = pick_float();
    memcpy(scale, &value, sizeof value);
    if (!(value > 0 && value < INFINITY)) now.impossible = 1;
    return scale;
}

static gru_gradients pick_gradients(void) {
    gru_gradients g = GRU_INIT;
    const int32_t H = now.config.hidden, I = now.config.inputs;
    const size_t io = gru_type_bytes(now.config.io_type), exact = io == 8 ? sizeof(double) : sizeof(float);
    const size_t states = now.N > 0 && now.N < 64 ? (size_t)(now.N * H) : 0;
    const size_t state = gru_type_bytes(now.config.state_type);
    g.parts = byte() % 8;
    g.dy = make_input(H, io);
    g.dx = make_view(I, io, WRITTEN);
    if (byte() % 4 == 0) g.dprojected = make_view(3 * H, io, WRITTEN);
    if (byte() % 4 == 0) g.dattention = make_view(1, exact, WRITTEN);
    if (byte() % 2) g.dhT = make_block(states * state, READ);
    if (byte() % 2) g.loss_scale = make_scale();
    g.dh0 = pick_gradient(states, state);
    g.dh_restart = pick_gradient(states, state);
    g.dW = pick_gradient((size_t)(3 * H * I), exact);
    g.dR = pick_gradient((size_t)(3 * H * H), exact);
    g.dbW = pick_gradient((size_t)(3 * H), exact);
    g.dbR = pick_gradient((size_t)(3 * H), exact);
    if (rarely()) SPOIL(g.reserved), now.impossible = 1;
    return g;
}

static void check_status(const char *call, gru_status status) {
    check_blocks(call, status);
    if (status == GRU_OK && now.impossible) {
        (void)fprintf(stderr, "%s took what cannot be, T %lld, N %lld\n", call, (long long)now.T,
                      (long long)now.N);
        abort();
    }
    if (status != GRU_OK && !gru_last_error()[0]) abort();
}

/* Both parts at once or apart, twice or not; the reserve rarely as forward left it. */
static void use_backward(const gru_layer *layer, gru_run *run, const gru_sizes *need) {
    for (int i = 0; i < block_count; i++)
        if (blocks[i].role == WRITTEN) blocks[i].role = READ; /* the reserve above all */
    provide(&run->workspace, &run->workspace_size, need->backward_workspace, SCRATCH);
    if (rarely() && run->reserve && run->reserve_size > 0)
        ((uint8_t *)run->reserve)[byte() % run->reserve_size] ^= (uint8_t)(1 << byte() % 8);
    gru_gradients gradients = pick_gradients();
    remember_blocks();
    const gru_status status = gru_layer_backward(layer, run, &gradients);
    check_status("gru_layer_backward", status);
    if (status != GRU_OK) return;
    gradients.parts = byte() % 8;
    remember_blocks();
    check_status("gru_layer_backward again", gru_layer_backward(layer, run, &gradients));
}

static void use(gru_layer *layer, const gru_weights *weights) {
    gru_sizes need = GRU_INIT;
    now.T = pick_count(), now.N = pick_count();
    if (gru_layer_sizes(layer, now.T, now.N, &need) != GRU_OK) now.impossible = 1;
    gru_run run = pick_run(&need);
    remember_blocks();
    const gru_status status = gru_layer_forward(layer, &run);
    check_status("gru_layer_forward", status);
    (void)gru_engine_reasons(layer, &run);
    if (status != GRU_OK || run.mode == GRU_INFERENCE) return;
    if (rarely()) check_status("gru_layer_update", gru_layer_update(layer, weights, NULL));
    use_backward(layer, &run, &need);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    next = input, last = input + size;
    now.impossible = now.ragged = 0;
    gru_context *context = context_of(byte());
    gru_layer *layer = NULL;
    pick_config();
    const gru_weights weights = pick_weights();
    remember_blocks();
    const gru_status status = gru_layer_create(context, &now.config, &weights, &layer);
    if ((status == GRU_OK) != (layer != NULL)) abort();
    check_status("gru_layer_create", status);
    if (layer) use(layer, &weights);
    gru_layer_release(layer);
    free_blocks();
    return 0;
}
