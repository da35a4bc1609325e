/* test_cuda_runs.c: what a run of CUDA's engines asks of the device, of the caller's memory, and of other runs. */
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <string.h>

#include "control.h"
#include "kernel_config.h"
#include "support/device_mirror.h"
#include "support/properties.h"

enum { T = 4, N = 9, I = 7, H = 19, COMPUTE_TYPES = 4 };
static const shape sizes = {T, N, I, H, "two octets of rows, two of units and a tail"};

static gru_layer_config config_for(const kernel_config *f, int compute_type, int reset) {
    static const int types[COMPUTE_TYPES] = {0, 0, 1, 2}; /* of problem_types */
    gru_layer_config config = GRU_INIT;
    config.reset_mode = kernel_config_has_reset(f, reset) ? reset : (reset + 1) % 3;
    while (!kernel_config_has_reset(f, config.reset_mode)) config.reset_mode = (config.reset_mode + 1) % 3;
    problem_types(&config, types[compute_type]);
    return config;
}

static gru_context *make_context(const kernel_config *f, int compute_type) {
    return kernel_config_context(f, compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0);
}

/* ---- the device's memory ----------------------------------------------------------------------------------------- */

static void count_run(const kernel_config *f, int compute_type, int reset, uint32_t options) {
    const gru_layer_config config = config_for(f, compute_type, reset);
    gru_context *context = make_context(f, compute_type);
    problem *p = problem_make(&sizes, &config, options, 1);
    result r;
    gru_run run;
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    problem_renew_outputs(p, &r);
    device_mirror *m = device_mirror_open(context, &r.run, &run);
    const uint64_t allocated = emu_allocations(), loaded = emu_loaded(), launched = emu_launches();
    REQUIRE(gru_layer_forward(r.layer, &run) == GRU_OK, "%s: %s", f->name, gru_last_error());
    device_mirror_receive(m);
    CHECK(emu_launches() > launched, "nothing was launched");
    CHECK(emu_allocations() == allocated, "%s: the first run left %d allocations more", f->name,
          (int)(emu_allocations() - allocated));
    CHECK(emu_loaded() == loaded, "%s: the first run loaded %d kernels", f->name,
          (int)(emu_loaded() - loaded));
    device_mirror_close(m);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
    kernel_config_clear_override();
}

/* The first test of this program, so that no kernel has been loaded by another. */
TEST(cuda_runs, first_runs_load_and_allocate_nothing) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        for (int i = 0; i < KERNEL_CONFIGS; i++) {
            if (!tester_takes((uint64_t)(compute_type * KERNEL_CONFIGS + i))) continue;
            count_run(&kernel_configs[i], compute_type, i % 3, PROBLEM_LENGTHS);
            count_run(&kernel_configs[i], compute_type, i % 3, PROBLEM_PROJECTED);
        }
}

/* A recording refuses whoever allocates, loads or waits, be it only for a moment. */
TEST(cuda_runs, first_runs_can_be_recorded) {
    for (int i = 0; i < KERNEL_CONFIGS; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        const int compute_type = i % COMPUTE_TYPES;
        const gru_layer_config config = config_for(&kernel_configs[i], compute_type, i % 3);
        gru_context *context = make_context(&kernel_configs[i], compute_type);
        problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_LENGTHS, 1);
        result r;
        gru_run run;
        cudaGraph_t graph = NULL;
        kernel_config_override(&kernel_configs[i], (gru_cuda_compute_type)compute_type, config.reset_mode);
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        problem_renew_outputs(p, &r);
        device_mirror *m = device_mirror_open(context, &r.run, &run);
        REQUIRE(gru_wait(context, run.stream) == GRU_OK, "%s", gru_last_error());
        REQUIRE(cudaStreamBeginCapture(run.stream, cudaStreamCaptureModeGlobal) == cudaSuccess, "no capture");
        const gru_status status = gru_layer_forward(r.layer, &run);
        const cudaError_t ended = cudaStreamEndCapture(run.stream, &graph);
        CHECK(status == GRU_OK && ended == cudaSuccess && graph, "%s cannot be recorded: %s",
              kernel_configs[i].name, status ? gru_last_error() : cudaGetErrorName(ended));
        (void)cudaGraphDestroy(graph);
        device_mirror_close(m);
        result_free(&r);
        problem_free(p);
        gru_context_release(context);
        kernel_config_clear_override();
    }
}

/* ---- lengths and slots in the device's memory --------------------------------------------------------------------- */

static void check_report(gru_context *context, const kernel_config *f, const char *words) {
    void *stream = tester_device.stream;
    CHECK(gru_context_check(context, stream) == GRU_BAD_DATA && strstr(gru_last_error(), words),
          "%s: the report is \"%s\", expected \"%s\"", f->name, gru_last_error(), words);
    CHECK(gru_context_check(context, stream) == GRU_OK, "%s: the report was not cleared: %s", f->name,
          gru_last_error());
}

/* Lengths outside 0..T count as 0 and T. */
static void clamp_lengths(const kernel_config *f, int compute_type, int direction) {
    gru_layer_config config = config_for(f, compute_type, direction);
    config.direction = direction;
    gru_context *context = make_context(f, compute_type);
    problem *p =
        problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SEGMENTS | PROBLEM_TRAIN, 1);
    int32_t *lengths = (int32_t *)(uintptr_t)p->run.lengths;
    result right, clamped;
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    lengths[2] = T, lengths[5] = 0;
    problem_run(p, context, &right);
    CHECK(gru_context_check(context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    lengths[2] = T + 1000000, lengths[5] = -3;
    problem_run(p, context, &clamped);
    check_same_results(p, &right, &clamped);
    check_report(context, f, "run.lengths[");
    result_free(&right), result_free(&clamped);
    problem_free(p);
    gru_context_release(context);
    kernel_config_clear_override();
}

TEST(cuda_runs, lengths_out_of_range_are_clamped_and_reported) {
    for (int i = 0; i < KERNEL_CONFIGS; i++)
        for (int direction = 0; kernel_config_is_selected(i) && direction < 2; direction++)
            clamp_lengths(&kernel_configs[i], (i + direction) % COMPUTE_TYPES, direction);
}

/* Row `to` of a pool of states. */
static float *state_row(const void *pool, int32_t slot) {
    return (float *)(uintptr_t)pool + (size_t)slot * H;
}

/* Slots outside the pool read zeros and write nothing; the other rows are right. */
static void refuse_slots(const kernel_config *f, int compute_type, int32_t bad, int written) {
    const gru_layer_config config = config_for(f, compute_type, GRU_RESET_AFTER);
    gru_context *context = make_context(f, compute_type);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_SLOTS, 1);
    int32_t *slots = (int32_t *)(uintptr_t)(written ? p->run.hT_slots : p->run.h0_slots), right = slots[3];
    result good, r;
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    if (!written) memset(state_row(p->run.h0, right), 0, H * sizeof(float));
    problem_run(p, context, &good);
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    problem_renew_outputs(p, &r);
    slots[3] = bad;
    CHECK(device_mirror_forward(r.layer, &r.run) == GRU_OK, "%s: %s", f->name, gru_last_error());
    slots[3] = right;
    if (written) memset(state_row(good.run.hT, right), 0xFF, H * sizeof(float));
    CHECK(memcmp(r.run.hT, good.run.hT, (size_t)p->run.slot_count * H * sizeof(float)) == 0,
          "%s: with slot %d the states differ", f->name, bad);
    CHECK(memcmp(r.run.y.data, good.run.y.data, (size_t)T * N * H * gru_type_bytes(config.io_type)) == 0,
          "%s: with slot %d y differs", f->name, bad);
    CHECK(tester_intact(r.run.hT) && tester_intact(r.run.y.data), "%s: slot %d reaches outside", f->name,
          bad);
    check_report(context, f, written ? "run.hT_slots[3]" : "run.h0_slots[3]");
    result_free(&good), result_free(&r);
    problem_free(p);
    gru_context_release(context);
    kernel_config_clear_override();
}

TEST(cuda_runs, slots_out_of_range_are_skipped_and_reported) {
    for (int i = 0; i < KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        refuse_slots(&kernel_configs[i], i % COMPUTE_TYPES, -1, 0);
        refuse_slots(&kernel_configs[i], i % COMPUTE_TYPES, 2 * N + 3, 0); /* the first behind the pool */
        refuse_slots(&kernel_configs[i], i % COMPUTE_TYPES, INT32_MIN, 1);
        refuse_slots(&kernel_configs[i], i % COMPUTE_TYPES, 2 * N + 3, 1);
    }
}

/* ---- nothing to do ------------------------------------------------------------------------------------------------ */

TEST(cuda_runs, no_steps_and_no_rows) {
    for (int i = 0; i < KERNEL_CONFIGS; i++) {
        const gru_layer_config config = config_for(&kernel_configs[i], i % COMPUTE_TYPES, GRU_RESET_AFTER);
        gru_context *context = make_context(&kernel_configs[i], i % COMPUTE_TYPES);
        problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
        result r;
        kernel_config_override(&kernel_configs[i], (gru_cuda_compute_type)(i % COMPUTE_TYPES),
                               config.reset_mode);
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        problem_renew_outputs(p, &r);
        gru_run run = r.run;
        const size_t y = (size_t)T * N * H * gru_type_bytes(config.io_type),
                     states = (size_t)N * H * sizeof(float);
        const uint64_t launched = emu_launches();
        run.N = 0;
        CHECK(device_mirror_forward(r.layer, &run) == GRU_OK, "N 0: %s", gru_last_error());
        CHECK(emu_launches() == launched, "%d launches for no row", (int)(emu_launches() - launched));
        CHECK(tester_untouched(run.hT, states), "no rows wrote hT");
        run.N = N, run.T = 0;
        CHECK(device_mirror_forward(r.layer, &run) == GRU_OK, "T 0: %s", gru_last_error());
        CHECK(memcmp(run.hT, run.h0, states) == 0, "%s: after no steps hT is not h0", kernel_configs[i].name);
        CHECK(tester_untouched(run.y.data, y), "no steps wrote y");
        result_free(&r);
        problem_free(p);
        gru_context_release(context);
        kernel_config_clear_override();
    }
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

/* Every buffer in turn as memory of the host: refused by its name, before anything is launched. */
TEST(cuda_runs, host_memory_is_refused) {
    const uint32_t options = PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SEGMENTS | PROBLEM_H_RESET |
                             PROBLEM_ATTENTION | PROBLEM_SLOTS | PROBLEM_TRAIN | PROBLEM_PACKED;
    const gru_layer_config config = GRU_INIT;
    gru_context *context = kernel_config_context(&kernel_configs[0], 0);
    problem *p = problem_make(&sizes, &config, options, 1);
    result r;
    gru_run run;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    problem_renew_outputs(p, &r);
    device_mirror *m = device_mirror_open(context, &r.run, &run);
    const uint64_t launched = emu_launches();
#define REFUSED(field)                                                  \
    do {                                                                \
        gru_run wrong = run;                                            \
        wrong.field = r.run.field;                                      \
        CHECK(gru_layer_forward(r.layer, &wrong) == GRU_BAD_ARGUMENT && \
                  strstr(gru_last_error(), "host memory"),              \
              #field " in host memory: \"%s\"", gru_last_error());      \
    } while (0)
    REFUSED(x);
    REFUSED(y);
    REFUSED(h0);
    REFUSED(hT);
    REFUSED(h_restart);
    REFUSED(lengths);
    REFUSED(h0_slots);
    REFUSED(hT_slots);
    REFUSED(restart);
    REFUSED(attention);
    REFUSED(packed);
    REFUSED(workspace);
    REFUSED(reserve);
#undef REFUSED
    run.workspace_size--;
    CHECK(gru_layer_forward(r.layer, &run) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "run.workspace_size"),
          "a workspace of one byte less: \"%s\"", gru_last_error());
    run.workspace_size++;
    CHECK(emu_launches() == launched, "a refused run launched something");
    CHECK(gru_layer_forward(r.layer, &run) == GRU_OK, "%s", gru_last_error());
    device_mirror_receive(m);
    device_mirror_close(m);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

enum { THREADS = 2, CALLS = 5 };
typedef struct worker {
    const gru_layer *layer;
    gru_context *context;
    gru_run run;
    gru_status status;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    for (int i = 0; i < CALLS && w->status == GRU_OK; i++) w->status = gru_layer_forward(w->layer, &w->run);
    if (w->status == GRU_OK) w->status = gru_wait(w->context, w->run.stream);
    return NULL;
}

/* Two threads, each with a stream and memory of its own, on one layer. */
static void run_together(const kernel_config *f, int compute_type) {
    const gru_layer_config config = config_for(f, compute_type, GRU_RESET_AFTER);
    gru_context *context = make_context(f, compute_type);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_LENGTHS, 1);
    result alone, r[THREADS];
    device_mirror *mirrors[THREADS];
    worker workers[THREADS];
    pthread_t threads[THREADS];
    cudaStream_t streams[THREADS];
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    problem_run(p, context, &alone);
    for (int i = 0; i < THREADS; i++) {
        REQUIRE(problem_open(p, context, &r[i]) == GRU_OK, "%s", gru_last_error());
        REQUIRE(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking) == cudaSuccess, "no stream");
        problem_renew_outputs(p, &r[i]);
        workers[i] = (worker){.layer = r[0].layer, .context = context};
        mirrors[i] = device_mirror_open(context, &r[i].run, &workers[i].run);
        workers[i].run.stream = streams[i];
        REQUIRE(gru_wait(context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    }
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, "no thread");
    for (int i = 0; i < THREADS; i++) (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        size_t bytes;
        CHECK(workers[i].status == GRU_OK, "%s: thread %d failed", f->name, i);
        device_mirror_receive(mirrors[i]);
        const void *y = tester_buffer(r[i].run.y.data, &bytes), *hT = r[i].run.hT;
        CHECK(memcmp(y, alone.run.y.data, bytes) == 0 && memcmp(hT, alone.run.hT, N * H * sizeof(float)) == 0,
              "%s: beside another thread, %d has other bits", f->name, i);
        device_mirror_close(mirrors[i]);
        (void)cudaStreamDestroy(streams[i]);
        result_free(&r[i]);
    }
    result_free(&alone);
    problem_free(p);
    gru_context_release(context);
    kernel_config_clear_override();
}

TEST(cuda_runs, threads_share_a_layer) {
    for (int i = 0; i < KERNEL_CONFIGS; i++)
        if (kernel_config_is_selected(i)) run_together(&kernel_configs[i], i % COMPUTE_TYPES);
}
