/* cuda_fixture.c: makes studies, and lends their gradients memory of the device. */
#include "cuda_fixture.h"

static const shape sizes = {T, N, I, H, "two octets of rows, two of units and a tail"};

const uint32_t fixture_options =
    PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_ATTENTION;

gru_layer_config fixture_config(const kernel_config *f, int compute_type, int variant) {
    static const int types[COMPUTE_TYPES] = {0, 0, 1, 2}; /* of problem_types */
    gru_layer_config config = GRU_INIT;
    config.reset_mode = variant % 3;
    while (!kernel_config_has_reset(f, config.reset_mode)) config.reset_mode = (config.reset_mode + 1) % 3;
    config.direction = variant / 3 % 2;
    problem_types(&config, types[compute_type]);
    return config;
}

gru_context *fixture_context(const kernel_config *f, int compute_type, uint32_t flags) {
    return kernel_config_context(f, flags | (compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0));
}

cuda_fixture open_fixture(const kernel_config *f, int compute_type, int variant, uint32_t options,
                          uint32_t flags) {
    const gru_layer_config config = fixture_config(f, compute_type, variant);
    cuda_fixture s = {.context = fixture_context(f, compute_type, flags), .call = {.kernel_config = f}};
    s.p = problem_make(&sizes, &config, options | PROBLEM_TRAIN, 1);
    kernel_config_name(f, s.p->text, sizeof s.p->text);
    problem_run(s.p, s.context, &s.r);
    return s;
}

void close_fixture(cuda_fixture *s) {
    result_free(&s->r);
    problem_free(s->p);
    gru_context_release(s->context);
}

/* ---- on the device ---- */

uploaded upload(cuda_fixture *s) {
    uploaded l = {.scale = tester_allocate(sizeof *l.scale)};
    gru_gradients wanted;
    gru_run run;
    *l.scale = 2;
    gradients_make(s->p, &l.here);
    problem_backward_call(s->p, &s->r, 0, &l.here, &run, &wanted);
    wanted.loss_scale = l.scale;
    l.m = device_mirror_open(s->context, &s->r.run, &l.run);
    l.backward = device_mirror_run(l.m, &run);
    l.gradients = device_mirror_gradients(l.m, &wanted);
    REQUIRE(gru_wait(s->context, l.run.stream) == GRU_OK, "%s", gru_last_error());
    return l;
}

void download(uploaded *l) {
    device_mirror_close(l->m);
    gradients_free(&l->here);
    tester_free(l->scale);
}
