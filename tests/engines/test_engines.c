/* test_engines.c: every engine against the exact reference: all shapes, variants, types and options. */
#include <stdio.h>
#include <string.h>

#include "cpu/cpu_features.h"
#include "support/problem.h"

/* A drawn variant, types and options on every shape, and every engine runs all of them. */
ENGINE_TEST(engines, agree_on_every_shape) {
    enum { DRAWS = 8 };
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < tester_shape_count * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i;
        if (!tester_takes(draw)) continue;
        problem *p = problem_of_shapes(i, problem_type_count(context), DRAWS, draw, problem_options(draw));
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(engines, agree_on_every_variant) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < VARIANT_WALK; i++) {
        const uint64_t draw = (uint64_t)i;
        if (!tester_takes(draw)) continue;
        problem *p = problem_of_variants(i, problem_type_count(context), draw, problem_options(draw + 1000));
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(engines, keep_what_backward_needs) {
    enum { LARGE = 17 * 64 };
    gru_context *context = tester_context(engine, 1);
    const uint64_t types = (uint64_t)problem_type_count(context);
    for (int i = 0; i < 12 * tester_shape_count; i++) {
        const uint64_t draw = (uint64_t)i + 5000, plain = PROBLEM_NO_Y | PROBLEM_NO_HT;
        const shape *sizes = &tester_shapes[i / 12];
        gru_layer_config config = problem_variant((int)(tester_random(1, draw) % VARIANTS));
        problem_types(&config, i % 2 ? (int)(tester_random(2, draw) % types) : 0);
        if (!tester_takes((uint64_t)i)) continue;
        if (sizes->T * sizes->N * sizes->H > LARGE) continue; /* the reference sums weight gradients slowly */
        const uint32_t options = problem_options(draw) & ~(uint32_t)(PROBLEM_RECOMPUTE | plain);
        problem *p = problem_make(sizes, &config, options | PROBLEM_TRAIN, draw);
        check_saved(p, context);
        problem_free(p);
    }
    gru_context_release(context);
}

/* Engines of other devices refuse f64, with the reason. */
ENGINE_TEST(engines, agree_or_decline_in_double_precision) {
    const shape sizes = {4, 3, 5, 19, "a panel and three units"};
    gru_context *context = tester_context(engine, 1);
    const int on_cpu = strncmp(engine, "cpu_", 4) == 0;
    for (int i = 0; i < (on_cpu ? VARIANTS : 1); i++) {
        gru_layer_config config = problem_variant(i);
        problem_types(&config, TYPES);
        problem *p = problem_make(&sizes, &config, problem_options((uint64_t)i + 2000), (uint64_t)i);
        const int ran = check_problem(p, context);
        CHECK(ran == on_cpu, "%s: %s", ran ? "it ran" : gru_last_error(), p->text);
        CHECK(ran || (strstr(gru_last_error(), engine) && strstr(gru_last_error(), "f64")),
              "declined without a reason: \"%s\"", gru_last_error());
        problem_free(p);
    }
    gru_context_release(context);
}

#if defined(__x86_64__)
/* Whether the kernel lists a flag of the first processor, between spaces. */
static int kernel_lists(const char *flag) {
    char line[8192], word[32];
    int found = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(word, sizeof word, " %s ", flag);
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = ' '; /* the last flag ends the line */
        found = strncmp(line, "flags", 5) == 0 && strstr(line, word) != NULL;
    }
    if (file) (void)fclose(file);
    return found;
}

/* The kernel asks the processor by itself, and hides what it does not support. */
TEST(engines, features_are_those_that_the_kernel_lists) {
    const int avx2 = kernel_lists("avx2") && kernel_lists("fma") && kernel_lists("f16c");
    const int avx512 = avx2 && kernel_lists("avx512f");
    const int bf16 = avx512 && kernel_lists("avx512_bf16");
    const int vnni = avx512 && kernel_lists("avx512_vnni");
    const uint32_t expected = (avx2 ? GRU_CPU_AVX2 : 0u) | (avx512 ? GRU_CPU_AVX512 : 0u) |
                              (vnni ? GRU_CPU_AVX512_VNNI : 0u) | (bf16 ? GRU_CPU_AVX512_BF16 : 0u);
    gru_cpu_features_hide(0);
    CHECK(kernel_lists("sse2"), "/proc/cpuinfo lists no sse2, which every such processor has");
    CHECK(gru_cpu_features() == expected, "features %u, expected %u", gru_cpu_features(), expected);
}
#endif

/* Without the wider instruction sets the portable engine runs, and the reasons name every engine before it. */
TEST(engines, hidden_features_leave_the_portable_engine) {
    const shape sizes = {2, 2, 3, 5, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_cpu_features_hide(GRU_CPU_AVX2 | GRU_CPU_AVX512 | GRU_CPU_NEON);
    gru_context *context = tester_context(NULL, 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result r;
    problem_run(p, context, &r);
    const char *name = gru_engine_name(r.layer, &r.run);
    CHECK(strcmp(name, "cpu_scalar") == 0, "%s runs, expected cpu_scalar", name);
    for (int32_t i = 0; strcmp(gru_engine_at(i), "cpu_scalar") != 0; i++)
        CHECK(strstr(gru_engine_reasons(r.layer, &r.run), gru_engine_at(i)), "no reason for %s in \"%s\"",
              gru_engine_at(i), gru_engine_reasons(r.layer, &r.run));
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
    gru_cpu_features_hide(0);
}

/* In f64 too, but only where it has an instruction for fused multiply-add: else the reference is faster. */
TEST(engines, hidden_features_leave_the_faster_engine_in_double_precision) {
    const shape sizes = {2, 2, 3, 5, "any"};
    gru_layer_config config = GRU_INIT;
    problem_types(&config, TYPES);
    gru_cpu_features_hide(GRU_CPU_AVX2 | GRU_CPU_AVX512 | GRU_CPU_NEON);
    gru_context *context = tester_context(NULL, 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result r;
    problem_run(p, context, &r);
    const char *name = gru_engine_name(r.layer, &r.run);
#if defined(__FP_FAST_FMA)
    CHECK(strcmp(name, "cpu_scalar") == 0, "%s runs, expected cpu_scalar", name);
#else
    CHECK(strcmp(name, "cpu_reference") == 0, "%s runs, expected cpu_reference", name);
    CHECK(strstr(gru_engine_reasons(r.layer, &r.run), "cpu_scalar: without an instruction"),
          "no reason for cpu_scalar in \"%s\"", gru_engine_reasons(r.layer, &r.run));
#endif
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
    gru_cpu_features_hide(0);
}

/* A context that names an engine runs this engine, even where faster ones exist. */
ENGINE_TEST(engines, run_by_name) {
    const shape sizes = {2, 2, 3, 5, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(engine, 1);
    problem *p = problem_make(&sizes, &config, 0, 1);
    result r;
    problem_run(p, context, &r);
    CHECK(strcmp(gru_engine_name(r.layer, &r.run), engine) == 0, "%s runs instead of %s",
          gru_engine_name(r.layer, &r.run), engine);
    CHECK(strcmp(gru_engine_name(r.layer, NULL), engine) == 0, "%s runs instead of %s",
          gru_engine_name(r.layer, NULL), engine);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}
