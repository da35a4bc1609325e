/* cuda_arguments.h: what the forward and the backward calls of CUDA engines have in common: a run as kernels see it, and where
 * its input is read. */
#ifndef GRU_CUDA_ARGUMENTS_H
#define GRU_CUDA_ARGUMENTS_H

#include "core/engine.h"
#include "cuda/layer/cuda_layer.h"

static inline void *gru_cuda_workspace_ptr(const gru_run *run, size_t offset) {
    return (char *)run->workspace + offset;
}

/* All but the pointers into the workspace, of which only that of the table of times is set, which begins at `timeline`. */
gru_cuda_sequence gru_cuda_sequence_of(const gru_job *job, size_t timeline);

/* Whether forward can project a ragged batch's x as it lies, at once and with the bits of a padded batch, whose chunks have so
 * many steps. Else it projects a row for each of T N steps. */
int gru_cuda_projects_ragged(const gru_job *job, int64_t steps);
/* Whether x must be copied into rows before it is multiplied, because cuBLASLt cannot read it as it is. Without x: no. */
int gru_cuda_must_gather(const gru_job *job, int ragged); /* ragged: gru_cuda_projects_ragged */
/* Lets a prologue copy x of direction d into rows. */
void gru_cuda_gather(gru_cuda_prologue *prologue, int32_t d, const gru_job *job, void *rows);

/* Rows of x for a GEMM: `stride` numbers from row to row. */
typedef struct gru_cuda_x_rows {
    const void *data;
    int64_t stride;
} gru_cuda_x_rows;
/* x of the steps s .. s + steps - 1; gathered: the rows that it was copied into, or NULL. Where x is read as it is, those of
 * a reverse layer lie in the order of their times, the last step first. */
gru_cuda_x_rows gru_cuda_x_of(const gru_job *job, const void *gathered, int64_t s, int64_t steps);
/* out[rows][projected row] = W x + bW, and how steps find it, from the first row on. */
/* sums_of: as in gru_cuda_gemm_args. */
gru_status gru_cuda_project(const gru_job *job, gru_cuda_x_rows x, int64_t rows, int64_t sums_of, float *out,
                            void *workspace);
gru_cuda_input gru_cuda_projected_input(const gru_job *job, const float *projected);
/* What the caller has projected. */
gru_cuda_input gru_cuda_given_input(const gru_job *job);

/* Whether steps may take the default path of their kernels (kernels/cuda_epilogue_default.cuh). It leaves out every option that
 * this function does not accept. */
int gru_cuda_takes_default_path(const gru_cuda_sequence *seq, const gru_cuda_input *input);

#endif
