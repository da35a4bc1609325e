/* tensors.c: a length, a header in JSON, the numbers: https://huggingface.co/docs/safetensors, "Format". */
#include "tensors.h"

#include <stdarg.h>
#include <string.h>

#include "atomic_file.h"

enum { HEADER_ROOM = 16384, ALIGNMENT = 8 };

typedef struct header {
    uint64_t length;
    char text[HEADER_ROOM];
} header;

__attribute__((format(printf, 2, 3))) static void add(header *h, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(h->text + h->length, HEADER_ROOM - h->length, format, arguments);
    va_end(arguments);
    h->length += (uint64_t)added;
    if (h->length >= HEADER_ROOM) h->length = HEADER_ROOM - 1;
}

static void add_tensor(header *h, const tensor_data *t, uint64_t offset) {
    add(h, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%lld", t->name, t->type, (long long)t->shape[0]);
    if (t->rank == 2) add(h, ",%lld", (long long)t->shape[1]);
    add(h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)offset,
        (unsigned long long)(offset + t->bytes));
}

static void make_header(header *h, const tensor_note *notes, int32_t note_count, const tensor_data *tensors,
                        int32_t tensor_count) {
    uint64_t offset = 0;
    h->length = 0;
    add(h, "{\"__metadata__\":{");
    for (int32_t i = 0; i < note_count; i++)
        add(h, "%s\"%s\":\"%s\"", i ? "," : "", notes[i].key, notes[i].value);
    add(h, "}");
    for (int32_t i = 0; i < tensor_count; i++) {
        add_tensor(h, &tensors[i], offset);
        offset += tensors[i].bytes;
    }
    add(h, "}");
    while (h->length % ALIGNMENT) add(h, " ");
}

int tensors_save(const char *path, const tensor_note *notes, int32_t note_count, const tensor_data *tensors,
                 int32_t tensor_count) {
    header h;
    atomic_file output;
    make_header(&h, notes, note_count, tensors, tensor_count);
    if (h.length == HEADER_ROOM - 1) return fprintf(stderr, "%s: its header is too long\n", path), 0;
    if (!atomic_file_open(&output, path)) return 0;
    size_t written =
        fwrite(&h.length, sizeof h.length, 1, output.file) + fwrite(h.text, h.length, 1, output.file);
    for (int32_t i = 0; i < tensor_count && written == (size_t)i + 2; i++)
        written += fwrite(tensors[i].data, 1, tensors[i].bytes, output.file) == tensors[i].bytes;
    return atomic_file_close(&output);
}
