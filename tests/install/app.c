/* app.c: a program outside the tree: it compiles against the installed headers, links, and runs one step. */
#include <stdio.h>

#include <gru/import.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, gru_last_error());
    return 1;
}

int main(void) {
    const float W[3] = {0}, R[3] = {0}, x = 1, h0 = 3;
    float hT = 0;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    gru_context_config context_config = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_sizes sizes = GRU_INIT;
    gru_run run = GRU_INIT;

    if (gru_version() != GRU_VERSION_MAJOR * 10000 + GRU_VERSION_MINOR * 100 + GRU_VERSION_PATCH) {
        fprintf(stderr, "the library is version %d, the headers are another\n", gru_version());
        return 1;
    }
    /* so that a static program links the part for files, or knows that the library has none */
    gru_file *file = NULL;
    const gru_status parsed = gru_file_parse("\2\0\0\0\0\0\0\0[]", 10, &file);
    if (parsed != GRU_BAD_DATA && parsed != GRU_NOT_BUILT) return fail("gru_file_parse");
    config.inputs = config.hidden = 1;
    weights.W = W, weights.R = R;
    context_config.backend = GRU_BACKEND_CPU; /* x and the states are the host's */
    if (gru_context_create(&context_config, &context)) return fail("gru_context_create");
    if (gru_layer_create(context, &config, &weights, &layer)) return fail("gru_layer_create");
    if (gru_layer_sizes(layer, 1, 1, &sizes)) return fail("gru_layer_sizes");
    if (gru_allocate(context, sizes.workspace, &run.workspace)) return fail("gru_allocate");
    run.workspace_size = sizes.workspace;
    run.T = run.N = 1;
    run.x.data = &x, run.h0 = &h0, run.hT = &hT;
    if (gru_layer_forward(layer, &run)) return fail("gru_layer_forward");
    gru_free(context, run.workspace);
    gru_layer_release(layer);
    gru_context_release(context);
    /* weights of zero: every gate is 1/2 and the candidate 0, so a step halves the state */
    if (hT < 1.5f || hT > 1.5f) {
        fprintf(stderr, "hT is %g, expected 1.5\n", (double)hT);
        return 1;
    }
    puts("hT is 1.5");
    return 0;
}
