/* no_files.c: the answers of a library that was built without safetensors files. */
#include "gru/import.h"

#include "core/error.h"

static gru_status not_built(void) {
    return gru_fail(GRU_NOT_BUILT, "this library was built without files: build it with GRU_IMPORT=ON");
}

gru_status gru_file_open(const char *path, gru_file **file) {
    (void)path, (void)file;
    return not_built();
}

gru_status gru_file_parse(const void *bytes, size_t size, gru_file **file) {
    (void)bytes, (void)size, (void)file;
    return not_built();
}

void gru_file_close(gru_file *file) {
    (void)file;
}

gru_status gru_file_tensor(const gru_file *file, const char *name, gru_tensor *tensor) {
    (void)file, (void)name, (void)tensor;
    return not_built();
}

const char *gru_file_name(const gru_file *file, int32_t index) {
    (void)file, (void)index;
    return NULL;
}

const char *gru_file_metadata(const gru_file *file, const char *key) {
    (void)file, (void)key;
    return NULL;
}

gru_status gru_stack_load(gru_context *context, const gru_file *file, const gru_load_options *options,
                          gru_stack **stack) {
    (void)context, (void)file, (void)options, (void)stack;
    return not_built();
}

gru_status gru_file_save(const char *path, const gru_stack_config *config, const char *prefix) {
    (void)path, (void)config, (void)prefix;
    return not_built();
}

gru_status gru_stack_save(const char *path, const gru_stack *stack, const char *prefix,
                          const gru_named_tensor *tensors, int32_t count, void *stream) {
    (void)path, (void)stack, (void)prefix, (void)tensors, (void)count, (void)stream;
    return not_built();
}

gru_status gru_stack_update_from_file(gru_stack *stack, const gru_file *file, const char *prefix,
                                      void *stream) {
    (void)stack, (void)file, (void)prefix, (void)stream;
    return not_built();
}
