/* file_fixture.h: opens files with stacks, and runs the loaded stacks. */
#ifndef FILE_FIXTURE_H
#define FILE_FIXTURE_H

#include "gru/import.h"

/* Opens the file. Ends the test as skipped if the library was built without files, as failed if the file is wrong. */
void file_fixture_open(const char *path, gru_file **file);

/* Options that load everything as f64. */
gru_load_options file_fixture_f64_options(void);

/* x [T][N][inputs], y [T][N][outputs] of io_type f64. */
void file_fixture_run(gru_stack *stack, int64_t T, int64_t N, const double *x, double *y);

#endif
