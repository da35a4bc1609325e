/* file_maker.c: writes safetensors files byte by byte, without the library that reads them. */
#include "file_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void file_add(file_maker *f, const char *name, const char *value) {
    const size_t used = strlen(f->header);
    (void)snprintf(f->header + used, sizeof f->header - used, "%s\"%s\":%s", used ? "," : "", name, value);
}

void file_add_tensor(file_maker *f, const char *name, const char *dtype, const char *shape, size_t bytes) {
    char value[256];
    (void)snprintf(value, sizeof value, "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", dtype,
                   shape, f->offset, f->offset + bytes);
    file_add(f, name, value);
    f->offset += bytes;
}

void *file_finish(const file_maker *f, size_t *size) {
    char header[FILE_MAKER_HEADER + 8];
    (void)snprintf(header, sizeof header, "{%s}", f->header);
    return file_bytes(header, -1, f->offset, size);
}

void *file_bytes(const char *header, long long length, size_t data_bytes, size_t *size) {
    const size_t header_bytes = strlen(header);
    const uint64_t told = length < 0 ? header_bytes : (uint64_t)length;
    *size = 8 + header_bytes + data_bytes;
    uint8_t *bytes = malloc(*size);
    if (!bytes) abort();
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(told >> 8 * i);
    memcpy(bytes + 8, header, header_bytes);
    memset(bytes + 8 + header_bytes, 0, data_bytes);
    for (size_t i = 0; i + sizeof(float) <= data_bytes; i += sizeof(float)) {
        const float number = (float)(i / sizeof(float) + 1) / 64.0f;
        memcpy(bytes + 8 + header_bytes + i, &number, sizeof number);
    }
    return bytes;
}

void *file_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    (void)fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    (void)fclose(file);
    return bytes;
}
