/* file_fixture.c: opens and loads files, and runs what was loaded from them. */
#include "file_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void require_file(gru_status status) {
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
}

void file_fixture_open(const char *path, gru_file **file) {
    require_file(gru_file_open(path, file));
}

void *file_fixture_parse(const file_maker *maker, gru_file **file) {
    size_t size;
    void *bytes = file_finish(maker, &size);
    require_file(gru_file_parse(bytes, size, file));
    return bytes;
}

file_folder file_fixture_folder(void) {
    file_folder f = {"/tmp/gru_test_XXXXXX", ""};
    REQUIRE(mkdtemp(f.name), "no folder");
    (void)snprintf(f.path, sizeof f.path, "%s/a.safetensors", f.name);
    return f;
}

void check_load(const file_maker *maker, const char *prefix, gru_status wanted, const char *words) {
    gru_context *context = tester_context(NULL, 1);
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    void *bytes = file_fixture_parse(maker, &file);
    options.prefix = prefix;
    const gru_status status = gru_stack_load(context, file, &options, &stack);
    CHECK(status == wanted && (!words || strstr(gru_last_error(), words)), "%s, \"%s\", expected %s, \"%s\"",
          gru_status_name(status), gru_last_error(), gru_status_name(wanted), words ? words : "");
    CHECK((stack != NULL) == (status == GRU_OK), "a stack of a refused file");
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}
