/* test_smoke.c: one step of one unit against the equations written out by hand. */
#include <math.h>
#include <stdlib.h>

#include "support/tester.h"

TEST(smoke, one_unit_one_step) {
    const double W[3] = {0.5, -0.25, 0.75}, R[3] = {1.0, 0.5, -0.5}, bW[3] = {0.1, 0.2, 0.3},
                 bR[3] = {-0.1, 0.0, 0.4};
    const double x = 0.6, h = -0.8;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    gru_context_config context_config = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_sizes sizes = GRU_INIT;
    gru_run run = GRU_INIT;
    double y = NAN, hT = NAN;
    config.inputs = config.hidden = 1;
    config.io_type = config.state_type = config.weight_type = weights.type = GRU_F64;
    weights.W = W, weights.R = R, weights.bW = bW, weights.bR = bR;
    context_config.backend = GRU_BACKEND_CPU; /* x and h are the host's */
    REQUIRE(gru_context_create(&context_config, &context) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_sizes(layer, 1, 1, &sizes) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_allocate(context, sizes.workspace, &run.workspace) == GRU_OK, "%s", gru_last_error());
    run.T = run.N = 1;
    run.x.data = &x, run.y.data = &y, run.h0 = &h, run.hT = &hT;
    run.workspace_size = sizes.workspace;
    REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    const double r = 1 / (1 + exp(-(W[0] * x + bW[0] + R[0] * h + bR[0])));
    const double z = 1 / (1 + exp(-(W[1] * x + bW[1] + R[1] * h + bR[1])));
    const double n = tanh(W[2] * x + bW[2] + r * (R[2] * h + bR[2]));
    CHECK(fabs(y - ((1 - z) * n + z * h)) < 1e-15, "y is %.17g, expected %.17g", y, (1 - z) * n + z * h);
    CHECK(y == hT, "y is %.17g, hT %.17g", y, hT);
    gru_free(context, run.workspace);
    gru_layer_release(layer);
    gru_context_release(context);
}
