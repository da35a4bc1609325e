/* file_fixture.h: opens files with stacks, and runs the loaded stacks. */
#ifndef FILE_FIXTURE_H
#define FILE_FIXTURE_H

#include "file_maker.h"
#include "gru/import.h"

/* Opens the file. Ends the test as skipped if the library was built without files, as failed if the file is wrong. */
void file_fixture_open(const char *path, gru_file **file);
/* The same for a file made in memory. The bytes of it, to be freed when it is closed. */
void *file_fixture_parse(const file_maker *maker, gru_file **file);

/* A new folder in /tmp, to be removed, and the path of a file in it. */
typedef struct file_folder {
    char name[32], path[64];
} file_folder;
file_folder file_fixture_folder(void);

/* Loads the file made so far. words NULL: any sentence; else the sentence has them. A stack comes with GRU_OK alone. */
void check_load(const file_maker *maker, const char *prefix, gru_status wanted, const char *words);

/* Options that load everything as f64. */
gru_load_options file_fixture_f64_options(void);

/* x [T][N][inputs], y [T][N][outputs] of io_type f64. */
void file_fixture_run(gru_stack *stack, int64_t T, int64_t N, const double *x, double *y);

#endif
