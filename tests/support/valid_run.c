/* valid_run.c: makes the run that is right in every way, and looks whether a refused call left it alone. */
#include "valid_run.h"

#include <string.h>

static uint64_t hash_outputs(const fixture *f) {
    const size_t y = (size_t)T * N * H * sizeof(float), states = (size_t)(2 * N + 3) * H * sizeof(float);
    uint64_t hash = tester_hash(1, f->r.run.y.data, f->r.run.y.data ? y : 0);
    hash = tester_hash(hash, f->r.run.hT,
                       f->r.run.hT ? (f->p->options & PROBLEM_SLOTS ? states : N * H * 4) : 0);
    hash = tester_hash(hash, f->r.run.reserve, f->r.memory.reserve * (f->r.run.reserve != NULL));
    for (int i = 0; i < GRADS; i++)
        hash = tester_hash(hash, f->g.data[i], f->g.data[i] ? f->g.count[i] * 4 : 0);
    return tester_hash(hash, f->wide, FIXTURE_WIDE);
}

void set_up(fixture *f, uint32_t options) {
    const shape sizes = {T, N, I, H, "small"};
    const gru_layer_config config = GRU_INIT;
    f->context = tester_context(NULL, 1);
    f->p = problem_make(&sizes, &config, options, 1);
    problem_run(f->p, f->context, &f->r);
    gradients_make(f->p, &f->g);
    REQUIRE(!(options & PROBLEM_TRAIN) || problem_backward(f->p, &f->r, 0, &f->g) == GRU_OK, "%s",
            gru_last_error());
    f->wide = tester_allocate(FIXTURE_WIDE);
    f->hash = hash_outputs(f);
}

void tear_down(fixture *f) {
    tester_free(f->wide);
    gradients_free(&f->g);
    result_free(&f->r);
    problem_free(f->p);
    gru_context_release(f->context);
}

void check_refused(const fixture *f, gru_status status, gru_status expected, const char *what,
                   const char *name, const char *value) {
    const char *sentence = gru_last_error();
    CHECK(status == expected, "%s: %s \"%s\", expected %s", what, gru_status_name(status), sentence,
          gru_status_name(expected));
    CHECK(strstr(sentence, name) && strstr(sentence, value), "%s: \"%s\" says not \"%s\" and \"%s\"", what,
          sentence, name, value);
    CHECK(hash_outputs(f) == f->hash, "%s: an output was written", what);
}

const char *text_of(long long value) {
    static char text[32];
    (void)snprintf(text, sizeof text, "%lld", value);
    return text;
}
