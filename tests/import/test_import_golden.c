/* test_import_golden.c: weights as PyTorch, Keras and ONNX store them, imported, against the golden files' own native weights. */
#include <stdlib.h>
#include <string.h>

#include "gru/import.h"
#include "support/tester.h"

/* Finds PREFIXNAME as f32 numbers. Returns their count, 0 if there are none. */
static size_t raw_array(const gru_file *file, const char *prefix, const char *name, const float **data) {
    char full[256];
    gru_tensor tensor;
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    *data = NULL;
    if (gru_file_tensor(file, full, &tensor) != GRU_OK) return 0;
    REQUIRE(tensor.type == GRU_F32, "%s is not f32", full);
    *data = tensor.data;
    return tensor.bytes / sizeof(float);
}

/* The native tensor of a case (f64) equals what was imported; without one, the import made zeros. */
static void check_golden(const gru_file *file, const char *name, const char *part, const float *got,
                         size_t count) {
    char full[256];
    gru_tensor tensor;
    (void)snprintf(full, sizeof full, "%s/%s", name, part);
    const int found = gru_file_tensor(file, full, &tensor) == GRU_OK;
    REQUIRE(!found || tensor.bytes == count * sizeof(double), "%s has %zu bytes", full, tensor.bytes);
    REQUIRE(found || part[0] == 'b', "%s is missing", full);
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += (double)got[i] != (found ? ((const double *)tensor.data)[i] : 0.0);
    CHECK(wrong == 0, "%s: %zu of %zu numbers differ", full, wrong, count);
}

typedef struct golden {
    const char *file;
    int32_t order;
    const char *arrays[4];
    const char *mark; /* tensor by which a raw case is found */
} golden;

/* Direction d of D in the raw arrays; the case is NAME, or NAME_forward and NAME_reverse. */
static void check_direction(const gru_file *file, const golden *g, const char *raw, const char *name,
                            size_t d, size_t D) {
    char full[256];
    gru_tensor config;
    (void)snprintf(full, sizeof full, "%s/config", name);
    REQUIRE(gru_file_tensor(file, full, &config) == GRU_OK, "%s", gru_last_error());
    const int32_t *word = config.data;
    gru_layer_config variant = GRU_INIT;
    variant.reset_mode = word[0], variant.update = word[1], variant.inputs = word[7],
    variant.hidden = word[8];
    gru_framework_weights source = GRU_INIT;
    source.order = g->order, source.reset_mode = word[0];
    for (int a = 0; a < 4 && g->arrays[a]; a++) {
        const float *numbers;
        source.counts[a] = raw_array(file, raw, g->arrays[a], &numbers) / D;
        source.arrays[a] = numbers ? numbers + d * source.counts[a] : NULL;
    }
    const size_t I = (size_t)word[7], H = (size_t)word[8];
    const size_t counts[4] = {3 * H * I, 3 * H * H, 3 * H, 3 * H};
    static const char *const parts[4] = {"W", "R", "bW", "bR"};
    float *got[4];
    for (int i = 0; i < 4; i++) got[i] = tester_allocate(counts[i] * sizeof(float));
    const gru_native_weights target = {got[0], got[1], got[2], got[3], GRU_F32};
    REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "%s: %s", name, gru_last_error());
    for (int i = 0; i < 4; i++) {
        check_golden(file, name, parts[i], got[i], counts[i]);
        tester_free(got[i]);
    }
}

static void check_golden_file(const golden *g) {
    gru_file *file = NULL;
    char path[512];
    int cases = 0;
    (void)snprintf(path, sizeof path, "%s/golden/%s.safetensors", TEST_DATA, g->file);
    const gru_status status = gru_file_open(path, &file);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    const char *full;
    for (int32_t i = 0; (full = gru_file_name(file, i)) != NULL; i++) {
        const size_t length = strlen(full), mark = strlen(g->mark);
        if (strncmp(full, "raw/", 4) != 0 || length < mark || strcmp(full + length - mark, g->mark) != 0)
            continue;
        char raw[256], name[256], probe[300];
        gru_tensor tensor;
        (void)snprintf(raw, sizeof raw, "%.*s", (int)(length - mark + 1), full); /* raw/NAME/ */
        (void)snprintf(name, sizeof name, "%.*s", (int)(length - mark - 4), full + 4);
        (void)snprintf(probe, sizeof probe, "%s/config", name);
        if (gru_file_tensor(file, probe, &tensor) == GRU_OK) {
            const int32_t *word = tensor.data;
            if (word[12] * word[13] > 1) continue; /* a stack */
            check_direction(file, g, raw, name, 0, 1);
        } else {
            (void)snprintf(probe, sizeof probe, "%s_forward", name);
            check_direction(file, g, raw, probe, 0, 2);
            (void)snprintf(probe, sizeof probe, "%s_reverse", name);
            check_direction(file, g, raw, probe, 1, 2);
        }
        cases++;
    }
    gru_file_close(file);
    CHECK(cases > 0, "%s has no raw arrays", path);
}

TEST(import, golden_keras) {
    const golden g = {"keras", GRU_ORDER_KERAS, {"kernel", "recurrent_kernel", "bias"}, "/kernel"};
    check_golden_file(&g);
}

TEST(import, golden_onnxruntime) {
    const golden g = {"onnxruntime", GRU_ORDER_ONNX, {"W", "R", "B"}, "/W"};
    check_golden_file(&g);
}

TEST(import, golden_onnx_node) {
    const golden g = {"onnx_node", GRU_ORDER_ONNX, {"W", "R", "B"}, "/W"};
    check_golden_file(&g);
}

TEST(import, golden_pytorch) {
    const golden g = {"pytorch",
                      GRU_ORDER_PYTORCH,
                      {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"},
                      "/weight_ih_l0"};
    check_golden_file(&g);
}
