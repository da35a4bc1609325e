/* test_fuzz_findings.c: what the fuzzers in tests/fuzz found, kept. */
#include <string.h>

#include "support/tester.h"

/* The slots were read before it was seen that no memory could hold N of them. */
TEST(fuzz_findings, more_rows_than_memory) {
    static const float weights_of_one[3] = {0.5f, 0.25f, -0.5f};
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = NULL;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    config.inputs = config.hidden = 1;
    weights.W = weights.R = weights_of_one;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    int32_t *slots = tester_allocate(4 * sizeof(int32_t));
    float *state = tester_allocate(4 * sizeof(float));
    for (int i = 0; i < 4; i++) slots[i] = 0;
    for (int which = 0; which < 3; which++) {
        gru_run run = GRU_INIT;
        run.N = INT64_MAX - 7;
        run.slot_count = which == 1 ? 0 : 4;
        run.h0 = state;
        if (which == 0) run.h0_slots = slots;
        if (which == 1) run.lengths = slots;
        if (which == 2) run.hT_slots = slots, run.hT = state;
        CHECK(gru_layer_forward(layer, &run) == GRU_BAD_ARGUMENT &&
                  strstr(gru_last_error(), "further than memory"),
              "%d: %s", which, gru_last_error());
    }
    tester_free(slots);
    tester_free(state);
    gru_layer_release(layer);
    gru_context_release(context);
}
