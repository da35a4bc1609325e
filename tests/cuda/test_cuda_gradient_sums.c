/* test_cuda_gradient_sums.c: the kernels around the backward steps, each against its numbers one by one: rows of states and of r h, dx by
 * time, attention's gradient, sums of weights and biases, and transposed weights. */
#include <math.h>
#include <stdlib.h>

#include "core/layout.h"
#include "support/problem.h"
#include "backward_step_problem.h"

enum { COMPUTE_TYPES = 4, T = 5, N = 9, H = 21, OCTETS = 4, PITCH = 32 };

static const int32_t operand_types[COMPUTE_TYPES] = {GRU_F32, GRU_F32, GRU_F16, GRU_BF16};
static const int32_t lengths[N] = {5, 0, 3, 5, 1, 9, -2, 4, 2}; /* two of them wrong */

static int64_t length_of(int64_t n) {
    return lengths[n] < 0 ? 0 : lengths[n] > T ? T : lengths[n];
}

static gru_cuda_sequence make_sequence(int32_t direction, int32_t io_type, const void *there_lengths) {
    const gru_cuda_sequence q = {.T = T,
                                 .N = N,
                                 .H = H,
                                 .octets = OCTETS,
                                 .groups = 2,
                                 .reset_mode = GRU_RESET_BEFORE,
                                 .direction = direction,
                                 .io_type = io_type,
                                 .lengths = there_lengths};
    return q;
}

static float *draw(size_t count, uint64_t seed) {
    float *numbers = malloc(count * sizeof *numbers);
    tester_fill(numbers, GRU_F32, count, 1, seed);
    return numbers;
}

static void *finished(const void *device, size_t bytes) {
    CHECK(cudaStreamSynchronize(tester_device.stream) == cudaSuccess, "a kernel failed");
    return device_read(device, bytes);
}

#define LAUNCHED(expression) CHECK((expression) == cudaSuccess, #expression)

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* The row's number that a GEMM should read; index in rows of steps first .. from on. */
static void check_row_numbers(int compute_type, const void *rows, int64_t first, int64_t steps,
                              int64_t padding, const float *wanted, const char *what) {
    const int32_t type = operand_types[compute_type];
    void *got = finished(rows, (size_t)((steps * N + padding) * PITCH) * gru_type_bytes(type));
    for (int64_t row = 0; row < steps * N + padding; row++)
        for (int64_t j = 0; j < PITCH; j++) {
            const int64_t s = first + row / N, n = row % N;
            const int exists = row < steps * N && j < H && s < length_of(n);
            const double seen = gru_load_double(got, type, (size_t)(row * PITCH + j));
            const double exact = exists ? (double)wanted[(s * N + n) * H + j] : 0;
            const double ulp = type == GRU_F32   ? compute_type == GRU_CUDA_TF32 ? 0x1p-11 : 0x1p-22
                               : type == GRU_F16 ? 0x1p-11
                                                 : 0x1p-8;
            CHECK(exists ? fabs(seen - exact) <= ulp * fabs(exact) + 0x1p-20 : seen == 0,
                  "%s of compute_type %d: row %d, number %d is %g, expected %g", what, compute_type, (int)row,
                  (int)j, seen, exact);
        }
    free(got);
}

TEST(cuda_gradients, rows_of_states) {
    float *h = draw(T * N * H, 1);
    void *there_h = device_copy(h, T * N * H * sizeof *h),
         *there_lengths = device_copy(lengths, sizeof lengths);
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        void *rows = device_copy(NULL, (3 * N + 4) * PITCH * sizeof(float));
        gru_cuda_state_rows a = {.directions = 1, .s = 1, .steps = 3, .padding = 4, .rows = {rows}};
        a.sequence[0].forward = make_sequence(GRU_REVERSE, GRU_F32, there_lengths);
        a.sequence[0].forward.reserve = there_h;
        LAUNCHED(gru_cuda_launch_state_rows((gru_cuda_compute_type)compute_type, &a, tester_device.stream));
        check_row_numbers(compute_type, rows, 1, 3, 4, h, "states");
        device_free(rows);
    }
    device_free(there_h), device_free(there_lengths);
    free(h);
}

/* r h from projected input by step (given 0) or by time, as callers give it. */
static void compare_reset_rows(int compute_type, int given, int32_t direction) {
    float *h = draw(T * N * H, 1), *a = draw(T * N * 3 * PITCH, 2), *c = draw(T * N * 3 * PITCH, 3);
    float *bias = draw(3 * PITCH, 4), *wanted = malloc(T * N * H * sizeof *wanted);
    void *there[5] = {device_copy(h, T * N * H * sizeof *h), device_copy(a, T * N * 3 * PITCH * sizeof *a),
                      device_copy(c, T * N * 3 * PITCH * sizeof *c),
                      device_copy(bias, 3 * PITCH * sizeof *bias), device_copy(lengths, sizeof lengths)};
    void *rows = device_copy(NULL, (2 * N + 1) * PITCH * sizeof(float));
    const int64_t first = 2, row = 3 * PITCH;
    gru_cuda_reset_rows p = {.directions = 1, .s = first, .steps = 2, .padding = 1, .rows = {rows}};
    p.forward[0] = make_sequence(direction, GRU_F32, there[4]);
    p.forward[0].reserve = there[0];
    p.recurrent[0] = (gru_cuda_input){.data = (float *)there[2] + first * N * row,
                                      .batch_stride = row,
                                      .gate_stride = PITCH,
                                      .bias = there[3]};
    p.input[0] = (gru_cuda_input){.data = there[1], .batch_stride = row};
    p.input_step[0] = -N * row; /* the first step's rows lie last */
    if (given)
        p.input[0].time_stride = N * row, p.input[0].gate_stride = PITCH;
    else
        p.input[0].data = (float *)there[1] + (T - 1 - first) * N * row;
    LAUNCHED(gru_cuda_launch_reset_rows((gru_cuda_compute_type)compute_type, &p, tester_device.stream));
    for (int64_t s = 0; s < T; s++)
        for (int64_t n = 0; n < N; n++)
            for (int64_t j = 0; j < H; j++) {
                const int64_t t = gru_step_time(direction, length_of(n), s), packed = j / 8 * 24 + j % 8;
                const int64_t at = (s * N + n) * H + j;
                wanted[at] = 0;
                if (s >= length_of(n)) continue;
                const float input =
                    given ? a[(t * N + n) * row + j] : a[((T - 1 - s) * N + n) * row + packed];
                const double v = (double)input + (double)c[(s * N + n) * row + j] + (double)bias[packed];
                wanted[at] = (float)((double)h[at] / (1 + exp(-v)));
            }
    check_row_numbers(compute_type, rows, first, 2, 1, wanted, "r h");
    for (int i = 0; i < 5; i++) device_free(there[i]);
    device_free(rows);
    free(h), free(a), free(c), free(bias), free(wanted);
}

TEST(cuda_gradients, rows_of_r_h) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        for (int i = 0; i < 4; i++) compare_reset_rows(compute_type, i % 2, i / 2);
}

/* ---- by time ------------------------------------------------------------------------------------------------------ */

/* dx and dattention of two chunks, by time, with strides. */
static void compare_by_time(int32_t type, int32_t direction) {
    enum { INPUTS = 35, ROW = 40 };
    float *dx = draw(T * N * ROW, 1), *parts = draw(T * N * OCTETS, 2);
    void *there_dx = device_copy(dx, T * N * ROW * sizeof *dx);
    void *there_parts = device_copy(parts, T * N * OCTETS * sizeof *parts);
    void *there_lengths = device_copy(lengths, sizeof lengths);
    const gru_view to = {device_copy(NULL, T * N * (INPUTS + 1) * gru_type_bytes(type)), INPUTS + 1,
                         T * (INPUTS + 1)};
    const gru_view dw = {device_copy(NULL, T * N * sizeof(float)), N, 1};
    for (int64_t s = 0; s < T; s += 3) {
        const int64_t steps = T - s < 3 ? T - s : 3;
        const gru_cuda_sequence q = make_sequence(direction, type, there_lengths);
        const gru_cuda_scatter x = {q, s, steps, (float *)there_dx + s * N * ROW, ROW, INPUTS, to};
        const gru_cuda_attention_sums w = {q, s, steps, (float *)there_parts + s * N * OCTETS, dw};
        LAUNCHED(gru_cuda_launch_scatter(&x, tester_device.stream));
        LAUNCHED(gru_cuda_launch_attention_sums(&w, tester_device.stream));
    }
    void *got_dx = finished(to.data, T * N * (INPUTS + 1) * gru_type_bytes(type));
    float *got_dw = finished(dw.data, T * N * sizeof(float));
    for (int64_t n = 0; n < N; n++)
        for (int64_t s = 0; s < T; s++) {
            const int exists = s < length_of(n);
            const int64_t t = exists ? gru_step_time(direction, length_of(n), s) : s, row = s * N + n;
            float sum = 0;
            for (int64_t octet = 0; octet < 3; octet++) sum += parts[row * OCTETS + octet]; /* of 21 units */
            CHECK(got_dw[t * N + n] == (exists ? sum : 0), "dattention[%d][%d] is %g, expected %g", (int)t,
                  (int)n, (double)got_dw[t * N + n], exists ? (double)sum : 0);
            for (int64_t k = 0; k < INPUTS; k++) {
                uint64_t stored;
                gru_store_float(&stored, type, 0, exists ? dx[row * ROW + k] : 0);
                const float seen = gru_load_float(got_dx, type, GRU_ROW(to, t, n) + (size_t)k);
                CHECK(seen == gru_load_float(&stored, type, 0), "dx[%d][%d][%d] is %g, expected %g", (int)t,
                      (int)n, (int)k, (double)seen, (double)gru_load_float(&stored, type, 0));
            }
        }
    device_free(there_dx), device_free(there_parts), device_free(there_lengths);
    device_free(to.data), device_free(dw.data);
    free(dx), free(parts), free(got_dx), free(got_dw);
}

TEST(cuda_gradients, dx_and_attention_by_time) {
    for (int32_t type = GRU_F32; type <= GRU_BF16; type++)
        for (int32_t direction = 0; direction < 2; direction++) compare_by_time(type, direction);
}

/* ---- sums --------------------------------------------------------------------------------------------------------- */

/* Set or added; scale 0: none. */
static double combined(double before, double sum, int overwrite, float scale) {
    if (scale != 0) sum /= (double)scale;
    return overwrite ? sum : before + sum;
}

static void compare_weight_sums(int32_t first, int32_t count, int overwrite, float scale) {
    enum { K = 37, ROW = 40 };
    float *sums = draw(3 * PITCH * ROW, 1), *before = draw(3 * H * K, 2);
    void *there_sums = device_copy(sums, 3 * PITCH * ROW * sizeof *sums),
         *there_scale = device_copy(&scale, 4);
    void *gradient = device_copy(before, 3 * H * K * sizeof *before);
    const gru_cuda_weight_sums a = {.sums = there_sums,
                                    .pitch = ROW,
                                    .H = H,
                                    .K = K,
                                    .first = first,
                                    .count = count,
                                    .loss_scale = scale != 0 ? there_scale : NULL,
                                    .overwrite = overwrite,
                                    .gradient = gradient};
    LAUNCHED(gru_cuda_launch_weight_sums(&a, tester_device.stream));
    float *got = finished(gradient, 3 * H * K * sizeof *got);
    for (int32_t row = 0; row < 3 * H; row++)
        for (int32_t k = 0; k < K; k++) {
            const int32_t g = row / H, i = row * K + k;
            const double sum = g < first ? 0 : (double)sums[((g - first) * PITCH + row % H) * ROW + k];
            const int taken = g >= first && g < first + count;
            const double wanted =
                taken ? combined((double)before[i], sum, overwrite, scale) : (double)before[i];
            CHECK(fabs((double)got[i] - wanted) <= 0x1p-22, "gate %d, number %d is %g, expected %g", g, i,
                  (double)got[i], wanted);
        }
    device_free(there_sums), device_free(there_scale), device_free(gradient);
    free(sums), free(before), free(got);
}

TEST(cuda_gradients, sums_of_weights) {
    compare_weight_sums(0, 3, 0, 0);
    compare_weight_sums(0, 2, 1, 0);
    compare_weight_sums(2, 1, 0, 8);
    compare_weight_sums(1, 2, 1, 3);
}

static void compare_bias_sums(int compute_type, int32_t reset, int64_t count, int overwrite, float scale) {
    const int32_t type = operand_types[compute_type], planes = gru_cuda_gradient_planes(reset);
    const size_t numbers = (size_t)(count * planes * PITCH), bytes = numbers * gru_type_bytes(type);
    void *rows = malloc(bytes);
    tester_fill(rows, type, numbers, 1, (uint64_t)count);
    float *before = draw(3 * H, 2);
    void *there = device_copy(rows, bytes), *there_scale = device_copy(&scale, sizeof scale);
    void *partial_sums = device_copy(NULL, GRU_CUDA_SUM_SPLITS * (size_t)(planes * PITCH) * sizeof(float));
    float *got[2];
    void *to[2] = {device_copy(before, 3 * H * sizeof *before), device_copy(before, 3 * H * sizeof *before)};
    const gru_cuda_bias_sums a = {.rows = there,
                                  .count = count,
                                  .H = H,
                                  .reset_mode = reset,
                                  .partial_sums = partial_sums,
                                  .loss_scale = scale != 0 ? there_scale : NULL,
                                  .overwrite = overwrite,
                                  .dbW = to[0],
                                  .dbR = to[1]};
    LAUNCHED(gru_cuda_launch_bias_sums((gru_cuda_compute_type)compute_type, &a, tester_device.stream));
    for (int i = 0; i < 2; i++) got[i] = finished(to[i], 3 * H * sizeof(float));
    for (int32_t at = 0; at < 2 * 3 * H; at++) {
        const int32_t recurrent = at / (3 * H), g = at / H % 3, j = at % H;
        const int32_t plane = recurrent && g == GATE_N && reset == GRU_RESET_AFTER ? GRU_CUDA_DC_N : g;
        double sum = 0;
        for (int64_t row = 0; row < count; row++)
            sum += gru_load_double(rows, type, (size_t)((row * planes + plane) * PITCH + j));
        const double wanted = combined((double)before[g * H + j], sum, overwrite, scale);
        const double seen = (double)got[recurrent][g * H + j];
        CHECK(fabs(seen - wanted) <= (double)count * 0x1p-23 + 0x1p-22,
              "compute_type %d, %d rows, %s[%d] is %g, expected %g", compute_type, (int)count,
              recurrent ? "dbR" : "dbW", g * H + j, seen, wanted);
    }
    device_free(there), device_free(there_scale), device_free(partial_sums), device_free(to[0]),
        device_free(to[1]);
    free(rows), free(before), free(got[0]), free(got[1]);
}

TEST(cuda_gradients, sums_of_biases) {
    static const int64_t counts[] = {0, 1, 31, 100, 4500}; /* the last needs longer parts */
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        for (int i = 0; i < 5; i++)
            compare_bias_sums(compute_type, (compute_type + i) % 3, counts[i], i % 2,
                              i % 3 ? 0 : (float)(4 + i));
}

/* ---- transposed weights ----------------------------------------------------------------------------------------------- */

static void compare_turned(gru_context *context, int compute_type, int32_t inputs, int32_t hidden) {
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_layer *layer = NULL;
    const size_t I = (size_t)inputs, U = (size_t)hidden;
    float *W = draw(3 * U * I + 1, 1), *R = draw(3 * U * U, 2);
    config.inputs = inputs, config.hidden = hidden, config.weight_type = operand_types[compute_type];
    weights.W = inputs ? W : NULL, weights.R = R;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    const gru_cuda_packed_layout packed = gru_cuda_packed_layout_of(&config);
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&config);
    char *memory = device_copy(NULL, layout.bytes);
    const gru_cuda_transpose turn = {.compute_type = (gru_cuda_compute_type)compute_type,
                                     .inputs = inputs,
                                     .H = hidden,
                                     .W = (char *)layer->packed + packed.W,
                                     .R = (char *)layer->packed + packed.R,
                                     .W_rows = memory + layout.W,
                                     .R_rows = memory + layout.R,
                                     .transposed = memory + layout.R_transposed};
    LAUNCHED(gru_cuda_launch_transpose(&turn, tester_device.stream));
    char *got = finished(memory, layout.bytes);
    const size_t element = gru_type_bytes(config.weight_type), group = 64 / element;
    const size_t pitch = (size_t)gru_cuda_unit_pitch(hidden), groups = (U + group - 1) / group;
    const size_t row = (size_t)gru_cuda_input_pitch(inputs, config.weight_type);
    for (size_t g = 0; g < 3; g++)
        for (size_t j = 0; j < groups * group; j++)
            for (size_t k = 0; k < pitch; k++) {
                const int there = j < U && k < U;
                const float wanted =
                    there ? round_operand((gru_cuda_compute_type)compute_type, R[(g * U + j) * U + k]) : 0;
                const size_t tile = (k / 8 * 3 + g) * groups + j / group;
                const float seen = gru_load_float(got + layout.R_transposed, config.weight_type,
                                                  (tile * 8 + k % 8) * group + j % group);
                CHECK(seen == wanted, "R transposed of compute_type %d at %d, %d, %d", compute_type, (int)g,
                      (int)k, (int)j);
                if (j >= pitch) continue;
                CHECK(gru_load_float(got + layout.R, config.weight_type, (g * pitch + j) * pitch + k) ==
                          wanted,
                      "R of compute_type %d at %d, %d, %d", compute_type, (int)g, (int)j, (int)k);
            }
    for (size_t i = 0; i < 3 * pitch * row; i++) {
        const size_t g = i / row / pitch, j = i / row % pitch, k = i % row;
        const float wanted =
            j < U && k < I ? round_operand((gru_cuda_compute_type)compute_type, W[(g * U + j) * I + k]) : 0;
        CHECK(gru_load_float(got + layout.W, config.weight_type, i) == wanted, "W of compute_type %d at %d",
              compute_type, (int)i);
    }
    device_free(memory);
    gru_layer_release(layer);
    free(W), free(R), free(got);
}

TEST(cuda_gradients, turned_weights) {
    static const int32_t sizes[][2] = {{3, 5}, {0, 16}, {21, 33}, {40, 50}};
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_context *context = tester_device_context(compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0);
        CHECK(gru_cuda_load_backward((gru_cuda_compute_type)compute_type) == cudaSuccess, "loading");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            compare_turned(context, compute_type, sizes[i][0], sizes[i][1]);
        gru_context_release(context);
    }
}
