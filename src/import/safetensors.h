/* safetensors.h: a file of named tensors in memory, and the parts that read and write share. */
#ifndef GRU_SAFETENSORS_H
#define GRU_SAFETENSORS_H

#include <string.h>

#include "gru/import.h"

enum { GRU_TENSOR_RANK = 8 };            /* dimensions of gru_tensor.shape */
enum { GRU_LARGEST_HEADER = 100000000 }; /* bytes: the limit of the format's first implementation */

/* A tensor. Small, so that a header of many tensors takes less memory than its own text. */
typedef struct gru_file_entry {
    uint32_t name;  /* in the file's strings; the dtype is the string after it */
    uint32_t shape; /* byte of the header where its first dimension is */
    int32_t rank;
    int32_t type;      /* GRU_F32, ...; GRU_TENSOR_OTHER also if this library does not know the dtype */
    size_t begin, end; /* bytes of the data */
} gru_file_entry;

struct gru_file {
    char *source; /* the path, or what stands for it in a sentence */
    const uint8_t *bytes;
    size_t size;
    int mapped;
    const uint8_t *data; /* past the header */
    size_t data_bytes;
    char *strings;           /* of the header: names, dtypes, metadata, each ended by a zero */
    gru_file_entry *entries; /* [count] as in the header */
    uint32_t *by_place;      /* [count] entries in the order of the data */
    uint32_t *by_name;       /* [count] entries in the order of their names */
    uint32_t *keys; /* [key_count] keys of the metadata, sorted, in strings; the value is the next string */
    uint32_t count, key_count; /* fewer than bytes of the header */
};

/* Fills all from strings to key_count of a file with source, bytes and size. GRU_BAD_DATA with the first thing found
 * wrong. What was allocated until a failure is gru_file_close's to free. */
gru_status gru_file_check(gru_file *file);

/* Entry i in the order of names. */
static inline const gru_file_entry *gru_file_entry_by_name(const gru_file *file, uint32_t i) {
    return &file->entries[file->by_name[i]];
}

static inline const char *gru_file_entry_name(const gru_file *file, const gru_file_entry *entry) {
    return file->strings + entry->name;
}

/* The dtype is the string after the name. */
static inline const char *gru_file_entry_dtype(const gru_file *file, const gru_file_entry *entry) {
    const char *name = gru_file_entry_name(file, entry);
    return name + strlen(name) + 1;
}

/* Key i of the sorted metadata. */
static inline const char *gru_file_key(const gru_file *file, uint32_t i) {
    return file->strings + file->keys[i];
}

/* The start of a name: the first bytes of prefix, then rest. */
typedef struct gru_name_start {
    const char *prefix;
    size_t bytes;
    const char *rest;
} gru_name_start;

/* The first tensor in the order of names, or the first key, that begins so: its name. NULL if there is none. *i: its index,
 * without any the index of the next. Those that begin so follow each other. */
const char *gru_file_first_name(const gru_file *file, gru_name_start start, uint32_t *i);
const char *gru_file_first_key(const gru_file *file, gru_name_start start, uint32_t *i);
/* The next one that begins so, and its index; NULL past the last. */
const char *gru_file_next_name(const gru_file *file, gru_name_start start, uint32_t *i);
const char *gru_file_next_key(const gru_file *file, gru_name_start start, uint32_t *i);

/* The tensor of that name, or of the name that the metadata gives for it: files of tied weights store one of two tensors,
 * and the other's name as a key. NULL if there is none. */
const gru_file_entry *gru_file_find(const gru_file *file, const char *name);

/* Same, but the tensor itself must be there. */
const gru_file_entry *gru_file_find_stored(const gru_file *file, const char *name);

/* The first dimensions, at most GRU_TENSOR_RANK; the rest 0. */
void gru_file_shape(const gru_file *file, const gru_file_entry *entry, int64_t shape[GRU_TENSOR_RANK]);
/* The whole tensor; rank may be above GRU_TENSOR_RANK. */
gru_tensor gru_file_describe(const gru_file *file, const gru_file_entry *entry);

/* "F32" and so on; NULL for a type that this library does not write. */
const char *gru_dtype_name(int32_t type);

/* gru_file_save with further tensors, which are checked here. */
gru_status gru_file_save_all(const char *path, const gru_stack_config *config, const char *prefix,
                             const gru_named_tensor *tensors, int32_t count);

#endif
