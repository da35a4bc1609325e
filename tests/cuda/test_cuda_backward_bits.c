/* test_cuda_backward_bits.c: the bits of CUDA's gradients do not depend on tiles, batch or parts; and a whole training step as a graph. */
#include <cuda_runtime_api.h>
#include <math.h>
#include <string.h>

#include "control.h"
#include "core/number.h"
#include "cuda_fixture.h"

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* Again, and in two parts. */
TEST(cuda_backward_bits, repeated_and_in_parts) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        cuda_fixture s =
            open_fixture(&backward_kernel_configs[i], (int)((uint64_t)i + emu_option.seed) % COMPUTE_TYPES, i,
                         fixture_options, 0);
        gradients once, again, apart;
        run_gradient_call(s.p, &s.r, &s.call, &once);
        run_gradient_call(s.p, &s.r, &s.call, &again);
        s.call.apart = 1;
        run_gradient_call(s.p, &s.r, &s.call, &apart);
        check_same_gradients(s.p, &once, &again);
        check_same_gradients(s.p, &once, &apart);
        gradients_free(&once), gradients_free(&again), gradients_free(&apart);
        close_fixture(&s);
    }
}

/* Every tile and both fused launches. */
TEST(cuda_backward_bits, any_tile_and_fused_form) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        for (int reset = 0; reset < 3; reset++) {
            gradients first = {{0}, {0}, {0}}, other;
            if (!kernel_config_is_selected(compute_type + reset)) continue;
            for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
                if (!kernel_config_has_reset(&backward_kernel_configs[i], reset) ||
                    strcmp(backward_kernel_configs[i].engine, "cuda_large_batch") == 0)
                    continue;
                cuda_fixture s =
                    open_fixture(&backward_kernel_configs[i], compute_type, reset + 3, fixture_options, 0);
                run_gradient_call(s.p, &s.r, &s.call, i ? &other : &first);
                if (i) check_same_gradients(s.p, &first, &other);
                if (i) gradients_free(&other);
                close_fixture(&s);
            }
            gradients_free(&first);
        }
}

/* Rows n0 .. n0 + n - 1 of a whole batch's gradients of data. */
static void compare_rows(const problem *part, const gradients *whole, const gradients *some, int64_t n0) {
    const int64_t n = part->shape.N;
    for (int g = GRAD_X; g <= GRAD_H_RESET; g++) {
        const int64_t steps = g <= GRAD_ATTENTION ? T : 1;
        if (!whole->data[g]) continue;
        const size_t row = whole->count[g] / (size_t)(steps * N) * gru_type_bytes(whole->type[g]);
        for (int64_t t = 0; t < steps; t++)
            CHECK(memcmp((char *)whole->data[g] + (size_t)(t * N + n0) * row,
                         (char *)some->data[g] + (size_t)(t * n) * row, (size_t)n * row) == 0,
                  "%s of row %lld, t %lld, has other bits among other rows: %s", gradient_names[g],
                  (long long)n0, (long long)t, part->text);
    }
}

TEST(cuda_backward_bits, one_row_in_any_batch) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        const kernel_config *f = &backward_kernel_configs[i];
        if (!kernel_config_is_selected(i) || strcmp(f->engine, "cuda_large_batch") == 0) continue;
        cuda_fixture s = open_fixture(f, i % COMPUTE_TYPES, i, fixture_options, GRU_BATCH_INVARIANT);
        gradients whole;
        run_gradient_call(s.p, &s.r, &s.call, &whole);
        for (int64_t n = 0; n < N; n += 4) {
            problem *part = problem_slice(s.p, 0, T, n, n == 4 ? 3 : 1);
            result r;
            gradients some;
            problem_run(part, s.context, &r);
            run_gradient_call(part, &r, &s.call, &some);
            compare_rows(part, &whole, &some, n);
            gradients_free(&some);
            result_free(&r);
            problem_free(part);
        }
        gradients_free(&whole);
        close_fixture(&s);
    }
}

/* ---- NaN ---------------------------------------------------------------------------------------------------------- */

/* NaN where a row has ended is read by nobody. */
static void poison_what_has_ended(problem *p) {
    const gru_const_view *views[] = {&p->run.x, &p->dy, &p->run.attention};
    const int64_t rows[] = {I, H, 1};
    for (int v = 0; v < 3; v++)
        for (int64_t k = 0; k < T * N; k++)
            for (int64_t i = 0; k / N >= p->run.lengths[k % N] && i < rows[v]; i++)
                gru_store_double((void *)(uintptr_t)views[v]->data, v == 2 ? GRU_F32 : p->config.io_type,
                                 (size_t)(k * rows[v] + i), NAN);
}

TEST(cuda_backward_bits, what_has_ended_is_not_read) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        cuda_fixture s =
            open_fixture(&backward_kernel_configs[i], i % COMPUTE_TYPES, i + 1, fixture_options, 0);
        gradients clean, sick;
        run_gradient_call(s.p, &s.r, &s.call, &clean);
        poison_what_has_ended(s.p);
        run_gradient_call(s.p, &s.r, &s.call, &sick);
        check_same_gradients(s.p, &clean, &sick);
        gradients_free(&clean), gradients_free(&sick);
        close_fixture(&s);
    }
}

/* NaN in one row's dy stays in the row's gradients of data, and shows in those of weights. */
TEST(cuda_backward_bits, nan_stays_in_its_row) {
    const int64_t n = 0; /* has all T steps */
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        cuda_fixture s =
            open_fixture(&backward_kernel_configs[i], i % COMPUTE_TYPES, i + 2, fixture_options, 0);
        gradients clean, sick;
        run_gradient_call(s.p, &s.r, &s.call, &clean);
        gru_store_double((void *)(uintptr_t)s.p->dy.data, s.p->config.io_type, (size_t)((N + n) * H + 3),
                         NAN);
        run_gradient_call(s.p, &s.r, &s.call, &sick);
        for (int g = GRAD_X; g <= GRAD_H_RESET; g++) {
            const int64_t steps = g <= GRAD_ATTENTION ? T : 1;
            if (!clean.data[g]) continue;
            const size_t row = clean.count[g] / (size_t)(steps * N) * gru_type_bytes(clean.type[g]);
            for (int64_t k = 0; k < steps * N; k++)
                CHECK(k % N == n || memcmp((char *)clean.data[g] + (size_t)k * row,
                                           (char *)sick.data[g] + (size_t)k * row, row) == 0,
                      "%s of row %lld changed: %s", gradient_names[g], (long long)(k % N), s.p->text);
        }
        CHECK(isnan(gru_load_double(sick.data[GRAD_R], GRU_F32, 3 * H)), "NaN was lost: %s", s.p->text);
        gradients_free(&clean), gradients_free(&sick);
        close_fixture(&s);
    }
}

/* ---- graphs ------------------------------------------------------------------------------------------------------- */

/* The numbers of another problem of the same sizes and options, in the memory of this one. */
static void take_numbers(problem *p, uint64_t seed) {
    problem *other = problem_make(&p->shape, &p->config, p->options, seed);
    for (int i = 0; i < p->buffer_count; i++)
        memcpy(p->buffers[i].data, other->buffers[i].data, p->buffers[i].bytes);
    problem_free(other);
}

/* One step of training in the stream: weights from the device's memory, forward, backward. */
static gru_status train(gru_layer *layer, const gru_weights *weights, const uploaded *l) {
    gru_status status = gru_layer_update(layer, weights, l->run.stream);
    if (status == GRU_OK) status = gru_layer_forward(layer, &l->run);
    return status == GRU_OK ? gru_layer_backward(layer, &l->backward, &l->gradients) : status;
}

static gru_weights weights_there(gru_context *context, const gru_weights *here, void *memory[4],
                                 const size_t bytes[4]) {
    gru_weights there = *here;
    const void **const fields[] = {&there.W, &there.R, &there.bW, &there.bR};
    for (int i = 0; i < 4; i++) {
        REQUIRE(gru_allocate(context, bytes[i], &memory[i]) == GRU_OK, "%s", gru_last_error());
        *fields[i] = memory[i];
    }
    there.on_device = 1;
    return there;
}

static void send_weights(gru_context *context, const gru_weights *here, void *const memory[4],
                         const size_t bytes[4], void *stream) {
    const void *const fields[] = {here->W, here->R, here->bW, here->bR};
    for (int i = 0; i < 4; i++)
        REQUIRE(gru_copy(context, memory[i], fields[i], bytes[i], stream) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, stream) == GRU_OK, "%s", gru_last_error());
}

/* A whole step of training, recorded before any other, and replayed with other data, weights and loss scales. */
static void compare_replays(const kernel_config *f, int compute_type, int reset) {
    cuda_fixture s = open_fixture(f, compute_type, reset, fixture_options, 0);
    const size_t element = gru_type_bytes(s.p->weights.type);
    const size_t bytes[] = {3 * H * I * element, 3 * H * H * element, 3 * H * element, 3 * H * element};
    void *memory[4];
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    problem_renew_outputs(s.p, &s.r);
    uploaded l = upload(&s);
    const gru_weights there = weights_there(s.context, &s.p->weights, memory, bytes);
    kernel_config_override_backward(f, (gru_cuda_compute_type)compute_type);
    REQUIRE(!cudaStreamBeginCapture(l.run.stream, cudaStreamCaptureModeGlobal), "no capture");
    const gru_status status = train(s.r.layer, &there, &l);
    REQUIRE(!cudaStreamEndCapture(l.run.stream, &graph) && status == GRU_OK, "%s: %s", f->name,
            gru_last_error());
    REQUIRE(!cudaGraphInstantiate(&replay, graph, 0) && !cudaGraphDestroy(graph), "no graph");
    for (uint64_t seed = 2; seed < 4; seed++) {
        gradients direct;
        result r;
        take_numbers(s.p, seed);
        *l.scale = (float)seed;
        s.call.loss_scale = (float)seed;
        kernel_config_override_backward(f, (gru_cuda_compute_type)compute_type); /* forward as recorded */
        problem_run(s.p, s.context, &r);
        run_gradient_call(s.p, &r, &s.call, &direct);
        for (int g = GRAD_W; g < GRADS; g++)
            for (size_t k = 0; k < l.here.count[g]; k++) /* what run_gradient_call begins with */
                ((float *)l.here.data[g])[k] = (float)tester_uniform((uint64_t)g, k);
        device_mirror_send(l.m);
        send_weights(s.context, &s.p->weights, memory, bytes, l.run.stream);
        REQUIRE(cudaGraphLaunch(replay, l.run.stream) == cudaSuccess, "the graph was refused");
        device_mirror_receive(l.m);
        check_same_gradients(s.p, &direct, &l.here);
        gradients_free(&direct);
        result_free(&r);
    }
    (void)cudaGraphExecDestroy(replay);
    kernel_config_clear_override();
    for (int i = 0; i < 4; i++) gru_free(s.context, memory[i]);
    download(&l);
    close_fixture(&s);
}

TEST(cuda_backward_bits, a_whole_step_is_recorded) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++)
        if (kernel_config_is_selected(i))
            compare_replays(&backward_kernel_configs[i], (int)((uint64_t)i + emu_option.seed) % COMPUTE_TYPES,
                            i);
}
