/* cuda_backward_kernels.h: arguments and launchers of the kernels of the backward pass. All pointers are to device memory.
 *
 * For each chunk of steps, from the last to the first:
 *   rows    states of the reserve as GEMM rows; x rows by gru_cuda_launch_prologue with begins 0
 *           (GEMMs: a = W x + bW as in the forward pass, c = R h)
 *           reset BEFORE: r h as GEMM rows (GEMM: c of n = R_n (r h))
 *   steps   one launch for each step of the chunk, s descending; after step 0 one more, s = -1, stores dh0 and dh_restart
 *   then    the gradient of attention; (GEMM: dx rows = da W) and their scatter
 * Over all rows: (GEMMs: dW = da' x, dR = dc' h), then their sums into dW and dR, and column sums into dbW and dbR. */
#ifndef GRU_CUDA_BACKWARD_KERNELS_H
#define GRU_CUDA_BACKWARD_KERNELS_H

#include "cuda_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One backward call of one direction: the same for all its launches. */
typedef struct gru_cuda_backward_sequence {
    /* As in the forward pass. Read of it: sizes, the layer but R, types, lengths, restart, attention, and reserve, which is
     * read only. */
    gru_cuda_sequence forward;
    const void *R_transposed; /* [unit octet][gate][group][tile] */
    /* the gradients: as in gru_gradients */
    gru_const_view dy;   /* [T][N][H] io_type; data NULL: zeros */
    const void *dhT;     /* [N][H] state_type; NULL: zeros */
    gru_view dprojected; /* [T][N][3H] io_type, zeros past lengths; data NULL: not wanted */
    void *dh0;           /* [N][H] state_type; NULL: not wanted */
    void *dh_restart;    /* [N][H] state_type; NULL: not wanted */
    /* workspace */
    /* Gate gradients as GEMM rows, step by step (not time by time), [T][N][plane][unit pitch] of the compute type. Every number is
     * written, zeros for tails and for steps that a row does not have. */
    void *rows;
    /* dc as the main loop reads it, [batch octet][gate][group][fragment tile]: step s writes s % 2 and reads the other. The
     * first state_rows launch of a call zeroes both. */
    void *exchange[2];
    float *direct; /* [N][unit pitch] gradient of the entering state, without the GEMM's share */
    float *
        restart_sum; /* [N][unit pitch] dh_restart so far; NULL exactly when dh_restart or forward.restart is */
    uint32_t *
        barrier_counter; /* [batch octet] arrivals of blocks that have stored da of n; NULL unless reset BEFORE */
} gru_cuda_backward_sequence;

/* One backward step of one or two directions. */
typedef struct gru_cuda_backward_step_args {
    gru_cuda_backward_sequence sequence[GRU_CUDA_DIRECTIONS];
    gru_cuda_input input[GRU_CUDA_DIRECTIONS]; /* a, as in the forward pass */
    /* c of this step's rows, time_stride 0, gate_stride the unit pitch, bias the packed bR; with BEFORE c of n is R_n (r h) */
    gru_cuda_input recurrent[GRU_CUDA_DIRECTIONS];
    float *attention[GRU_CUDA_DIRECTIONS]; /* this step's [N][unit octet]; NULL: dattention is not wanted */
    int64_t s; /* -1, after step 0: stores dh0 and dh_restart; input and recurrent are not read */
    int32_t directions;
    int32_t depends, trigger; /* as in gru_cuda_step_args; depends is 0 in the first launch of a chunk */
    int32_t default_path;     /* as in gru_cuda_step_args; and no direction wants dprojected */
} gru_cuda_backward_step_args;

/* Reset AFTER and ALL: the whole step in one launch. BEFORE: update gate and candidate (dh, da of z and n), then the reset gate
 * (d(r h), da of r); for s = -1 only the first. Block tiles as in gru_cuda_launch_step, one list for all gate sets. */
cudaError_t gru_cuda_launch_backward_step(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set,
                                          gru_cuda_block_tile block_tile,
                                          const gru_cuda_backward_step_args *step, cudaStream_t stream);
enum { GRU_CUDA_BACKWARD_STEP_TILES = 8 };
int32_t gru_cuda_backward_step_tiles(gru_cuda_compute_type compute_type,
                                     gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES]);
/* Reset BEFORE in one launch, with the bits of the two. cluster and blocks as in gru_cuda_launch_step_fused, the same for all
 * steps of a call. Not for s = -1. */
cudaError_t gru_cuda_launch_backward_step_fused(gru_cuda_compute_type compute_type, int32_t cluster,
                                                int32_t blocks, const gru_cuda_backward_step_args *step,
                                                cudaStream_t stream);
/* Large batches, reset AFTER and ALL, s = -1 too. Block tiles as in gru_cuda_launch_step_large; the list says which exist (with
 * split 1). The order of sums, and so the bits, depend on the split. */
cudaError_t gru_cuda_launch_backward_step_large(gru_cuda_compute_type compute_type,
                                                gru_cuda_block_tile block_tile,
                                                const gru_cuda_backward_step_args *step, cudaStream_t stream);
int32_t gru_cuda_backward_step_large_tiles(gru_cuda_compute_type compute_type,
                                           gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES]);
/* As the gru_cuda_load_ functions of the forward steps. occupancy: of the backward kernels alone. */
cudaError_t gru_cuda_load_backward_step(gru_cuda_compute_type compute_type);
cudaError_t gru_cuda_load_backward_step_fused(gru_cuda_compute_type compute_type,
                                              gru_cuda_occupancy *occupancy);
cudaError_t gru_cuda_load_backward_step_large(gru_cuda_compute_type compute_type,
                                              gru_cuda_occupancy *occupancy);

/* States of the steps s .. s + steps - 1 from the reserve, rounded, as GEMM rows in step order: [steps][N][unit pitch] of the
 * compute type, zeros for tails and for steps past a row's length; then `padding` rows of zeros. The first launch of a call
 * also zeroes the exchange buffers and counters. */
typedef struct gru_cuda_state_rows {
    gru_cuda_backward_sequence sequence[GRU_CUDA_DIRECTIONS];
    int32_t directions, begins;
    int64_t s, steps, padding;
    void *rows[GRU_CUDA_DIRECTIONS]; /* NULL: only zeroes */
} gru_cuda_state_rows;
cudaError_t gru_cuda_launch_state_rows(gru_cuda_compute_type compute_type, const gru_cuda_state_rows *rows,
                                       cudaStream_t stream);

/* Reset BEFORE: rows of r h in the same layout, with r from a and c of the reset gate. */
typedef struct gru_cuda_reset_rows {
    gru_cuda_sequence forward[GRU_CUDA_DIRECTIONS];
    gru_cuda_input input[GRU_CUDA_DIRECTIONS];     /* of step s */
    gru_cuda_input recurrent[GRU_CUDA_DIRECTIONS]; /* of step s; the next steps follow it */
    /* Numbers from a step's input to the next one's, where it has no time_stride; negative where a reverse layer's x is read
     * as it is. */
    int64_t input_step[GRU_CUDA_DIRECTIONS];
    int32_t directions;
    int64_t s, steps, padding;
    void *rows[GRU_CUDA_DIRECTIONS]; /* [steps][N][unit pitch], then padding */
} gru_cuda_reset_rows;
cudaError_t gru_cuda_launch_reset_rows(gru_cuda_compute_type compute_type, const gru_cuda_reset_rows *rows,
                                       cudaStream_t stream);

/* dattention of the steps s .. s + steps - 1: sums over octets in ascending order; zeros past lengths. One direction. */
typedef struct gru_cuda_attention_sums {
    gru_cuda_sequence forward;
    int64_t s, steps;
    const float *octets; /* [steps][N][unit octet] */
    gru_view dattention; /* [T][N] f32 */
} gru_cuda_attention_sums;
cudaError_t gru_cuda_launch_attention_sums(const gru_cuda_attention_sums *sums, cudaStream_t stream);

/* Scatters dx of the steps s .. s + steps - 1 from GEMM rows in step order; zeros past lengths. One direction. */
typedef struct gru_cuda_scatter {
    gru_cuda_sequence forward;
    int64_t s, steps;
    const float *rows; /* [steps][N][pitch] */
    int64_t pitch;
    int32_t inputs;
    gru_view dx; /* [T][N][inputs] io_type */
} gru_cuda_scatter;
cudaError_t gru_cuda_launch_scatter(const gru_cuda_scatter *scatter, cudaStream_t stream);

/* Writes or adds a GEMM's sums for dW or dR, divided by the loss scale, to the caller's buffer of any alignment. */
typedef struct gru_cuda_weight_sums {
    const float *sums; /* [gate][unit pitch][pitch]; tails are not read */
    int64_t pitch;
    int32_t H, K;            /* K columns are taken */
    int32_t first, count;    /* gates; sums begins with gate `first` */
    const float *loss_scale; /* [1] or NULL: 1 */
    int32_t overwrite;       /* 1: set; 0: added */
    float *gradient;         /* [3H][K] */
} gru_cuda_weight_sums;
cudaError_t gru_cuda_launch_weight_sums(const gru_cuda_weight_sums *sums, cudaStream_t stream);

/* Writes or adds column sums of gate gradients, divided by the loss scale, to the bias gradients. Two launches; the order of
 * sums depends on the number of rows alone. */
typedef struct gru_cuda_bias_sums {
    const void *rows; /* [count][planes][unit pitch] of the compute type */
    int64_t count;
    int32_t H, reset_mode;
    float *partial_sums;     /* workspace: [GRU_CUDA_SUM_SPLITS][planes][unit pitch] */
    const float *loss_scale; /* [1] or NULL: 1 */
    int32_t overwrite;       /* 1: set; 0: added */
    float *dbW, *dbR;        /* [3H]; NULL: not wanted */
} gru_cuda_bias_sums;
cudaError_t gru_cuda_launch_bias_sums(gru_cuda_compute_type compute_type, const gru_cuda_bias_sums *sums,
                                      cudaStream_t stream);

/* Copies packed W and R into the layouts of gru_cuda_transposed_layout, without rounding. */
typedef struct gru_cuda_transpose {
    gru_cuda_compute_type compute_type;
    int32_t inputs, H;
    const void *W, *R;                  /* packed */
    void *W_rows, *R_rows, *transposed; /* in the transposed layout; NULL: not wanted */
} gru_cuda_transpose;
cudaError_t gru_cuda_launch_transpose(const gru_cuda_transpose *turn, cudaStream_t stream);

/* Loads all kernels of the backward pass but the steps; it calls the other two. */
cudaError_t gru_cuda_load_backward(gru_cuda_compute_type compute_type);
cudaError_t gru_cuda_load_reduce(void);
cudaError_t gru_cuda_load_transpose(gru_cuda_compute_type compute_type);

#ifdef __cplusplus
}
#endif
#endif
