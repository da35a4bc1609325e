/* test_engines.c: every engine against the exact reference, all shapes. */
#include "problem.h"

ENGINE_TEST(engines, agree_with_reference) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < tester_shape_count; i++) {
        const gru_layer_config config = GRU_INIT;
        problem *p = problem_make(&tester_shapes[i], &config, PROBLEM_H0 | PROBLEM_LENGTHS, (uint64_t)i);
        result fast, exact;
        problem_run(p, context, &fast);
        problem_run_exact(p, &exact);
        check_close(p, "y", fast.y, exact.y);
        check_close(p, "hT", fast.hT, exact.hT);
        result_free(&fast);
        result_free(&exact);
        problem_free(p);
    }
    gru_context_release(context);
}
