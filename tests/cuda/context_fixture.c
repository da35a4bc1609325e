/* context_fixture.c: opens contexts, and makes a small layer with a run of it. */
#include "context_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "support/tester.h"

const float zeros[3 * H * H];

gru_status open_context(uint32_t flags, int32_t device, gru_context **context) {
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CUDA;
    config.device = device;
    config.flags = flags;
    *context = NULL;
    return gru_context_create(&config, context);
}

gru_context *must_open(uint32_t flags, int32_t device) {
    gru_context *context;
    REQUIRE(open_context(flags, device, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

gru_status make_layer(gru_context *context, gru_layer **layer) {
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    config.inputs = I, config.hidden = H;
    weights.W = weights.R = zeros;
    *layer = NULL;
    return gru_layer_create(context, &config, &weights, layer);
}

void make_fixture(fixture *f, uint32_t flags, int32_t device) {
    gru_sizes need = GRU_INIT;
    void *memory = NULL;
    memset(f, 0, sizeof *f);
    f->context = must_open(flags, device);
    REQUIRE(make_layer(f->context, &f->layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_sizes(f->layer, T, N, &need) == GRU_OK, "%s", gru_last_error());
    const size_t bytes = 4 * PIECE + need.workspace;
    char *nothing = calloc(1, bytes);
    REQUIRE(gru_allocate(f->context, bytes, &memory) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_copy(f->context, memory, nothing, bytes, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(f->context, NULL) == GRU_OK, "%s", gru_last_error());
    free(nothing);
    f->memory = memory;
    f->run.T = T, f->run.N = N;
    f->run.x.data = f->memory;
    f->run.y.data = f->memory + PIECE;
    f->run.h0 = f->memory + 2 * PIECE;
    f->run.hT = f->memory + 3 * PIECE;
    f->run.workspace = f->memory + 4 * PIECE;
    f->run.workspace_size = need.workspace;
}

void free_fixture(fixture *f) {
    gru_free(f->context, f->memory);
    gru_layer_release(f->layer);
    gru_context_release(f->context);
}

void check_sentence(const char *what, gru_status status, gru_status expected, const char *words) {
    CHECK(status == expected && strstr(gru_last_error(), words), "%s: %s \"%s\", expected %s and \"%s\"",
          what, gru_status_name(status), gru_last_error(), gru_status_name(expected), words);
}
