/* backward_step_problem.h: all that the backward steps of one direction read, drawn and uploaded on the device, and what double precision makes of
 * the same numbers.
 *
 *     sweep_problem *p = sweep_problem_make(context, &config, T, N, options, seed);
 *     ... launches with p->sequence, p->input, p->recurrent, p->octets ...
 *     sweep_problem_check(p);
 *     sweep_problem_free(p);
 */
#ifndef BACKWARD_STEP_PROBLEM_H
#define BACKWARD_STEP_PROBLEM_H

#include "cuda/layer/cuda_layer.h"
#include "cuda/kernels/cuda_backward_kernels.h"

enum {
    SWEEP_LENGTHS = 1 << 0,  /* ragged: the first row whole, the last of several empty */
    SWEEP_SEGMENTS = 1 << 1, /* one step in three starts a segment */
    SWEEP_ATTENTION = 1 << 2,
    SWEEP_NO_DY = 1 << 3,
    SWEEP_NO_DHT = 1 << 4,
    SWEEP_FEW = 1 << 5,   /* only the rows are wanted */
    SWEEP_GIVEN = 1 << 6, /* input as callers project it */
    SWEEP_OPTIONS = 1 << 7
};

enum { SWEEP_BLOCKS = 24 };

typedef struct sweep_problem {
    gru_layer *layer;
    gru_cuda_compute_type compute_type;
    int64_t T, N;
    uint32_t options;
    /* on the device, as launches take it */
    gru_cuda_backward_sequence sequence;
    gru_cuda_input input, recurrent; /* of step 0 */
    float *octets;                   /* [T][N][unit octet]; NULL: not wanted */
    struct {
        void *device, *host; /* host NULL: an output */
        size_t bytes;
    } blocks[SWEEP_BLOCKS];
    int block_count;
    char text[256]; /* for failures */
} sweep_problem;

/* config: variant and types; no inputs. The layer's weights are packed and transposed on the device. */
sweep_problem *sweep_problem_make(gru_context *context, const gru_layer_config *config, int64_t T, int64_t N,
                                  uint32_t options, uint64_t seed);
void sweep_problem_free(sweep_problem *p);

/* The context's stream is done: compares rows, dprojected, dh0, dh_restart and attention with double precision. */
void sweep_problem_check(const sweep_problem *p);

/* ---- memory of the device, also for tests of other kernels ---- */

/* bytes on the device: a copy of host memory, or (NULL) NaN. */
void *device_copy(const void *host, size_t bytes);
/* What lies there now; free() it. */
void *device_read(const void *device, size_t bytes);
void device_free(void *device);

/* As products read it. */
float round_operand(gru_cuda_compute_type compute_type, float value);

#endif
