/* test_cuda_ragged.c: masks and ragged batches on every CUDA engine: bits, graphs, and wrong numbers in the device's memory. */
#include <cuda_runtime_api.h>
#include <string.h>

#include "control.h"
#include "cuda_fixture.h"
#include "support/layout_call.h"
#include "support/stack_fixture.h"

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* The fixture's lengths, descending: batch_sizes without an order hold them too. */
static void sort_lengths(problem *p) {
    int32_t *lengths = (int32_t *)(uintptr_t)p->run.lengths;
    for (int i = 0; i < N; i++) lengths[i] = T - i * (T + 1) / N;
}

static void check_values(const problem *p, const result *r, const gradients *g) {
    problem *exact = problem_exact(p);
    gru_context *reference = tester_context("cpu_reference", 1);
    result exact_r;
    gradients exact_g;
    memcpy((void *)(uintptr_t)exact->run.lengths, p->run.lengths, N * sizeof *p->run.lengths);
    problem_run(exact, reference, &exact_r);
    gradients_make(exact, &exact_g);
    REQUIRE(problem_backward(exact, &exact_r, 0, &exact_g) == GRU_OK, "%s", gru_last_error());
    check_close(p, r->layer, "y", r->y, exact_r.y);
    check_close(p, r->layer, "hT", r->hT, exact_r.hT);
    check_gradients_close(p, r->layer, g, &exact_g);
    gradients_free(&exact_g);
    result_free(&exact_r);
    problem_free(exact);
    gru_context_release(reference);
}

/* The batch with lengths against the reference, and two other layouts against it. */
static void compare_layouts(const kernel_config *f, int compute_type, int draw) {
    static const uint32_t more[] = {0, PROBLEM_PROJECTED};
    const gru_layer_config config = fixture_config(f, compute_type, draw);
    const shape sizes = {T, N, I, H, "two octets of rows, two of units and a tail"};
    gru_context *context = fixture_context(f, compute_type, 0);
    problem *p =
        problem_make(&sizes, &config, fixture_options | PROBLEM_TRAIN | more[draw % 5 == 0], (uint64_t)draw);
    result r;
    gradients g;
    kernel_config_name(f, p->text, sizeof p->text);
    if (draw % 2) sort_lengths(p);
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    problem_run(p, context, &r);
    CHECK(kernel_config_was_used(f, r.layer, N), "another kernel_config runs: %s", p->text);
    gradients_make(p, &g);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_values(p, &r, &g);
    check_layout(p, &r, &g, OTHER_MASK);
    check_layout(p, &r, &g, draw % 2 ? OTHER_BATCH_SIZES : draw % 4 ? OTHER_OFFSETS : OTHER_BATCH_ORDER);
    kernel_config_clear_override();
    gradients_free(&g);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* Each configuration with one arithmetic, and with two where an engine has but two configurations: in three seeds every engine
 * has run with every arithmetic. */
static int is_drawn(int f, int compute_type) {
    if (!kernel_config_is_selected(f)) return 0;
    if (strcmp(kernel_configs[f].engine, "cuda_fused_before") == 0) return compute_type % 2 == f % 2;
    return compute_type == (f + (int)emu_option.seed) % COMPUTE_TYPES;
}

TEST(cuda_ragged, has_the_bits_of_lengths) {
    for (int i = 0, drawn = 0; i < KERNEL_CONFIGS * COMPUTE_TYPES; i++)
        if (is_drawn(i / COMPUTE_TYPES, i % COMPUTE_TYPES) && tester_takes((uint64_t)drawn++))
            compare_layouts(&kernel_configs[i / COMPUTE_TYPES], i % COMPUTE_TYPES, i + (int)emu_option.seed);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------- */

/* A problem's training call in a layout, with gradients of its own. */
typedef struct ragged_call {
    other_layout layout;
    layout_call call;
    gradients g;
} ragged_call;

static ragged_call open_call(const problem *p, const result *r, int kind, const int32_t *lengths,
                             uint64_t seed) {
    ragged_call c;
    other_layout_make(&c.layout, kind, p->shape.T, p->shape.N, lengths, seed);
    layout_call_prepare_forward(p, r, &c.layout, &c.call);
    gradients_make(p, &c.g);
    layout_call_prepare_backward(p, &c.layout, &c.g, &c.call);
    return c;
}

static void close_call(ragged_call *c) {
    gradients_free(&c->g);
    layout_call_free(&c->call);
    other_layout_free(&c->layout);
}

static void copy_buffer(void *to, const void *from) {
    size_t bytes, same_bytes;
    (void)tester_buffer(from, &bytes);
    (void)tester_buffer(to, &same_bytes);
    REQUIRE(bytes == same_bytes, "%zu and %zu bytes", bytes, same_bytes);
    memcpy(to, from, bytes);
}

/* Gives a call the numbers of another one that has not run. */
static void take_numbers(ragged_call *to, const ragged_call *from) {
    for (int i = 0; i < to->layout.buffer_count; i++)
        copy_buffer(to->layout.buffers[i], from->layout.buffers[i]);
    for (int i = 0; i < to->call.count; i++) copy_buffer(to->call.memory[i], from->call.memory[i]);
}

static cudaGraphExec_t record(const gru_layer *layer, const gru_run *run, const gru_gradients *wanted) {
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    REQUIRE(!cudaStreamBeginCapture(run->stream, cudaStreamCaptureModeGlobal), "no capture");
    gru_status status = gru_layer_forward(layer, run);
    if (status == GRU_OK) status = gru_layer_backward(layer, run, wanted);
    REQUIRE(!cudaStreamEndCapture(run->stream, &graph) && status == GRU_OK, "%s", gru_last_error());
    REQUIRE(!cudaGraphInstantiate(&replay, graph, 0) && !cudaGraphDestroy(graph), "no graph");
    return replay;
}

static void run_directly(const problem *p, const result *r, const ragged_call *c) {
    REQUIRE(device_mirror_forward(r->layer, &c->call.run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    REQUIRE(device_mirror_backward(r->layer, &c->call.run, &c->call.wanted) == GRU_OK, "%s: %s",
            gru_last_error(), p->text);
}

static void check_same_calls(const problem *p, const ragged_call *a, const ragged_call *b) {
    check_same_array("y", p->text, p->config.io_type, a->call.run.y.data, b->call.run.y.data,
                     (size_t)a->layout.rows * H);
    check_same_bits(p, "hT", a->call.run.hT, b->call.run.hT);
    check_same_array("dx", p->text, p->config.io_type, a->call.wanted.dx.data, b->call.wanted.dx.data,
                     (size_t)a->layout.rows * I);
    for (int i = GRAD_H0; i < GRADS; i++)
        if (a->g.data[i])
            check_same_array(gradient_names[i], p->text, a->g.type[i], a->g.data[i], b->g.data[i],
                             a->g.count[i]);
}

/* turned: the lengths stand in the opposite order, so that there are as many rows. */
static ragged_call open_replayed(const problem *p, const result *r, int kind, int turned) {
    int32_t lengths[N];
    for (int n = 0; n < N; n++) lengths[turned ? N - 1 - n : n] = (N - 1 - n) * T / (N - 1);
    ragged_call c = open_call(p, r, kind, lengths, (uint64_t)turned);
    c.call.wanted.parts = GRU_GRAD_OVERWRITE;
    return c;
}

/* A training step of one batch, recorded and replayed with another of as many rows: other steps are absent. */
static void compare_replays(const kernel_config *f, int compute_type, int kind) {
    const gru_layer_config config = fixture_config(f, compute_type, kind + compute_type);
    const shape sizes = {T, N, I, H, "as the fixture"};
    gru_context *context = fixture_context(f, compute_type, 0);
    problem *p = problem_make(&sizes, &config, fixture_options | PROBLEM_TRAIN, 1);
    result r;
    gru_run run;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    ragged_call recorded = open_replayed(p, &r, kind, 0), other = open_replayed(p, &r, kind, 1);
    kernel_config_name(f, p->text, sizeof p->text);
    device_mirror *m = device_mirror_open(context, &recorded.call.run, &run);
    const gru_gradients wanted = device_mirror_gradients(m, &recorded.call.wanted);
    REQUIRE(gru_wait(context, run.stream) == GRU_OK, "%s", gru_last_error());
    cudaGraphExec_t graph = record(r.layer, &run, &wanted);
    take_numbers(&recorded, &other);
    run_directly(p, &r, &other);
    device_mirror_send(m);
    REQUIRE(cudaGraphLaunch(graph, run.stream) == cudaSuccess, "the graph was refused");
    device_mirror_receive(m);
    check_same_calls(p, &other, &recorded);
    (void)cudaGraphExecDestroy(graph);
    device_mirror_close(m);
    close_call(&recorded), close_call(&other);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_ragged, graphs) {
    static const int engines[] = {0, 5, 13}; /* a kernel configuration of each */
    enum { KINDS = OTHER_BATCH_ORDER - OTHER_MASK + 1 };
    for (int i = 0; i < 3 * KINDS; i++)
        if (tester_takes((uint64_t)i))
            compare_replays(&kernel_configs[engines[i / KINDS]],
                            (int)((uint64_t)i + emu_option.seed) % COMPUTE_TYPES, OTHER_MASK + i % KINDS);
}

/* ---- work --------------------------------------------------------------------------------------------------------- */

/* Multiplications of the input projection in one call. */
static double count_products(const result *r, const gru_run *run) {
    const uint64_t before = emu_gemm_products();
    REQUIRE(device_mirror_forward(r->layer, run) == GRU_OK, "%s", gru_last_error());
    return (double)(emu_gemm_products() - before);
}

/* Lengths 1 to STEPS, in no order: at most 0.6 of what rows that all have STEPS steps take. */
static void compare_products(const kernel_config *f, int compute_type, int kind) {
    enum { STEPS = 16, SEQUENCES = 16 };
    const shape sizes = {STEPS, SEQUENCES, 8, 16, "as many lengths as steps"};
    const gru_layer_config config = fixture_config(f, compute_type, kind);
    int32_t whole[SEQUENCES], uniform[SEQUENCES];
    gru_context *context = fixture_context(f, compute_type, 0);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_TRAIN, 1);
    result r;
    for (int n = 0; n < SEQUENCES; n++) {
        whole[n] = STEPS;
        uniform[n] = kind == OTHER_BATCH_SIZES ? STEPS - n : 1 + n * 5 % STEPS;
    }
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    ragged_call padded = open_call(p, &r, OTHER_MASK, whole, 1), ragged = open_call(p, &r, kind, uniform, 1);
    const double all = count_products(&r, &padded.call.run), real = count_products(&r, &ragged.call.run);
    CHECK(all > 0 && real <= 0.6 * all, "the projection takes %.3f of the padded run: %s", real / all,
          p->text);
    close_call(&padded), close_call(&ragged);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_ragged, the_projection_multiplies_the_steps_that_exist) {
    const int moods = emu_option.cublaslt_moods;
    emu_option.cublaslt_moods = 0; /* one algorithm serves all rows of the padded batch */
    for (int kind = OTHER_OFFSETS; kind <= OTHER_BATCH_SIZES; kind++)
        for (int type = 0; type < COMPUTE_TYPES; type++)
            compare_products(&kernel_configs[kind % 2 ? 0 : 13], type, kind);
    emu_option.cublaslt_moods = moods;
}

/* ---- wrong numbers ------------------------------------------------------------------------------------------------ */

enum { FEW = 3, ROWS = 5 }; /* three sequences of at most three steps; five steps in all */

/* What the device's memory says, and what gru_context_check says of it; "": nothing. NULL: the call has no such array. */
typedef struct wrong_numbers {
    const int64_t *offsets, *batch_sizes, *batch_order;
    const char *report;
} wrong_numbers;

static const int64_t good[] = {0, 2, 3, 5}, late[] = {1, 2, 3, 5}, before[] = {-7, 2, 3, 5},
                     falls[] = {0, 3, 2, 5}, below[] = {0, 2, -9, 5}, far[] = {0, 2, INT64_MAX, 5},
                     farther[] = {INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX}, early[] = {0, 1, 2, 3},
                     too_long[] = {0, 0, 4, 5};
static const int64_t sizes[] = {3, 2, 0}, grow[] = {1, 2, 2}, more[] = {3, 3, 2}, many[] = {9, 2, 0},
                     huge[] = {INT64_MAX, INT64_MAX, INT64_MAX}, negative[] = {3, INT64_MIN, 2};
static const int64_t order[] = {2, 0, 1}, outside[] = {0, 5, 1}, under[] = {0, 1, INT64_MIN},
                     twice[] = {0, 1, 1};
static const wrong_numbers cases[] = {
    {good, NULL, NULL, ""},
    {late, NULL, NULL, "run.offsets[0] was 1, expected 0"},
    {before, NULL, NULL, "run.offsets[0] was -7, expected 0"},
    {falls, NULL, NULL, "run.offsets[2] was 2, expected at least offsets[1], which was 3"},
    {below, NULL, NULL, "run.offsets[2] was -9, expected at least offsets[1], which was 2"},
    {far, NULL, NULL, "run.offsets[2] was 9223372036854775807"},
    {farther, NULL, NULL, "run.offsets[0] was -9223372036854775808, expected 0"},
    {early, NULL, NULL, "run.offsets[3] was 3, expected ragged_rows, which was 5"},
    {too_long, NULL, NULL, "run.offsets[2] was 4, expected at least offsets[1], which was 0, at most T more"},
    {NULL, sizes, NULL, ""},
    {NULL, sizes, order, ""},
    {NULL, grow, NULL, "run.batch_sizes[1] was 2, expected 0 to 1"},
    {NULL, more, NULL, "run.batch_sizes had 8 rows in all, expected ragged_rows, which was 5"},
    {NULL, many, NULL, "run.batch_sizes[0] was 9, expected 0 to 3"},
    {NULL, huge, NULL, "run.batch_sizes[0] was 9223372036854775807, expected 0 to 3"},
    {NULL, negative, NULL, "run.batch_sizes[1] was -9223372036854775808, expected 0 to 3"},
    {NULL, sizes, outside, "run.batch_order[1] was 5, expected 0 to 2, below N"},
    {NULL, sizes, under, "run.batch_order[2] was -9223372036854775808, expected 0 to 2, below N"},
    {NULL, sizes, twice, "run.batch_order had 1 twice, expected each sequence once"},
};
enum { CASES = sizeof cases / sizeof *cases };

static void check_report(gru_context *context, const char *report) {
    const gru_status status = gru_context_check(context, tester_device.stream);
    if (*report)
        CHECK(status == GRU_BAD_DATA && strstr(gru_last_error(), report),
              "the report is \"%s\", expected \"%s\"", gru_last_error(), report);
    else
        CHECK(status == GRU_OK, "%s", gru_last_error());
    CHECK(gru_context_check(context, tester_device.stream) == GRU_OK, "the report was not cleared");
}

/* Copies in guarded memory, so that the device finds who reads beyond them. */
static void set_numbers(const wrong_numbers *wrong, gru_run *run, void *copies[3]) {
    copies[0] = wrong->offsets ? tester_copy(wrong->offsets, (FEW + 1) * sizeof(int64_t)) : NULL;
    copies[1] = wrong->batch_sizes ? tester_copy(wrong->batch_sizes, FEW * sizeof(int64_t)) : NULL;
    copies[2] = wrong->batch_order ? tester_copy(wrong->batch_order, FEW * sizeof(int64_t)) : NULL;
    run->offsets = copies[0], run->batch_sizes = copies[1], run->batch_order = copies[2];
    run->ragged_rows = ROWS;
}

static void free_numbers(void *copies[3]) {
    for (int i = 0; i < 3; i++) tester_free(copies[i]);
}

/* A training call of a layer returns, reads and writes nothing outside its tensors, and is reported. */
static void check_layer(gru_context *context, const wrong_numbers *wrong, int32_t direction) {
    static const int32_t lengths[FEW] = {2, 1, 2};
    const shape small = {FEW, FEW, 3, 5, "small"};
    gru_layer_config config = GRU_INIT;
    config.direction = direction;
    problem *p = problem_make(&small, &config, fixture_options | PROBLEM_TRAIN, 1);
    result r;
    void *copies[3];
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    ragged_call c = open_call(p, &r, OTHER_OFFSETS, lengths, 1);
    set_numbers(wrong, &c.call.run, copies);
    REQUIRE(device_mirror_forward(r.layer, &c.call.run) == GRU_OK, "%s", gru_last_error());
    check_report(context, wrong->report);
    REQUIRE(device_mirror_backward(r.layer, &c.call.run, &c.call.wanted) == GRU_OK, "%s", gru_last_error());
    check_report(context, wrong->report);
    for (int i = 0; i < c.call.count; i++)
        CHECK(tester_intact(c.call.memory[i]), "a guard was overwritten: %s", wrong->report);
    free_numbers(copies);
    close_call(&c);
    result_free(&r);
    problem_free(p);
}

TEST(cuda_ragged, wrong_numbers_are_reported) {
    gru_context *context = tester_device_context(0);
    for (int i = 0; i < 2 * CASES; i++)
        if (tester_takes((uint64_t)i)) check_layer(context, &cases[i % CASES], i / CASES);
    gru_context_release(context);
}

/* A call with one of its arrays in host memory is refused by the array's name. */
static void check_host_memory(gru_context *context, int kind) {
    static const int32_t lengths[FEW] = {2, 1, 2};
    const shape small = {FEW, FEW, 3, 5, "small"};
    const gru_layer_config config = GRU_INIT;
    problem *p = problem_make(&small, &config, fixture_options, 1);
    result r;
    gru_run there;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    ragged_call c = open_call(p, &r, kind, lengths, 1);
    const gru_run *here = &c.call.run;
    device_mirror *m = device_mirror_open(context, here, &there);
    const char *name = kind == OTHER_MASK          ? "run.mask"
                       : kind == OTHER_OFFSETS     ? "run.offsets"
                       : kind == OTHER_BATCH_SIZES ? "run.batch_sizes"
                                                   : "run.batch_order";
    if (kind == OTHER_MASK) there.mask = here->mask;
    if (kind == OTHER_OFFSETS) there.offsets = here->offsets;
    if (kind == OTHER_BATCH_SIZES) there.batch_sizes = here->batch_sizes;
    if (kind == OTHER_BATCH_ORDER) there.batch_order = here->batch_order;
    CHECK(gru_layer_forward(r.layer, &there) == GRU_BAD_ARGUMENT && strstr(gru_last_error(), name) &&
              strstr(gru_last_error(), "host memory"),
          "%s in host memory: \"%s\"", name, gru_last_error());
    device_mirror_close(m);
    close_call(&c);
    result_free(&r);
    problem_free(p);
}

TEST(cuda_ragged, host_memory_is_refused) {
    gru_context *context = tester_device_context(0);
    for (int kind = OTHER_MASK; kind <= OTHER_BATCH_ORDER; kind++) check_host_memory(context, kind);
    gru_context_release(context);
}

/* Wrong numbers for dropout between two layers, which reads them itself. */
TEST(cuda_ragged, wrong_numbers_in_stacks) {
    static const layer_spec specs[] = {{.hidden = 5}, {.hidden = 4, .bidirectional = 1}};
    const stack_fixture_sizes small = {.T = FEW, .N = FEW, .I = 3, .mode = GRU_TRAIN, .dropout = 0.4f};
    gru_context *context = tester_device_context(0);
    stack_fixture *f = stack_fixture_make(context, specs, 2, small);
    for (int i = 0; i < CASES; i++) {
        gru_stack_run run = f->run;
        void *copies[3];
        set_numbers(&cases[i], &run.data, copies);
        REQUIRE(device_mirror_stack_forward(f->stack, &run) == GRU_OK, "%s", gru_last_error());
        check_report(context, cases[i].report);
        free_numbers(copies);
    }
    stack_fixture_free(f);
    gru_context_release(context);
}
