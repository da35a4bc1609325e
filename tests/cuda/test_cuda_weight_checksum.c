/* test_cuda_weight_checksum.c: what GRU_CHECK_WEIGHTS finds in the device's memory: weights that changed, reserves of other runs. */
#include <string.h>

#include "control.h"
#include "cuda/run/cuda_weight_checksum.h"
#include "support/device_mirror.h"
#include "support/problem.h"

/* A training run, kept in the device's memory. */
typedef struct cuda_fixture {
    problem *p;
    result r;
    gru_run run;
    device_mirror *m;
} cuda_fixture;

static void open_fixture(cuda_fixture *s, gru_context *context, int types, int reset) {
    const shape sizes = {3, 5, 7, 19, "two octets of units and a tail"};
    gru_layer_config config = GRU_INIT;
    config.reset_mode = reset;
    problem_types(&config, types);
    s->p = problem_make(&sizes, &config, PROBLEM_TRAIN, 1);
    REQUIRE(problem_open(s->p, context, &s->r) == GRU_OK, "%s", gru_last_error());
    problem_renew_outputs(s->p, &s->r);
    s->m = device_mirror_open(context, &s->r.run, &s->run);
    REQUIRE(gru_layer_forward(s->r.layer, &s->run) == GRU_OK, "%s", gru_last_error());
}

static void close_fixture(cuda_fixture *s) {
    REQUIRE(gru_wait(s->r.layer->context, s->run.stream) == GRU_OK, "%s", gru_last_error());
    device_mirror_close(s->m);
    result_free(&s->r);
    problem_free(s->p);
}

/* What backward launches, and what the context then tells. words NULL: nothing. */
static void check_told(const cuda_fixture *s, const gru_run *run, const char *words, const char *when) {
    gru_context *context = s->r.layer->context;
    int previous;
    REQUIRE(gru_cuda_enter(gru_cuda_device_of(context), &previous) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_cuda_checksum_weights(s->r.layer, run, 1) == GRU_OK, "%s: %s", when, gru_last_error());
    gru_cuda_leave(gru_cuda_device_of(context), previous);
    const gru_status status = gru_context_check(context, run->stream);
    CHECK(words ? status == GRU_BAD_DATA && strstr(gru_last_error(), words) : status == GRU_OK,
          "%s: %s, \"%s\"", when, gru_status_name(status), gru_last_error());
    CHECK(gru_context_check(context, run->stream) == GRU_OK, "%s: told twice", when);
}

static void update(const cuda_fixture *s) {
    REQUIRE(gru_layer_update(s->r.layer, &s->p->weights, s->run.stream) == GRU_OK, "%s", gru_last_error());
}

static void find_changes(gru_context *context, int types, int reset) {
    static const char other[] = "made with other weights";
    cuda_fixture s;
    open_fixture(&s, context, types, reset);
    check_told(&s, &s.run, NULL, "nothing was updated");
    update(&s);
    check_told(&s, &s.run, NULL, "updated with the same numbers");
    const void *const parts[] = {s.p->weights.W, s.p->weights.R, s.p->weights.bW, s.p->weights.bR};
    for (int i = 0; i < 4; i++) {
        unsigned char *byte = (unsigned char *)(uintptr_t)parts[i];
        byte[1] ^= 0x40; /* a bit that 16 bits keep, and f32 in 11 */
        byte[3] ^= 0x10;
        update(&s);
        check_told(&s, &s.run, other, "one number");
        byte[1] ^= 0x40;
        byte[3] ^= 0x10;
    }
    update(&s);
    gru_run shorter = s.run;
    shorter.T--;
    check_told(&s, &shorter, "was not written by", "another T");
    check_told(&s, &s.run, NULL, "the run itself");
    close_fixture(&s);
}

TEST(cuda_weights, an_updated_layer_is_found) {
    gru_context *context = tester_device_context(GRU_CHECK_WEIGHTS);
    for (int types = 0; types < 3; types++) find_changes(context, types, types);
    gru_context_release(context);
}

/* Backward itself, which goes on: the context tells. */
TEST(cuda_weights, backward_tells) {
    const shape sizes = {3, 5, 7, 19, "two octets of units and a tail"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_device_context(GRU_CHECK_WEIGHTS);
    problem *p = problem_make(&sizes, &config, PROBLEM_TRAIN, 1);
    result r;
    gradients g;
    problem_run(p, context, &r);
    gradients_make(p, &g);
    for (int changed = 0; changed < 2; changed++) {
        if (changed) ((float *)(uintptr_t)p->weights.R)[5] += 1;
        REQUIRE(gru_layer_update(r.layer, &p->weights, tester_device.stream) == GRU_OK, "%s",
                gru_last_error());
        CHECK(problem_backward(p, &r, 0, &g) == GRU_OK, "%s", gru_last_error());
        const gru_status status = gru_context_check(context, tester_device.stream);
        CHECK(status == (changed ? GRU_BAD_DATA : GRU_OK), "%s weights: %s", changed ? "other" : "the same",
              gru_status_name(status));
    }
    gradients_free(&g);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_weights, nothing_is_launched_without_the_flag) {
    gru_context *context = tester_device_context(0);
    cuda_fixture s;
    open_fixture(&s, context, 0, 0);
    s.run.N--;
    REQUIRE(gru_wait(context, s.run.stream) == GRU_OK, "%s",
            gru_last_error()); /* forward's launches have run */
    const uint64_t launched = emu_launches();
    check_told(&s, &s.run, NULL, "without the flag");
    CHECK(emu_launches() == launched, "something was launched");
    close_fixture(&s);
    gru_context_release(context);
}
