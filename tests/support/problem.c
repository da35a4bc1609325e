/* problem.c: makes the numbers of a call, each from the seed, its tensor and its place. */
#include "problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/layout.h"

enum { X, PROJECTED, H0, H_RESET, ATTENTION, SEGMENT, LENGTH, W, R, BW, BR, DY, DHT, SCALE }; /* tensors */

static void *own(problem *p, size_t bytes) {
    void *memory = tester_allocate(bytes);
    REQUIRE(p->buffer_count < PROBLEM_BUFFERS, "a problem has at most %d buffers", PROBLEM_BUFFERS);
    p->buffers[p->buffer_count].data = memory;
    p->buffers[p->buffer_count++].bytes = bytes;
    return memory;
}

static double number(const problem *p, int tensor, int64_t t, int64_t n, int64_t i) {
    const uint64_t place = (uint64_t)(t + p->t0) << 44 | (uint64_t)(n + p->n0) << 28 | (uint64_t)i;
    return tester_uniform(p->seed * 64 + (uint64_t)tensor, place);
}

static double rounded(int32_t type, double value) {
    double place;
    gru_store_double(&place, type, 0, value);
    return gru_load_double(&place, type, 0);
}

/* ---- tensors of [T][N] rows ---- */

typedef struct rows {
    char *data; /* the first element */
    int64_t time_stride, batch_stride;
} rows;

/* Dense time-major, or batch-major with padding behind each row and each sequence and one element before the first. */
static rows make_rows(problem *p, int64_t row, size_t element) {
    const int64_t T = p->shape.T, N = p->shape.N;
    rows v = {NULL, 0, 0};
    size_t count = (size_t)(T * N * row), first = 0;
    if (p->options & PROBLEM_STRIDES) {
        v.time_stride = row + 3;
        v.batch_stride = T * v.time_stride + 5;
        count = (size_t)(N * v.batch_stride) + 1;
        first = 1;
    }
    v.data = (char *)own(p, count * element) + first * element;
    return v;
}

static size_t rows_index(const problem *p, const rows *v, int64_t row, int64_t t, int64_t n) {
    const int64_t batch = v->batch_stride ? v->batch_stride : row;
    const int64_t time = v->time_stride ? v->time_stride : p->shape.N * batch;
    return gru_view_index(time, batch, t, n);
}

/* range 0: attention, numbers in 0..1. */
static gru_const_view fill_rows(problem *p, int tensor, int64_t row, int32_t given, int32_t held,
                                double range) {
    rows v = make_rows(p, row, gru_type_bytes(held));
    for (int64_t t = 0; t < p->shape.T; t++)
        for (int64_t n = 0; n < p->shape.N; n++)
            for (int64_t i = 0; i < row; i++) {
                const double u = number(p, tensor, t, n, i);
                gru_store_double(v.data, held, rows_index(p, &v, row, t, n) + (size_t)i,
                                 rounded(given, range != 0 ? u * range : 0.5 * (u + 1)));
            }
    return (gru_const_view){v.data, v.time_stride, v.batch_stride};
}

static gru_const_view fill_segments(problem *p) {
    static const uint8_t starts[] = {1, 2, 128, 255}; /* any non-zero byte */
    rows v = make_rows(p, 1, 1);
    for (int64_t t = 0; t < p->shape.T; t++)
        for (int64_t n = 0; n < p->shape.N; n++) {
            const double u = number(p, SEGMENT, t, n, 0);
            v.data[rows_index(p, &v, 1, t, n)] = (char)(u < -0.5 ? starts[(int)(-u * 64) % 4] : 0);
        }
    return (gru_const_view){v.data, v.time_stride, v.batch_stride};
}

/* ---- states, lengths, slots ---- */

static int64_t state_rows(const problem *p) {
    return p->options & PROBLEM_SLOTS ? 2 * p->shape.N + 3 : p->shape.N;
}

static int64_t state_stride(const problem *p) {
    return p->options & PROBLEM_STRIDES ? p->shape.H + 3 : p->shape.H;
}

static void *make_states(problem *p) {
    return own(p, (size_t)(state_rows(p) * state_stride(p)) * gru_type_bytes(p->config.state_type));
}

static void *fill_states(problem *p, int tensor) {
    const size_t H = (size_t)p->shape.H;
    void *data = own(p, (size_t)p->shape.N * H * gru_type_bytes(p->config.state_type));
    for (int64_t n = 0; n < p->shape.N; n++)
        for (size_t j = 0; j < H; j++) {
            const int64_t t0 = p->t0;
            p->t0 = 0; /* a state belongs to the whole sequence */
            gru_store_double(data, p->config.state_type, (size_t)n * H + j,
                             rounded(p->state_type, number(p, tensor, 0, n, (int64_t)j)));
            p->t0 = t0;
        }
    return data;
}

void problem_set_h0(problem *p, const void *states) {
    const size_t row = (size_t)p->shape.H * gru_type_bytes(p->config.state_type);
    const size_t stride = (size_t)state_stride(p) * gru_type_bytes(p->config.state_type);
    for (int64_t n = 0; n < p->shape.N; n++)
        memcpy((char *)p->run.h0 + (size_t)gru_h0_row(&p->run, n) * stride,
               (const char *)states + (size_t)n * row, row);
}

static void make_slots(problem *p) {
    const int64_t N = p->shape.N;
    int32_t *from = own(p, (size_t)N * sizeof *from), *to = own(p, (size_t)N * sizeof *to);
    for (int64_t n = 0; n < N; n++) from[n] = (int32_t)(2 * (N - 1 - n) + 1);
    for (int64_t n = 0; n < N; n++)
        to[n] = p->options & PROBLEM_IN_PLACE ? from[(n + 1) % N] : (int32_t)(2 * ((n + N / 2) % N));
    if (p->options & PROBLEM_H0 || !(p->options & PROBLEM_NO_HT)) p->run.slot_count = (int32_t)state_rows(p);
    if (p->options & PROBLEM_H0) p->run.h0_slots = from;
    if (!(p->options & PROBLEM_NO_HT)) p->run.hT_slots = to;
}

static const int32_t *make_lengths(problem *p) {
    int32_t *lengths = own(p, (size_t)p->shape.N * sizeof *lengths);
    for (int64_t n = 0; n < p->shape.N; n++) {
        const int64_t of_whole = n + p->n0, T = p->whole_T;
        int64_t length =
            (int64_t)(tester_random(p->seed * 64 + LENGTH, (uint64_t)of_whole) % (uint64_t)(T + 1));
        if (of_whole == 0 && p->whole_N > 1) length = T;
        if (of_whole == p->whole_N - 1 && p->whole_N > 1) length = 0;
        length -= p->t0;
        lengths[n] = (int32_t)(length < 0 ? 0 : length > p->shape.T ? p->shape.T : length);
    }
    return lengths;
}

/* ---- weights ---- */

static void *fill_numbers(problem *p, int tensor, size_t count, int32_t given, int32_t held) {
    const double range = 1 / sqrt((double)p->shape.H);
    void *data = own(p, count * gru_type_bytes(held));
    for (size_t i = 0; i < count; i++)
        gru_store_double(data, held, i,
                         rounded(given, range * tester_uniform(p->seed * 64 + (uint64_t)tensor, i)));
    return data;
}

static const void *fill_int8(problem *p, int tensor, size_t columns, const float **scales) {
    const size_t count = GATES * (size_t)p->shape.H;
    int8_t *data = own(p, count * columns);
    float *scale = own(p, count * sizeof *scale);
    for (size_t row = 0; row < count; row++) {
        const double part =
            1 - 0.5 * fabs(tester_uniform(p->seed * 64 + SCALE, count * (size_t)tensor + row));
        scale[row] = (float)(part / (127 * sqrt((double)p->shape.H)));
        for (size_t k = 0; k < columns; k++) {
            const double u = tester_uniform(p->seed * 64 + (uint64_t)tensor, row * columns + k);
            data[row * columns + k] = (int8_t)rint(127 * u);
        }
    }
    *scales = scale;
    return data;
}

static void make_weights(problem *p) {
    const size_t I = (size_t)p->shape.I, H = (size_t)p->shape.H;
    const int int8 = p->weight_type == GRU_INT8;
    const int32_t given = int8 ? GRU_F32 : p->weight_type, held = int8 ? GRU_F32 : p->config.weight_type;
    p->weights.type = int8 ? GRU_INT8 : held;
    if (int8) {
        p->weights.W = fill_int8(p, W, I, &p->weights.W_scale);
        p->weights.R = fill_int8(p, R, H, &p->weights.R_scale);
    } else {
        p->weights.W = fill_numbers(p, W, GATES * H * I, given, held);
        p->weights.R = fill_numbers(p, R, GATES * H * H, given, held);
    }
    if (p->options & PROBLEM_NO_BIAS) return;
    p->weights.bW = fill_numbers(p, BW, GATES * H, given, held);
    p->weights.bR = fill_numbers(p, BR, GATES * H, given, held);
}

/* ---- the whole ---- */

gru_layer_config problem_variant(int number) {
    static const float slopes[] = {0, 0.2f, 1.0f / 6},
                       clips[] = {0, 1.5f}; /* 1.5: within reach of contracting sums */
    gru_layer_config config = GRU_INIT;
    config.reset_mode = number % 3;
    config.update = number / 3 % 2;
    config.gate = number / 6 % 3 ? GRU_GATE_HARD_SIGMOID : GRU_GATE_SIGMOID;
    config.hard_slope = slopes[number / 6 % 3];
    config.candidate = number / 18 % 3;
    config.clip = clips[number / 54 % 2];
    config.direction = number / 108 % 2;
    return config;
}

gru_layer_config problem_activation(int number) {
    const int row = number % GRU_ACTIVATIONS, as_gate = number < GRU_ACTIVATIONS;
    const gru_activation_facts *facts = gru_activation_facts_of(row);
    const float alpha = isnan(facts->alpha) ? 0 : 0.625f, beta = isnan(facts->beta) ? 0 : 0.375f;
    gru_layer_config config = GRU_INIT;
    config.reset_mode = number % 3, config.update = number / 3 % 2, config.direction = number / 6 % 2;
    config.clip = number % 5 == 4 ? 0.75f : 0;
    if (as_gate)
        config.gate = GRU_ACTIVATION_FIRST + row, config.gate_alpha = alpha, config.gate_beta = beta;
    else
        config.candidate = GRU_ACTIVATION_FIRST + row, config.candidate_alpha = alpha,
        config.candidate_beta = beta;
    return config;
}

void problem_types(gru_layer_config *config, int number) {
    static const int32_t types[TYPES + 1][3] = {
        {GRU_F32, GRU_F32, GRU_F32},    {GRU_F16, GRU_F32, GRU_F16},  {GRU_BF16, GRU_F32, GRU_BF16},
        {GRU_F32, GRU_F32, GRU_F16},    {GRU_F32, GRU_F32, GRU_BF16}, {GRU_F16, GRU_F16, GRU_F32},
        {GRU_BF16, GRU_BF16, GRU_BF16}, {GRU_F16, GRU_F32, GRU_BF16}, {GRU_BF16, GRU_F32, GRU_F32},
        {GRU_F64, GRU_F64, GRU_F64},
    };
    const int32_t *const of = types[number < TYPES ? number : TYPES];
    config->io_type = of[0], config->state_type = of[1], config->weight_type = of[2];
}

int problem_type_count(const gru_context *context) {
    return context->config.backend == GRU_BACKEND_CPU ? CPU_TYPES : TYPES;
}

uint32_t problem_options(uint64_t draw) {
    uint32_t options = (uint32_t)(tester_random(0x0b7105, draw) % (PROBLEM_PACKED << 1));
    const uint32_t rare = PROBLEM_NO_Y | PROBLEM_NO_HT | PROBLEM_NO_BIAS | PROBLEM_PROJECTED;
    if (draw % 4) options &= ~rare; /* most draws compare all that there is */
    if (options & PROBLEM_NO_Y) options &= ~(uint32_t)PROBLEM_NO_HT;
    if (!(options & PROBLEM_H0) || options & PROBLEM_NO_HT) options &= ~(uint32_t)PROBLEM_IN_PLACE;
    if (options & PROBLEM_TRAIN) options &= ~(uint32_t)PROBLEM_RECOMPUTE;
    return options;
}

problem *problem_of_variants(int number, int types, uint64_t draw, uint32_t options) {
    static const shape sizes = {4, 3, 5, 19, "a panel and three units"};
    const int round = number / VARIANTS;
    gru_layer_config config = problem_variant(number % VARIANTS);
    problem_types(&config, round ? (int)(tester_random(3, draw) % (uint64_t)types) : 0);
    return problem_make(&sizes, &config, options | (round % 2 ? PROBLEM_ATTENTION : 0), draw);
}

problem *problem_of_shapes(int number, int types, int draws, uint64_t draw, uint32_t options) {
    const int variant = number % draws ? (int)(tester_random(1, draw) % VARIANTS) : 0;
    gru_layer_config config = problem_variant(variant);
    problem_types(&config, number % 2 ? (int)(tester_random(2, draw) % (uint64_t)types) : 0);
    return problem_make(&tester_shapes[number / draws], &config, options, draw);
}

static void describe(problem *p) {
    static const char *const resets[] = {"AFTER", "BEFORE", "ALL"};
    static const char *const options[] = {"lengths",  "h0",        "segments",  "h_restart", "attention",
                                          "strides",  "slots",     "projected", "no y",      "no hT",
                                          "training", "recompute", "in place",  "no bias",   "packed"};
    const gru_layer_config *c = &p->config;
    char gate[40] = "sigmoid", clip[40] = "", candidate[40];
    if (c->gate) (void)snprintf(gate, sizeof gate, "hard sigmoid %.3g", (double)c->hard_slope);
    if (c->gate >= GRU_ACTIVATION_FIRST)
        (void)snprintf(gate, sizeof gate, "%s %g %g", gru_activation_facts_of(gru_gate_row(c->gate))->word,
                       (double)c->gate_alpha, (double)c->gate_beta);
    (void)snprintf(candidate, sizeof candidate, "%s %g %g",
                   gru_activation_facts_of(gru_candidate_row(c->candidate))->word, (double)c->candidate_alpha,
                   (double)c->candidate_beta);
    if (c->clip != 0) (void)snprintf(clip, sizeof clip, ", clip %g", (double)c->clip);
    int used = snprintf(p->text, sizeof p->text,
                        "T %lld, N %lld, I %d, H %d (%s); %s, %s, %s, %s%s, %s; io %s, state %s, weights %s",
                        (long long)p->shape.T, (long long)p->shape.N, p->shape.I, p->shape.H, p->shape.why,
                        resets[c->reset_mode], c->update ? "WRITE" : "KEEP", gate, candidate, clip,
                        c->direction ? "reverse" : "forward", gru_type_name(c->io_type),
                        gru_type_name(c->state_type), gru_type_name(c->weight_type));
    for (size_t i = 0; i < sizeof options / sizeof *options && used < (int)sizeof p->text; i++)
        if (p->options >> i & 1)
            used += snprintf(p->text + used, sizeof p->text - (size_t)used, ", %s", options[i]);
}

static void make_inputs(problem *p) {
    const int32_t io = p->config.io_type, exact = io == GRU_F64 ? GRU_F64 : GRU_F32;
    const int32_t given_exact = p->io_type == GRU_F64 ? GRU_F64 : GRU_F32;
    const uint32_t options = p->options;
    if (options & PROBLEM_SLOTS) make_slots(p);
    if (options & PROBLEM_PROJECTED)
        p->run.projected = fill_rows(p, PROJECTED, GATES * p->shape.H, p->io_type, io, 1);
    else
        p->run.x = fill_rows(p, X, p->shape.I, p->io_type, io, 1);
    if (options & PROBLEM_ATTENTION) p->run.attention = fill_rows(p, ATTENTION, 1, given_exact, exact, 0);
    if (options & PROBLEM_SEGMENTS) p->run.restart = fill_segments(p);
    if (options & PROBLEM_H_RESET) p->run.h_restart = fill_states(p, H_RESET);
    if (options & PROBLEM_LENGTHS) p->run.lengths = make_lengths(p);
    if (options & PROBLEM_STRIDES) p->run.h0_stride = p->run.hT_stride = state_stride(p);
    if (options & PROBLEM_H0) {
        void *dense = fill_states(p, H0);
        p->run.h0 = make_states(p);
        problem_set_h0(p, dense);
    }
    if (!(options & (PROBLEM_TRAIN | PROBLEM_RECOMPUTE))) return;
    p->run.mode = options & PROBLEM_RECOMPUTE ? GRU_TRAIN_RECOMPUTE : GRU_TRAIN;
    p->dy = fill_rows(p, DY, p->shape.H, p->io_type, io, 1);
    p->dhT = fill_states(p, DHT);
}

/* draft: everything that is not an array. */
static problem *complete(const problem *draft) {
    problem *p = malloc(sizeof *p);
    REQUIRE(p, "no memory for a problem");
    *p = *draft;
    p->config.inputs = p->shape.I;
    p->config.hidden = p->shape.H;
    if (p->shape.I == 0) p->options |= PROBLEM_PROJECTED;
    p->run.T = p->shape.T;
    p->run.N = p->shape.N;
    describe(p);
    make_weights(p);
    make_inputs(p);
    return p;
}

problem *problem_make(const shape *sizes, const gru_layer_config *config, uint32_t options, uint64_t seed) {
    const problem draft = {.shape = *sizes,
                           .config = *config,
                           .options = options,
                           .seed = seed,
                           .whole_T = sizes->T,
                           .whole_N = sizes->N,
                           .io_type = config->io_type,
                           .state_type = config->state_type,
                           .weight_type = config->weight_type};
    return complete(&draft);
}

/* What of p is not an array. */
static problem draft_of(const problem *p) {
    return (problem){.shape = p->shape,
                     .config = p->config,
                     .options = p->options,
                     .seed = p->seed,
                     .t0 = p->t0,
                     .n0 = p->n0,
                     .whole_T = p->whole_T,
                     .whole_N = p->whole_N,
                     .io_type = p->io_type,
                     .state_type = p->state_type,
                     .weight_type = p->weight_type};
}

problem *problem_exact(const problem *p) {
    problem draft = draft_of(p);
    draft.options &= ~(uint32_t)(PROBLEM_STRIDES | PROBLEM_SLOTS | PROBLEM_IN_PLACE | PROBLEM_PACKED);
    draft.config.io_type = draft.config.state_type = draft.config.weight_type = GRU_F64;
    return complete(&draft);
}

problem *problem_slice(const problem *p, int64_t t0, int64_t T, int64_t n0, int64_t N) {
    problem draft = draft_of(p);
    draft.t0 += t0;
    draft.n0 += n0;
    draft.shape.T = T;
    draft.shape.N = N;
    return complete(&draft);
}

problem *problem_with(const problem *p, uint32_t options) {
    problem draft = draft_of(p);
    draft.options = options;
    return complete(&draft);
}

void problem_free(problem *p) {
    for (int i = 0; i < p->buffer_count; i++) tester_free(p->buffers[i].data);
    free(p);
}
