/* cpu_forward_work.h: the data of a forward call and of one of its threads, and what the parts of its phases do. */
#ifndef GRU_CPU_FORWARD_WORK_H
#define GRU_CPU_FORWARD_WORK_H

#include "cpu_kernels.h"
#include "cpu_operands.h"
#include "cpu_phases.h"
#include "cpu_slice.h"

/* One call. */
typedef struct gru_cpu_forward_call {
    const gru_layer *layer;
    const gru_run *run;
    const gru_cpu_kernels *kernels;
    gru_cpu_operands operands;
    gru_cpu_schedule schedule;
    size_t H;
    size_t pitch, pitch_a; /* of rows of units, and of a */
    gru_timeline timeline;
    int64_t steps;            /* of the longest row */
    gru_phases *phases;       /* NULL: one thread */
    gru_phase_claims *claims; /* for each thread */
    real *state[2];           /* [N][pitch] the states that enter even and odd steps */
    real *z, *rh;             /* [N][pitch] BEFORE */
    real *a;                  /* [chunk][N][pitch_a] projected input of a chunk, in panels: [P][3][16] */
    real *x;                  /* [chunk][N][I] 16-bit input of a chunk, as f32 */
    const gru_cpu_pair_kernels *pairs; /* NULL: products of one number */
    char *narrow[2];  /* with pairs: [chunk][N] inputs and [N] states, as gru_cpu_narrow_row */
    char *lists;      /* for each thread: the arrays of gru_cpu_rows */
    size_t list_rows; /* in each of them */
    void *times;      /* of the timeline */
} gru_cpu_forward_call;

/* The work of one thread. */
typedef struct gru_cpu_forward_work {
    const gru_cpu_forward_call *call;
    gru_phase_member member;
    gru_cpu_slice slice; /* of the current part */
    int64_t step;        /* the current one, of a phase that is one step */
    int64_t chunk_begin; /* first step of the current chunk */
    gru_cpu_rows rows;
    const gru_cpu_narrow_row **narrow; /* [count] rows of a product of pairs */
} gru_cpu_forward_work;

enum { INPUTS, STATES }; /* of gru_cpu_forward_call.narrow */

/* All of these act on the rows and units of the current part. */

/* The states from h0, or zeros. Then, when all parts have done so: those of rows without steps to hT, and the first segments. */
void gru_cpu_load_states(const gru_cpu_forward_work *work);
void gru_cpu_start_rows(const gru_cpu_forward_work *work);
/* After the last step: y of absent steps. */
void gru_cpu_fill_absent_rows(const gru_cpu_forward_work *work);

/* a of the current chunk. */
void gru_cpu_project_chunk(gru_cpu_forward_work *work);
/* A step, or with BEFORE its first half: the candidate's product reads all of r h. */
void gru_cpu_begin_step(gru_cpu_forward_work *work, int64_t s);
/* The second half with BEFORE. */
void gru_cpu_end_step(gru_cpu_forward_work *work, int64_t s);

/* Parts that share rows share this work: it comes before the projection, the step or its second half, each part some rows.
 * 16-bit x as f32; with products of pairs, x, states and r h in 16 bits. */
void gru_cpu_widen_inputs(const gru_cpu_forward_work *work, int32_t part);
void gru_cpu_narrow_inputs(gru_cpu_forward_work *work, int32_t part);
void gru_cpu_narrow_states(gru_cpu_forward_work *work, int64_t s, int32_t part);
void gru_cpu_narrow_reset_states(gru_cpu_forward_work *work, int64_t s, int32_t part);

#endif
