/* tensors.h: writes safetensors files of any tensors: gru_file_save knows those of GRUs only. */
#ifndef G2P_TENSORS_H
#define G2P_TENSORS_H

#include <stddef.h>
#include <stdint.h>

typedef struct tensor_data {
    const char *name, *type; /* "F32", "F16" */
    int32_t rank;
    int64_t shape[2];
    const void *data;
    size_t bytes;
} tensor_data;

/* Printable, without quotes and backslashes. */
typedef struct tensor_note {
    const char *key, *value;
} tensor_note;

/* Replaces the file at path, as atomic_file_close does. The same arguments give the same bytes. 0 on failure, after a message on
 * stderr. */
int tensors_save(const char *path, const tensor_note *notes, int32_t note_count, const tensor_data *tensors,
                 int32_t tensor_count);

#endif
