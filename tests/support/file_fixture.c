/* file_fixture.c: opens files and runs what was loaded from them. */
#include "file_fixture.h"

#include "tester.h"

void file_fixture_run(gru_stack *stack, int64_t T, int64_t N, const double *x, double *y) {
    gru_sizes sizes = GRU_INIT;
    gru_stack_run call = GRU_INIT;
    REQUIRE(gru_stack_sizes(stack, T, N, &sizes) == GRU_OK, "%s", gru_last_error());
    call.data.T = T, call.data.N = N;
    call.data.x.data = x, call.data.y.data = y;
    call.data.workspace = tester_allocate(sizes.workspace);
    call.data.workspace_size = sizes.workspace;
    REQUIRE(gru_stack_forward(stack, &call) == GRU_OK, "%s", gru_last_error());
    tester_free(call.data.workspace);
}

gru_load_options file_fixture_f64_options(void) {
    gru_load_options options = GRU_INIT;
    options.io_type = options.state_type = options.weight_type = GRU_F64;
    return options;
}

void file_fixture_open(const char *path, gru_file **file) {
    const gru_status status = gru_file_open(path, file);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
}
