/* fuzz_safetensors.c: any bytes as a file of tensors: opened, looked through, loaded as a stack, which takes the same weights
 * again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gru/import.h"

enum { ROOM = 1 << 16 };

/* Ends where the process may not read: what looks beyond a file's last byte stops here, in whichever library. */
static uint8_t *fence(void) {
    static uint8_t *end;
    if (end) return end;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *room = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || mprotect(room + ROOM, page, PROT_NONE) != 0) abort();
    return end = room + ROOM;
}

/* An odd first byte: the rest is a file. An even one: the rest is a header, after two bytes with the size of the data. */
static const uint8_t *make_file(const uint8_t *input, size_t size, size_t *file_size) {
    if (size > 0 && input[0] % 2) {
        *file_size = size - 1;
        return memcpy(fence() - *file_size, input + 1, *file_size);
    }
    const size_t data = size > 2 ? ((size_t)input[1] | (size_t)input[2] << 8) % 4096 : 0;
    const size_t header = size > 3 ? size - 3 : 0;
    *file_size = 8 + header + data;
    uint8_t *file = fence() - *file_size;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)header >> 8 * i);
    if (header) memcpy(file + 8, input + 3, header);
    memset(file + 8 + header, 0x3c, data);
    return file;
}

static void look_through(const gru_file *file, const uint8_t *bytes, size_t size) {
    const char *name;
    volatile unsigned sum = 0;
    for (int32_t i = 0; (name = gru_file_name(file, i)) != NULL; i++) {
        gru_tensor tensor;
        const gru_status status = gru_file_tensor(file, name, &tensor);
        if (status == GRU_UNSUPPORTED) continue; /* too many dimensions */
        if (status != GRU_OK || !tensor.dtype) abort();
        const uint8_t *data = tensor.data;
        if (data < bytes || tensor.bytes > size || data + tensor.bytes > bytes + size) abort();
        for (size_t b = 0; b < tensor.bytes; b++) sum += data[b];
    }
    (void)gru_file_metadata(file, "gru.reset");
}

static void load(const gru_file *file, const char *prefix, int32_t weight_type) {
    static gru_context *context;
    if (!context) {
        gru_context_config config = GRU_INIT;
        config.threads = 1;
        if (gru_context_create(&config, &context) != GRU_OK) abort();
    }
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    options.prefix = prefix;
    options.weight_type = weight_type;
    const gru_status status = gru_stack_load(context, file, &options, &stack);
    if ((status == GRU_OK) != (stack != NULL)) abort();
    if (stack && gru_stack_update_from_file(stack, file, prefix, NULL) != GRU_OK) abort();
    gru_stack_release(stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size > ROOM / 2) return -1;
    size_t file_size;
    const uint8_t *bytes = make_file(input, size, &file_size);
    gru_file *file = NULL;
    const gru_status status = gru_file_parse(bytes, file_size, &file);
    if ((status == GRU_OK) != (file != NULL)) abort();
    if (status != GRU_OK && (status != GRU_BAD_DATA || !gru_last_error()[0])) abort();
    if (file) {
        look_through(file, bytes, file_size);
        load(file, NULL, GRU_F32);
        load(file, "", size % 2 ? GRU_INT8 : GRU_F32);
    }
    gru_file_close(file);
    return 0;
}
