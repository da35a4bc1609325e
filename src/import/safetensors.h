/* safetensors.h: a file of named tensors in memory, and the parts that read and write share. */
#ifndef GRU_SAFETENSORS_H
#define GRU_SAFETENSORS_H

#include "gru/import.h"

struct cJSON;

enum { GRU_TENSOR_RANK = 8 }; /* dimensions of gru_tensor.shape */

typedef struct gru_file_entry {
    const char *name;  /* in the header's JSON */
    size_t begin, end; /* bytes of the data section */
    int32_t type, rank;
    int64_t shape[GRU_TENSOR_RANK];
} gru_file_entry;

struct gru_file {
    char *source; /* the path, or what stands for it in a sentence */
    const uint8_t *bytes;
    size_t size;
    int mapped;
    const uint8_t *data; /* past the header */
    size_t data_bytes;
    struct cJSON *header; /* owns names and metadata */
    const struct cJSON *metadata;
    gru_file_entry *entries;        /* [count] in the order of the data */
    const gru_file_entry **by_name; /* [count] sorted */
    int32_t count;
};

/* Fills header, metadata, entries, by_name, count of a file with source, bytes and size. GRU_BAD_DATA with the first
 * thing found wrong. What was allocated until a failure is gru_file_close's to free. */
gru_status gru_file_check(gru_file *file);

/* NULL if there is none of that name. */
const gru_file_entry *gru_file_find(const gru_file *file, const char *name);

/* "F32" and so on; NULL for a type that this library does not write. */
const char *gru_dtype_name(int32_t type);

/* Whether the bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms). *where: index of the first wrong one. */
int gru_utf8_valid(const uint8_t *bytes, size_t count, size_t *where);

#endif
