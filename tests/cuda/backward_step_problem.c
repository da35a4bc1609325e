/* backward_step_problem.c: draws what the backward steps read, and differentiates its steps in double precision. */
#include "backward_step_problem.h"

#include <math.h>
#include <stdlib.h>

#include "core/layout.h"
#include "support/tester.h"

/* ---- memory ------------------------------------------------------------------------------------------------------- */

void *device_copy(const void *host, size_t bytes) {
    void *device = NULL;
    REQUIRE(cudaMalloc(&device, bytes ? bytes : 1) == cudaSuccess, "no memory on the device");
    if (host)
        REQUIRE(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice) == cudaSuccess,
                "no copy to the device");
    return device;
}

void *device_read(const void *device, size_t bytes) {
    void *host = malloc(bytes ? bytes : 1);
    REQUIRE(host && cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost) == cudaSuccess,
            "no copy from the device: %s", cudaGetErrorString(cudaGetLastError()));
    return host;
}

void device_free(void *device) {
    CHECK(cudaFree(device) == cudaSuccess, "device memory is not given back");
}

float round_operand(gru_cuda_compute_type compute_type, float value) {
    static const int32_t types[] = {GRU_F32, GRU_F32, GRU_F16, GRU_BF16};
    double rounded;                    /* room for any type */
    if (compute_type == GRU_CUDA_TF32) /* as cvt.rna.tf32: to nearest, ties away from zero */
        return gru_float_from_bits((gru_bits_from_float(value) + 0x1000u) & ~0x1fffu);
    gru_store_float(&rounded, types[compute_type], 0, value);
    return gru_load_float(&rounded, types[compute_type], 0);
}

/* ---- drawing ------------------------------------------------------------------------------------------------------ */

static void *keep(sweep_problem *p, void *host, size_t bytes) {
    REQUIRE(p->block_count < SWEEP_BLOCKS, "too few blocks");
    void *device = device_copy(host, bytes);
    p->blocks[p->block_count].device = device;
    p->blocks[p->block_count].host = host;
    p->blocks[p->block_count++].bytes = bytes;
    return device;
}

static void *draw(sweep_problem *p, int32_t type, size_t count, double range, uint64_t seed) {
    void *host = malloc(count * gru_type_bytes(type));
    REQUIRE(host != NULL, "no memory");
    tester_fill(host, type, count, range, seed);
    return keep(p, host, count * gru_type_bytes(type));
}

static const void *host_of(const sweep_problem *p, const void *device) {
    for (int i = 0; i < p->block_count; i++)
        if (p->blocks[i].device == device) return p->blocks[i].host;
    return NULL;
}

static gru_layer *draw_layer(gru_context *context, gru_layer_config config, uint64_t seed) {
    const size_t H = (size_t)config.hidden;
    float *R = malloc(3 * H * H * sizeof *R), *b = malloc(3 * H * sizeof *b);
    gru_weights weights = GRU_INIT;
    gru_layer *layer = NULL;
    tester_fill(R, GRU_F32, 3 * H * H, 1 / sqrt((double)H), seed);
    tester_fill(b, GRU_F32, 3 * H, 0.5, seed + 1);
    weights.R = R, weights.bR = b;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    free(R), free(b);
    return layer;
}

static void draw_masks(sweep_problem *p, uint64_t seed) {
    gru_cuda_sequence *q = &p->sequence.forward;
    const size_t rows = (size_t)(p->T * p->N);
    if (p->options & SWEEP_LENGTHS) {
        int32_t *lengths = malloc((size_t)p->N * sizeof *lengths);
        for (int64_t n = 0; n < p->N; n++)
            lengths[n] = (int32_t)(tester_random(seed, (uint64_t)n) % (uint64_t)(p->T + 1));
        lengths[0] = (int32_t)p->T;
        if (p->N > 1) lengths[p->N - 1] = 0;
        q->lengths = keep(p, lengths, (size_t)p->N * sizeof *lengths);
    }
    if (p->options & SWEEP_SEGMENTS) {
        uint8_t *restart = malloc(rows);
        for (size_t i = 0; i < rows; i++) restart[i] = tester_random(seed + 1, i) % 3 == 0;
        q->restart = (gru_const_view){keep(p, restart, rows), p->N, 1};
    }
    if (p->options & SWEEP_ATTENTION) {
        float *w = malloc(rows * sizeof *w);
        for (size_t i = 0; i < rows; i++) w[i] = (float)(0.5 + 0.5 * tester_uniform(seed + 2, i));
        q->attention = (gru_const_view){keep(p, w, rows * sizeof *w), 1, p->T}; /* sequence by sequence */
    }
}

static void draw_inputs(sweep_problem *p, uint64_t seed) {
    const gru_layer_config *config = &p->layer->config;
    const int64_t H = config->hidden, row = gru_cuda_projected_row(config->hidden);
    const size_t rows = (size_t)(p->T * p->N);
    if (p->options & SWEEP_GIVEN) {
        p->input.data = draw(p, config->io_type, rows * (size_t)(3 * H + 1), 1.2, seed);
        p->input.type = config->io_type, p->input.gate_stride = H;
        p->input.batch_stride = 3 * H + 1, p->input.time_stride = p->N * (3 * H + 1);
    } else {
        p->input.data = draw(p, GRU_F32, rows * (size_t)row, 1.2, seed);
        p->input.batch_stride = row;
    }
    p->recurrent.data = draw(p, GRU_F32, rows * (size_t)row, 1.2, seed + 1);
    p->recurrent.batch_stride = row, p->recurrent.gate_stride = gru_cuda_unit_pitch(config->hidden);
    p->recurrent.bias = p->sequence.forward.bR;
    p->sequence.forward.reserve = draw(p, GRU_F32, rows * (size_t)H, 1, seed + 2);
    if (!(p->options & SWEEP_NO_DY))
        p->sequence.dy = (gru_const_view){draw(p, config->io_type, rows * (size_t)(H + 3), 1, seed + 3),
                                          H + 3, p->T * (H + 3)};
    if (!(p->options & SWEEP_NO_DHT))
        p->sequence.dhT = draw(p, config->state_type, (size_t)(p->N * H), 1, seed + 4);
}

static void lend_outputs(sweep_problem *p) {
    const gru_layer_config *config = &p->layer->config;
    gru_cuda_backward_sequence *w = &p->sequence;
    const size_t rows = (size_t)(p->T * p->N), N = (size_t)p->N, H = (size_t)config->hidden;
    const size_t pitch = (size_t)gru_cuda_unit_pitch(config->hidden), octets = (N + 7) / 8;
    const size_t tiles = octets * GATES * (size_t)w->forward.groups * GRU_CUDA_FRAGMENT_BYTES;
    w->rows = keep(p, NULL,
                   rows * (size_t)gru_cuda_gradient_planes(config->reset_mode) * pitch *
                       gru_type_bytes(config->weight_type));
    for (int i = 0; i < 2; i++) w->exchange[i] = keep(p, NULL, tiles);
    w->direct = keep(p, NULL, N * pitch * sizeof(float));
    w->barrier_counter =
        config->reset_mode == GRU_RESET_BEFORE ? keep(p, NULL, octets * sizeof(uint32_t)) : NULL;
    if (p->options & SWEEP_FEW) return;
    w->dprojected = (gru_view){keep(p, NULL, rows * (3 * H + 1) * gru_type_bytes(config->io_type)),
                               (int64_t)(3 * H + 1), p->T * (int64_t)(3 * H + 1)};
    w->dh0 = keep(p, NULL, N * H * gru_type_bytes(config->state_type));
    w->dh_restart = keep(p, NULL, N * H * gru_type_bytes(config->state_type));
    if (w->forward.restart.data) w->restart_sum = keep(p, NULL, N * pitch * sizeof(float));
    if (w->forward.attention.data) p->octets = keep(p, NULL, rows * pitch / 8 * sizeof(float));
}

static void describe_layer(sweep_problem *p) {
    const gru_layer_config *config = &p->layer->config;
    const gru_cuda_packed_layout packed = gru_cuda_packed_layout_of(config);
    const gru_cuda_transposed_layout transposed = gru_cuda_transposed_layout_of(config);
    gru_cuda_sequence *q = &p->sequence.forward;
    q->T = p->T, q->N = (int32_t)p->N, q->H = config->hidden;
    q->octets = gru_cuda_unit_octets(config->hidden);
    q->groups = gru_cuda_groups(config->hidden, config->weight_type);
    q->reset_mode = config->reset_mode, q->update = config->update, q->gate = config->gate;
    q->candidate = config->candidate, q->direction = config->direction;
    q->clip = config->clip, q->hard_slope = config->hard_slope;
    q->io_type = config->io_type, q->state_type = config->state_type;
    q->bR = (const float *)(const void *)((const char *)p->layer->packed + packed.bR);
    char *memory = keep(p, NULL, transposed.bytes);
    const gru_cuda_transpose turn = {.compute_type = p->compute_type,
                                     .H = config->hidden,
                                     .R = (const char *)p->layer->packed + packed.R,
                                     .transposed = memory + transposed.R_transposed};
    p->sequence.R_transposed = turn.transposed;
    REQUIRE(gru_cuda_launch_transpose(&turn, cudaStreamLegacy) == cudaSuccess, "turning");
    REQUIRE(cudaStreamSynchronize(cudaStreamLegacy) == cudaSuccess, "turning");
}

sweep_problem *sweep_problem_make(gru_context *context, const gru_layer_config *config, int64_t T, int64_t N,
                                  uint32_t options, uint64_t seed) {
    sweep_problem *p = calloc(1, sizeof *p);
    REQUIRE(p != NULL, "no memory");
    p->T = T, p->N = N, p->options = options;
    p->layer = draw_layer(context, *config, 100 * seed);
    p->compute_type = gru_cuda_compute_type_of(gru_cuda_device_of(context), &p->layer->config);
    describe_layer(p);
    draw_masks(p, 100 * seed + 10);
    draw_inputs(p, 100 * seed + 20);
    lend_outputs(p);
    (void)snprintf(p->text, sizeof p->text,
                   "compute_type %d, T %d, N %d, H %d, reset %d, update %d, gate %d, candidate %d, direction "
                   "%d, clip %g, "
                   "types %d %d, options %#x",
                   (int)p->compute_type, (int)T, (int)N, config->hidden, config->reset_mode, config->update,
                   config->gate, config->candidate, config->direction, (double)config->clip, config->io_type,
                   config->state_type, (unsigned)options);
    return p;
}

void sweep_problem_free(sweep_problem *p) {
    for (int i = 0; i < p->block_count; i++) {
        device_free(p->blocks[i].device);
        free(p->blocks[i].host);
    }
    gru_layer_release(p->layer);
    free(p);
}

/* ---- double precision --------------------------------------------------------------------------------------------- */

typedef struct exact {
    const sweep_problem *p;
    const gru_layer_config *config;
    size_t H;
    const float *bias;        /* as packed */
    double *R;                /* [3][H][H] as packed */
    double *rows;             /* [T][N][4][H]: da of r, z, n and dc of n; absent steps zero */
    double *dh0, *dh_restart; /* [N][H] */
    double *dw;               /* [T][N], by step */
    double *dh, *drh, *dc;    /* [H], [H], [3][H] of one step; dc rounded */
    double largest;
} exact;

static double number_of(const exact *e, const void *device, int32_t type, size_t i) {
    return gru_load_double(host_of(e->p, device), type, i);
}

/* Both sides' sums of a gate, biases included. */
static void sides(const exact *e, int64_t s, int64_t t, int64_t n, int g, size_t j, double *a, double *c) {
    const sweep_problem *p = e->p;
    const size_t packed = j / 8 * 24 + (size_t)g * 8 + j % 8, row = (size_t)(s * p->N + n);
    const size_t pitch = (size_t)p->recurrent.gate_stride;
    *a = p->options & SWEEP_GIVEN
             ? number_of(e, p->input.data, p->input.type, GRU_ROW(p->input, t, n) + (size_t)g * e->H + j)
             : number_of(e, p->input.data, GRU_F32, row * 3 * pitch + packed);
    *c = number_of(e, p->recurrent.data, GRU_F32, row * 3 * pitch + (size_t)g * pitch + j) +
         (double)e->bias[packed];
}

static int clips(const exact *e, double v) {
    const double clip = (double)e->config->clip;
    return clip != 0 && fabs(v) > clip;
}

static double gate(const exact *e, double v, double *slope) {
    const double x = clips(e, v) ? copysign((double)e->config->clip, v) : v;
    if (e->config->gate == GRU_GATE_SIGMOID) {
        const double value = 1 / (1 + exp(-x));
        *slope = clips(e, v) ? 0 : value * (1 - value);
        return value;
    }
    const double line = (double)e->config->hard_slope * x + 0.5;
    *slope = clips(e, v) || line < 0 || line > 1 ? 0 : (double)e->config->hard_slope;
    return line < 0 ? 0 : line > 1 ? 1 : line;
}

static double candidate(const exact *e, double v, double *slope) {
    const double x = clips(e, v) ? copysign((double)e->config->clip, v) : v;
    const int32_t kind = e->config->candidate;
    const double value = kind == GRU_CANDIDATE_TANH ? tanh(x) : kind == GRU_CANDIDATE_RELU && x < 0 ? 0 : x;
    *slope = kind == GRU_CANDIDATE_TANH ? 1 - value * value : kind == GRU_CANDIDATE_RELU && x < 0 ? 0 : 1;
    if (clips(e, v)) *slope = 0;
    return value;
}

/* One unit: from dh to da (row), dw and the direct part of dh, which is returned; BEFORE leaves da of r for later. */
static double unit_gradients(const exact *e, int64_t s, int64_t t, int64_t n, size_t j, double dh,
                             double *row, double *dw) {
    const sweep_problem *p = e->p;
    const int keep_update = e->config->update == GRU_UPDATE_KEEP;
    const gru_const_view *attention = &p->sequence.forward.attention;
    const double h = number_of(e, p->sequence.forward.reserve, GRU_F32, (size_t)(s * p->N + n) * e->H + j);
    const double w = attention->data ? number_of(e, attention->data, GRU_F32, GRU_ROW(*attention, t, n)) : 0;
    double a[3], c[3], slope[3];
    for (int g = 0; g < 3; g++) sides(e, s, t, n, g, j, &a[g], &c[g]);
    const double r = gate(e, a[0] + c[0], &slope[0]), z = gate(e, a[1] + c[1], &slope[1]);
    const int32_t reset = e->config->reset_mode;
    const double v = reset == GRU_RESET_AFTER    ? a[2] + r * c[2]
                     : reset == GRU_RESET_BEFORE ? a[2] + c[2]
                                                 : r * (a[2] + c[2]);
    const double value = candidate(e, v, &slope[2]);
    const double used = keep_update ? (1 - w) * z : 1 - (1 - w) * (1 - z);
    const double dn = keep_update ? dh * (1 - used) : dh * used, dv = dn * slope[2];
    const double dz = keep_update ? dh * (h - value) : dh * (value - h);
    *dw += keep_update ? -dz * z : dz * (1 - z);
    row[0] = reset == GRU_RESET_AFTER ? dv * c[2] * slope[0] : dv * (a[2] + c[2]) * slope[0];
    row[e->H] = dz * (1 - w) * slope[1];
    row[2 * e->H] = reset == GRU_RESET_ALL ? dv * r : dv;
    row[3 * e->H] = reset == GRU_RESET_BEFORE ? dv : dv * r;
    return keep_update ? dh * used : dh * (1 - used);
}

static void add_product(const exact *e, int g, double *to) {
    for (size_t k = 0; k < e->H; k++)
        for (size_t j = 0; j < e->H; j++)
            to[k] += e->R[((size_t)g * e->H + j) * e->H + k] * e->dc[(size_t)g * e->H + j];
}

static void round_gate(const exact *e, int g, const double *from) {
    for (size_t j = 0; j < e->H; j++)
        e->dc[(size_t)g * e->H + j] = (double)round_operand(e->p->compute_type, (float)from[j]);
}

/* BEFORE: da of r, from the gradient of r h, and what of that goes to h. */
static void through_reset(exact *e, int64_t s, int64_t t, int64_t n, double *row) {
    memset(e->drh, 0, e->H * sizeof *e->drh);
    add_product(e, GATE_N, e->drh);
    for (size_t j = 0; j < e->H; j++) {
        const double h =
            number_of(e, e->p->sequence.forward.reserve, GRU_F32, (size_t)(s * e->p->N + n) * e->H + j);
        double a, c, slope;
        sides(e, s, t, n, GATE_R, j, &a, &c);
        e->dh[j] += e->drh[j] * gate(e, a + c, &slope);
        row[j] = e->drh[j] * h * slope;
    }
}

static int starts_segment(const exact *e, int64_t length, int64_t s, int64_t n) {
    const gru_const_view *restart = &e->p->sequence.forward.restart;
    const int32_t direction = e->config->direction;
    const int64_t looked = direction == GRU_REVERSE ? s - 1 : s;
    if (!restart->data || looked < 0) return 0;
    const uint8_t *bytes = host_of(e->p, restart->data);
    return bytes[GRU_ROW(*restart, gru_step_time(direction, length, looked), n)] != 0;
}

static int64_t length_of(const exact *e, int64_t n) {
    const int32_t *lengths = e->p->sequence.forward.lengths;
    return lengths ? ((const int32_t *)host_of(e->p, lengths))[n] : e->p->T;
}

static void sweep_row(exact *e, int64_t n) {
    const sweep_problem *p = e->p;
    const size_t H = e->H;
    const int64_t length = length_of(e, n);
    for (size_t j = 0; j < H; j++)
        e->dh[j] =
            p->sequence.dhT ? number_of(e, p->sequence.dhT, e->config->state_type, (size_t)n * H + j) : 0;
    for (int64_t s = length - 1; s >= 0; s--) {
        const int64_t t = gru_step_time(e->config->direction, length, s);
        const size_t at = (size_t)(s * p->N + n);
        double *row = e->rows + at * 4 * H;
        for (size_t j = 0; j < H; j++) {
            if (p->sequence.dy.data)
                e->dh[j] +=
                    number_of(e, p->sequence.dy.data, e->config->io_type, GRU_ROW(p->sequence.dy, t, n) + j);
            e->dh[j] = unit_gradients(e, s, t, n, j, e->dh[j], row + j, &e->dw[at]);
        }
        round_gate(e, GATE_N, row + 3 * H);
        if (e->config->reset_mode == GRU_RESET_BEFORE) through_reset(e, s, t, n, row);
        round_gate(e, GATE_R, row);
        round_gate(e, GATE_Z, row + H);
        add_product(e, GATE_R, e->dh);
        add_product(e, GATE_Z, e->dh);
        if (e->config->reset_mode != GRU_RESET_BEFORE) add_product(e, GATE_N, e->dh);
        for (size_t j = 0; starts_segment(e, length, s, n) && j < H; j++) {
            e->dh_restart[(size_t)n * H + j] += e->dh[j];
            e->dh[j] = 0;
        }
    }
    for (size_t j = 0; j < H; j++) e->dh0[(size_t)n * H + j] = e->dh[j];
}

/* R as it is packed. */
static void read_weights(exact *e) {
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(e->config);
    char *packed = device_read(e->p->layer->packed, layout.staging);
    const size_t group = 64 / gru_type_bytes(e->config->weight_type), groups = (e->H + group - 1) / group;
    float *bias = malloc(layout.W - layout.bR);
    memcpy(bias, packed + layout.bR, layout.W - layout.bR);
    e->bias = bias;
    for (size_t g = 0; g < 3; g++)
        for (size_t j = 0; j < e->H; j++)
            for (size_t k = 0; k < e->H; k++)
                e->R[(g * e->H + j) * e->H + k] =
                    gru_load_double(packed + layout.R, e->config->weight_type,
                                    (((j / 8 * groups + k / group) * 3 + g) * 8 + j % 8) * group + k % group);
    free(packed);
}

static double *zeros(size_t count) {
    double *numbers = calloc(count, sizeof *numbers);
    REQUIRE(numbers != NULL, "no memory");
    return numbers;
}

static exact exact_make(const sweep_problem *p) {
    const size_t H = (size_t)p->layer->config.hidden, N = (size_t)p->N, rows = (size_t)p->T * N;
    exact e = {.p = p, .config = &p->layer->config, .H = H};
    e.R = zeros(3 * H * H), e.rows = zeros(rows * 4 * H), e.dh0 = zeros(N * H), e.dh_restart = zeros(N * H);
    e.dw = zeros(rows), e.dh = zeros(H), e.drh = zeros(H), e.dc = zeros(3 * H);
    read_weights(&e);
    for (int64_t n = 0; n < p->N; n++) sweep_row(&e, n);
    e.largest = 1;
    for (size_t i = 0; i < rows * 4 * H; i++) e.largest = fmax(e.largest, fabs(e.rows[i]));
    for (size_t i = 0; i < N * H; i++)
        e.largest = fmax(e.largest, fmax(fabs(e.dh0[i]), fabs(e.dh_restart[i])));
    return e;
}

static void exact_free(exact *e) {
    free((void *)(uintptr_t)e->bias), free(e->R), free(e->rows), free(e->dh0), free(e->dh_restart);
    free(e->dw), free(e->dh), free(e->drh), free(e->dc);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

/* Half an ulp of a number that is stored in this type. */
static double half_ulp(int32_t type) {
    return type == GRU_BF16 ? 0x1p-9 : type == GRU_F16 ? 0x1p-12 : 0x1p-25;
}

/* A sum of 3H products errs like a random walk in f32, and 16 roundings of the cell come to it, in each of T steps. Where
 * products take rounded operands, one of a few may round to the other side here: a whole ulp of it, in each of T steps. Fast
 * exponentials err by 2^-21. Last, the number itself was rounded. */
static double budget(const exact *e, int32_t stored) {
    static const double operands[] = {0, 0x1p-11, 0x1p-11, 0x1p-8};
    const double T = (double)e->p->T, fast = e->p->compute_type == GRU_CUDA_F32 ? 0 : 0x1p-21;
    const double step =
        (2 * sqrt(3 * (double)e->H) + 16) * 0x1p-24 + 4 * fast + operands[e->p->compute_type] / 2;
    return e->largest * (T * step + 2 * half_ulp(stored));
}

static void check_near(const exact *e, const char *what, int32_t stored, double got, double wanted,
                       size_t i) {
    const double limit = budget(e, stored);
    CHECK(fabs(got - wanted) <= limit, "%s: %s[%zu] is %g, expected %g within %g", e->p->text, what, i, got,
          wanted, limit);
}

static void check_rows(const exact *e) {
    const sweep_problem *p = e->p;
    const size_t planes = (size_t)gru_cuda_gradient_planes(e->config->reset_mode), H = e->H;
    const size_t pitch = (size_t)gru_cuda_unit_pitch(e->config->hidden), rows = (size_t)(p->T * p->N);
    const int32_t type = e->config->weight_type;
    void *got = device_read(p->sequence.rows, rows * planes * pitch * gru_type_bytes(type));
    for (size_t row = 0; row < rows; row++)
        for (size_t plane = 0; plane < planes; plane++)
            for (size_t j = 0; j < pitch; j++) {
                const size_t i = (row * planes + plane) * pitch + j;
                const double value = gru_load_double(got, type, i);
                if (j < H && (int64_t)(row / (size_t)p->N) < length_of(e, (int64_t)(row % (size_t)p->N)))
                    check_near(e, "rows", type, value, e->rows[(row * 4 + plane) * H + j], i);
                else
                    CHECK(value == 0, "%s: rows[%zu] is %g, expected 0", p->text, i, value);
            }
    free(got);
}

/* dprojected and attention lie by time. */
static void check_times(const exact *e) {
    const sweep_problem *p = e->p;
    const size_t H = e->H, rows = (size_t)(p->T * p->N);
    const gru_view *to = &p->sequence.dprojected;
    const int32_t type = e->config->io_type;
    void *got = device_read(to->data, rows * (3 * H + 1) * gru_type_bytes(type));
    for (int64_t n = 0; n < p->N; n++)
        for (int64_t s = 0; s < p->T; s++) {
            const int64_t length = length_of(e, n);
            const int64_t t = s < length ? gru_step_time(e->config->direction, length, s) : s;
            const double *row = e->rows + (size_t)(s * p->N + n) * 4 * H;
            for (size_t i = 0; i < 3 * H; i++)
                check_near(e, "dprojected", type, gru_load_double(got, type, GRU_ROW(*to, t, n) + i), row[i],
                           i);
        }
    free(got);
}

static void check_attention(const exact *e) {
    const sweep_problem *p = e->p;
    const size_t octets = (size_t)gru_cuda_unit_octets(e->config->hidden), rows = (size_t)(p->T * p->N);
    float *got = device_read(p->octets, rows * octets * sizeof *got);
    for (size_t row = 0; row < rows; row++) {
        double sum = 0;
        if ((int64_t)(row / (size_t)p->N) >= length_of(e, (int64_t)(row % (size_t)p->N))) continue;
        for (size_t octet = 0; octet < (e->H + 7) / 8; octet++) sum += (double)got[row * octets + octet];
        CHECK(fabs(sum - e->dw[row]) <= budget(e, GRU_F32) * sqrt((double)e->H) * 4,
              "%s: attention's gradient of row %zu is %g, expected %g", p->text, row, sum, e->dw[row]);
    }
    free(got);
}

static void check_states(const exact *e, const char *what, const void *device, const double *wanted) {
    const size_t count = (size_t)e->p->N * e->H;
    const int32_t type = e->config->state_type;
    void *got = device_read(device, count * gru_type_bytes(type));
    for (size_t i = 0; i < count; i++) check_near(e, what, type, gru_load_double(got, type, i), wanted[i], i);
    free(got);
}

void sweep_problem_check(const sweep_problem *p) {
    exact e = exact_make(p);
    check_rows(&e);
    if (p->sequence.dprojected.data) check_times(&e);
    if (p->octets) check_attention(&e);
    if (p->sequence.dh0) check_states(&e, "dh0", p->sequence.dh0, e.dh0);
    if (p->sequence.dh_restart) check_states(&e, "dh_restart", p->sequence.dh_restart, e.dh_restart);
    exact_free(&e);
}
