/* valid_run.c: makes a run without errors, and checks that a refused call changed nothing. */
#include "valid_run.h"

#include "refusal.h"

static uint64_t hash_outputs(const valid_run *valid) {
    const size_t y = (size_t)T * N * H * sizeof(float), states = (size_t)(2 * N + 3) * H * sizeof(float);
    uint64_t hash = tester_hash(1, valid->r.run.y.data, valid->r.run.y.data ? y : 0);
    hash = tester_hash(hash, valid->r.run.hT,
                       valid->r.run.hT ? (valid->p->options & PROBLEM_SLOTS ? states : N * H * 4) : 0);
    hash =
        tester_hash(hash, valid->r.run.reserve, valid->r.run.reserve_size * (valid->r.run.reserve != NULL));
    for (int i = 0; i < GRADS; i++)
        hash = tester_hash(hash, valid->g.data[i], valid->g.data[i] ? valid->g.count[i] * 4 : 0);
    return tester_hash(hash, valid->wide, VALID_RUN_WIDE);
}

void valid_run_make(valid_run *valid, uint32_t options) {
    const shape sizes = {T, N, I, H, "small"};
    const gru_layer_config config = GRU_INIT;
    valid->context = tester_context(NULL, 1);
    valid->p = problem_make(&sizes, &config, options, 1);
    problem_run(valid->p, valid->context, &valid->r);
    gradients_make(valid->p, &valid->g);
    REQUIRE(!(options & PROBLEM_TRAIN) || problem_backward(valid->p, &valid->r, 0, &valid->g) == GRU_OK, "%s",
            gru_last_error());
    valid->wide = tester_allocate(VALID_RUN_WIDE);
    valid->hash = hash_outputs(valid);
}

void valid_run_release(valid_run *valid) {
    tester_free(valid->wide);
    gradients_free(&valid->g);
    result_free(&valid->r);
    problem_free(valid->p);
    gru_context_release(valid->context);
}

void check_refused(const valid_run *valid, gru_status status, gru_status expected, const char *what,
                   const char *name, const char *value) {
    check_refusal(status, expected, what, name, value);
    CHECK(hash_outputs(valid) == valid->hash, "%s: an output was written", what);
}

const char *text_of(long long value) {
    static char text[32];
    (void)snprintf(text, sizeof text, "%lld", value);
    return text;
}
