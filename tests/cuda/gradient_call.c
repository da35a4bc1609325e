/* gradient_call.c: asks CUDA engines for gradients in all ways, and measures them. */
#include "gradient_call.h"

#include <math.h>
#include <string.h>

#include "core/number.h"
#include "variant_levels.h"

/* Gradients of weights before the call: numbers that are added to, or, if they are set, NaN. exact: what has the exact
 * problem's types begins with what is added to. */
static void fill_weights(const gradient_call *call, gradients *g, int exact) {
    const int overwrite = (call->parts & GRU_GRAD_OVERWRITE) != 0;
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; g->data[i] && k < g->count[i]; k++) {
            const double begin = (double)(float)tester_uniform((uint64_t)i, k);
            gru_store_double(g->data[i], g->type[i], k, overwrite ? (exact ? 0 : NAN) : begin);
        }
}

/* A problem's dy, dhT and loss scale for the call; out: what it had. */
static problem take_away(problem *p, const gradient_call *call, const float *loss_scale) {
    const problem had = *p;
    if (call->missing & MISSING_DY) p->dy = (gru_const_view){NULL, 0, 0};
    if (call->missing & MISSING_DHT) p->dhT = NULL;
    p->loss_scale = loss_scale;
    return had;
}

static void give_back(problem *p, const problem *had) {
    p->dy = had->dy;
    p->dhT = had->dhT;
    p->loss_scale = had->loss_scale;
}

static float *make_scale(const gradient_call *call) {
    if (call->loss_scale == 0) return NULL;
    float *scale = tester_allocate(sizeof *scale);
    *scale = call->loss_scale;
    return scale;
}

void run_gradient_call(problem *p, result *r, const gradient_call *call, gradients *g) {
    float *scale = make_scale(call);
    const problem had = take_away(p, call, scale);
    const uint32_t both[] = {GRU_GRAD_DATA, GRU_GRAD_WEIGHTS};
    gradients_make(p, g);
    for (int i = 0; i < GRADS; i++)
        if (call->missing & 1u << i) {
            tester_free(g->data[i]);
            g->data[i] = NULL;
        }
    fill_weights(call, g, 0);
    if (call->kernel_config) {
        kernel_config_override_backward(call->kernel_config, gru_cuda_layer_of(r->layer)->compute_type);
        CHECK(kernel_config_backward_was_used(call->kernel_config, r->layer, p->shape.N),
              "another kernel_config runs: %s", p->text);
    }
    for (int i = 0; i < 1 + call->apart; i++)
        REQUIRE(problem_backward(p, r, call->parts | (call->apart ? both[i] : 0), g) == GRU_OK, "%s: %s",
                gru_last_error(), p->text);
    kernel_config_clear_override();
    give_back(p, &had);
    tester_free(scale);
}

/* ---- against the reference ---------------------------------------------------------------------------------------- */

static int is_rounded(const gru_layer *layer) {
    return gru_cuda_layer_of(layer)->compute_type != GRU_CUDA_F32;
}

/* Where products round their operands, a pre-activation may come to lie on the other side of a kink, and all that flows through
 * it is then another's. Rounding moves it by less than e, five averages of sums of products with factors rounded to u, and no
 * more than 2 e of the numbers lie so near, whatever kink: of two such the squares of the gradients add up to 2 e each of the
 * whole's, at random; three times that is allowed. The kernels' own tests know on which side each number is. */
static void check_beside_kinks(const problem *p, const gru_layer *layer, const gradients *got,
                               const gradients *exact) {
    const gru_cuda_compute_type compute_type = gru_cuda_layer_of(layer)->compute_type;
    const double u = compute_type == GRU_CUDA_BF16 ? 0x1p-8 : 0x1p-11;
    const double e = 5 * u * sqrt(1 + (double)p->shape.I / p->shape.H), budget = 3 * sqrt(4 * e);
    for (int g = 0; g < GRADS; g++) {
        double difference = 0, norm = 0;
        for (size_t i = 0; got->data[g] && i < got->count[g]; i++) {
            const double expected = ((const double *)exact->data[g])[i];
            const double error = gru_load_double(got->data[g], got->type[g], i) - expected;
            difference += error * error;
            norm += expected * expected;
        }
        CHECK(sqrt(difference) <= budget * sqrt(norm) + 0x1p-20,
              "%s differs by %.3g of %.3g, budget %.3g: %s", gradient_names[g], sqrt(difference), sqrt(norm),
              budget, p->text);
    }
}

/* The context's backward over the other's reserve. */
static void open_backward(problem *p, gru_context *context, const char *maker, result *made, result *r) {
    gru_context *other = maker ? tester_context(maker, 1) : NULL;
    problem_run(p, other ? other : context, made);
    REQUIRE(problem_open(p, context, r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    memcpy(r->run.reserve, made->run.reserve, r->sizes.reserve); /* a CPU's keeps more behind it */
    gru_context_release(other);
}

void check_gradient_call(problem *p, gru_context *context, const char *maker, const gradient_call *call) {
    gru_context *reference = tester_context("cpu_reference", 1);
    problem *exact = problem_exact(p);
    result made, r, exact_r;
    gradients g, exact_g;
    float *scale = make_scale(call);
    gru_cuda_override.chunk_rows = call->steps * (int32_t)p->shape.N;
    open_backward(p, context, maker, &made, &r);
    run_gradient_call(p, &r, call, &g);
    problem_run(exact, reference, &exact_r);
    const problem had = take_away(exact, call, scale);
    gradients_make(exact, &exact_g);
    fill_weights(call, &exact_g, 1);
    REQUIRE(problem_backward(exact, &exact_r, call->parts, &exact_g) == GRU_OK, "%s: %s", gru_last_error(),
            p->text);
    give_back(exact, &had);
    if (is_rounded(r.layer) && variant_has_kinks(&p->config))
        check_beside_kinks(p, r.layer, &g, &exact_g);
    else
        check_gradients_close(p, r.layer, &g, &exact_g);
    gradients_free(&g), gradients_free(&exact_g);
    result_free(&made), result_free(&r), result_free(&exact_r);
    tester_free(scale);
    problem_free(exact);
    gru_context_release(reference);
}
