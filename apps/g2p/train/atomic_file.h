/* atomic_file.h: files that are replaced whole or not at all, whenever the program or the host stops. */
#ifndef G2P_ATOMIC_FILE_H
#define G2P_ATOMIC_FILE_H

#include <stdio.h>

typedef struct atomic_file {
    FILE *file; /* to write to */
    char path[1024], part[1032];
} atomic_file;

/* Opens PATH.part. 0 on failure, after a message on stderr. */
int atomic_file_open(atomic_file *output, const char *path);

/* Puts what was written in the place of PATH, once it has reached the disk. 0 on failure, also of an earlier write, after a
 * message on stderr; then PATH is as it was. */
int atomic_file_close(atomic_file *output);

#endif
