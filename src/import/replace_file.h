/* replace_file.h: puts a new file in the place of an old one, whole or not at all. */
#ifndef GRU_REPLACE_FILE_H
#define GRU_REPLACE_FILE_H

#include <stddef.h>

#include "gru/gru.h"

/* A file that is being written. */
typedef struct gru_output {
    const char *path; /* the place that it is for, in sentences */
    int descriptor;
} gru_output;

gru_status gru_output_write(const gru_output *output, const void *data, size_t bytes);

/* Calls fill with a new file in the folder of path, and renames that file to path. A symbolic link is followed. A failure of
 * fill, or GRU_IO with the system's reason, leaves the old file as it was and nothing beside it. */
gru_status gru_file_replace(const char *path, gru_status (*fill)(const gru_output *output, void *user),
                            void *user);

#endif
