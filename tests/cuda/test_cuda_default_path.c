/* test_cuda_default_path.c: the default path of step kernels has the bits of the general path, for every block tile, split and
 * option that it serves, forward and backward. That it runs at all is shown by the faults planted into it (tests/mutation). */
#include <string.h>

#include "control.h"
#include "gradient_call.h"
#include "support/properties.h"

enum { COMPUTE_TYPES = 4 };

/* Tails of units, octets and block tiles, in each of two sizes of batch. */
static const shape shapes[] = {
    {4, 37, 3, 72, "two tiles of units, one of rows, both with tails"},
    {4, 75, 3, 20, "two tiles of rows"},
    {5, 1, 8, 40, "one row"},
    {4, 3, 8, 33, "less than half an octet"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The i-th drawn layer and call that the default path serves: sigmoid, tanh, no clip, no lengths, segments or attention. */
static problem *draw_problem(int i, int compute_type, uint32_t options) {
    static const int types[COMPUTE_TYPES][2] = {{0, 5}, {0, 8}, {1, 3}, {2, 7}}; /* of problem_types */
    static const uint32_t more[] = {PROBLEM_H0, PROBLEM_H0 | PROBLEM_STRIDES, PROBLEM_NO_Y,
                                    PROBLEM_H0 | PROBLEM_SLOTS};
    const uint64_t draw = tester_random(emu_option.seed, (uint64_t)i);
    gru_layer_config config = GRU_INIT;
    problem_types(&config, types[compute_type][draw % 2]);
    config.reset_mode = draw / 2 % 2 ? GRU_RESET_ALL : GRU_RESET_AFTER;
    config.update = draw / 4 % 2 ? GRU_UPDATE_WRITE : GRU_UPDATE_KEEP;
    config.direction = draw / 8 % 2 ? GRU_REVERSE : GRU_FORWARD;
    return problem_make(&shapes[draw / 16 % SHAPES], &config, options | more[draw / 64 % 4], draw);
}

static gru_context *make_context(const kernel_config *f, int compute_type) {
    return kernel_config_context(f, compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0);
}

static void run_on_path(const kernel_config *f, const problem *p, gru_context *context, int compute_type,
                        int general, result *r) {
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, p->config.reset_mode);
    gru_cuda_override.general_path = general;
    problem_run(p, context, r);
    kernel_config_clear_override();
}

static void compare_forward(int i, uint32_t options) {
    const kernel_config *f = &kernel_configs[i];
    const int compute_type = (int)(((uint64_t)i + emu_option.seed) % COMPUTE_TYPES);
    gru_context *context = make_context(f, compute_type);
    problem *p = draw_problem(i, compute_type, options);
    result expected, r;
    kernel_config_name(f, p->text, sizeof p->text);
    run_on_path(f, p, context, compute_type, 1, &expected);
    run_on_path(f, p, context, compute_type, 0, &r);
    check_same_results(p, &expected, &r);
    if (options & PROBLEM_TRAIN)
        check_same_array("reserve", p->text, GRU_F32, expected.run.reserve, r.run.reserve,
                         r.sizes.reserve / sizeof(float));
    result_free(&expected), result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_default_path, forward_bits) {
    for (int i = 0; i < KERNEL_CONFIGS; i++)
        if (kernel_config_has_reset(&kernel_configs[i], GRU_RESET_AFTER))
            compare_forward(i, i % 2 ? PROBLEM_TRAIN : 0);
}

static void compare_backward(int i) {
    gradient_call call = {.kernel_config = &backward_kernel_configs[i], .parts = GRU_GRAD_OVERWRITE};
    const int compute_type = (int)(((uint64_t)i + emu_option.seed) % COMPUTE_TYPES);
    gru_context *context = make_context(call.kernel_config, compute_type);
    problem *p = draw_problem(100 + i, compute_type, PROBLEM_TRAIN);
    result r;
    gradients expected, g;
    kernel_config_name(call.kernel_config, p->text, sizeof p->text);
    problem_run(p, context, &r);
    call.missing = i % 4 ? 0 : MISSING_DY;
    gru_cuda_override.general_path = 1;
    run_gradient_call(p, &r, &call, &expected);
    run_gradient_call(p, &r, &call, &g);
    check_same_gradients(p, &expected, &g);
    gradients_free(&expected), gradients_free(&g);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_default_path, backward_bits) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++)
        if (kernel_config_has_reset(&backward_kernel_configs[i], GRU_RESET_AFTER)) compare_backward(i);
}
