/* cuda_kernels.h: arguments and launchers of the kernels (cuda_backward_kernels.h: of the backward pass). All pointers are to
 * device memory. */
#ifndef GRU_CUDA_KERNELS_H
#define GRU_CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "core/activation.h"
#include "core/combination.h"
#include "core/reserve.h"
#include "cuda_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Type of the products: the type of packed weights, and for f32 whether tensor cores may round operands to TF32. */
typedef enum gru_cuda_compute_type {
    GRU_CUDA_F32,
    GRU_CUDA_TF32,
    GRU_CUDA_F16,
    GRU_CUDA_BF16
} gru_cuda_compute_type;

/* The first error that a kernel found in device memory, where the host cannot look before a launch: lengths, offsets, batch
 * sizes, slots, the reserve. The kernel goes on (it clamps or skips the value) and writes the context's one record.
 * gru_context_check reads the record, turns it into a sentence and clears all fields. */
enum {
    GRU_CUDA_BAD_LENGTH = 1, /* 0: no error */
    GRU_CUDA_BAD_H0_SLOT,
    GRU_CUDA_BAD_HT_SLOT,
    GRU_CUDA_BAD_FIRST_OFFSET,
    GRU_CUDA_BAD_OFFSET, /* limit: the offset before */
    GRU_CUDA_BAD_LAST_OFFSET,
    GRU_CUDA_BAD_BATCH_SIZE,  /* limit: the batch size before, or N */
    GRU_CUDA_BAD_RAGGED_ROWS, /* value: the sum of batch sizes */
    GRU_CUDA_BAD_BATCH_ORDER,
    GRU_CUDA_TWICE_IN_BATCH_ORDER,
    GRU_CUDA_BAD_RESERVE, /* this and the next have no row, value or limit */
    GRU_CUDA_OTHER_WEIGHTS
};
typedef struct gru_cuda_device_error {
    uint32_t taken; /* 1: a thread writes the record, and later errors are dropped */
    uint32_t kind;  /* GRU_CUDA_BAD_...; written last */
    int64_t value;  /* of lengths[row], slots[row] and so on */
    int64_t limit;  /* the largest value allowed */
    int32_t row;
} gru_cuda_device_error;

/* One call of one direction: the same for all its launches. */
typedef struct gru_cuda_sequence {
    int64_t T;
    int32_t N, H, octets, groups; /* octets of units, even; groups of H */
    /* the layer */
    int32_t reset_mode, update, gate, candidate, direction; /* GRU_RESET_... */
    float clip, hard_slope;                                 /* clip 0: none */
    gru_activation f, g; /* of gates and candidate from GRU_ACTIVATION_FIRST on */
    const void *R;       /* packed */
    const float *bR;
    /* the run: tensors with strides in elements, as in gru_run */
    int32_t io_type, state_type;
    const int32_t *lengths; /* [N] or NULL; clamped to 0..T. With times: the number of steps of each row */
    const int32_t *times;   /* [T][N] of gru_cuda_timeline; NULL: by direction and length */
    int32_t ragged;         /* the batch is: tensors have no rows for absent steps */
    gru_const_view restart; /* run.restart: a non-zero byte starts a segment */
    gru_const_view attention;
    const void *h_restart; /* [N][H] state_type, or NULL: zeros */
    gru_view y;
    void *hT;
    int64_t hT_stride;
    const int32_t *hT_slots; /* rows outside 0..slot_count-1 are not written */
    int32_t slot_count;
    float *reserve; /* [T][N][H] the state that enters each step; NULL: inference */
    /* workspace */
    void *exchange[2];    /* [batch octet][group][fragment tile] h: step s reads s % 2, writes the other */
    void *exchange_reset; /* r h in the same layout; NULL unless reset BEFORE */
    float *state;         /* [N][8 octets] the state that enters the next step, in f32 */
    float *update_gate;   /* [N][8 octets] z between two launches of a step; NULL unless reset BEFORE */
    uint32_t *
        barrier_counter; /* [batch octet] arrivals of blocks that have stored r h; NULL unless reset BEFORE */
} gru_cuda_sequence;

enum { GRU_CUDA_DIRECTIONS = 2 }; /* in one launch */

/* The projected input of a step, a = W x + bW. */
typedef struct gru_cuda_input {
    const void *data;
    int64_t time_stride,
        batch_stride; /* in elements. time_stride 0: data is this step's row of all sequences */
    int32_t type;     /* GRU_F32 ... */
    int64_t
        gate_stride; /* elements from gate to gate in a row [gate][...]; 0: a row is [unit octet][gate][8] */
    const float *bias; /* [unit octet][gate][8], added by the kernel; NULL: data includes it */
} gru_cuda_input;

/* One step of one or two directions. */
typedef struct gru_cuda_step_args {
    gru_cuda_sequence sequence[GRU_CUDA_DIRECTIONS];
    gru_cuda_input input[GRU_CUDA_DIRECTIONS];
    int64_t s;
    int32_t directions;
    int32_t last;         /* writes hT */
    int32_t depends;      /* may start before the previous launch has ended */
    int32_t trigger;      /* lets the next launch start early */
    int32_t default_path; /* every direction's sequence and input meet gru_cuda_takes_default_path */
} gru_cuda_step_args;

/* What one block computes: 8 unit_octets units of 8 batch_octets sequences. split: blocks of a cluster that share k (1 but for
 * gru_cuda_launch_step_large). */
typedef struct gru_cuda_block_tile {
    int32_t unit_octets, batch_octets, split, shared_bytes;
} gru_cuda_block_tile;

/* The gates that a launch computes. Reset AFTER and ALL: all gates. BEFORE takes two launches: forward reset and update gate,
 * then the candidate; backward update gate and candidate, then the reset gate. */
typedef enum gru_cuda_gate_set {
    GRU_CUDA_ALL_GATES,
    GRU_CUDA_RESET_UPDATE,
    GRU_CUDA_CANDIDATE,
    GRU_CUDA_RESET_GATE = GRU_CUDA_RESET_UPDATE,   /* backward */
    GRU_CUDA_UPDATE_CANDIDATE = GRU_CUDA_CANDIDATE /* backward */
} gru_cuda_gate_set;
cudaError_t gru_cuda_launch_step(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set,
                                 gru_cuda_block_tile block_tile, const gru_cuda_step_args *step,
                                 cudaStream_t stream);
/* The block tiles of gru_cuda_launch_step; returns their number. All give the same bits. */
enum { GRU_CUDA_STEP_TILES = 8 };
int32_t gru_cuda_step_tiles(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set,
                            gru_cuda_block_tile tiles[GRU_CUDA_STEP_TILES]);
/* Large batches, reset AFTER and ALL: block tiles of 8 unit octets, 8 or 16 batch octets, split 1, 2, 4 or 8. */
cudaError_t gru_cuda_launch_step_large(gru_cuda_compute_type compute_type, gru_cuda_block_tile block_tile,
                                       const gru_cuda_step_args *step, cudaStream_t stream);
enum { GRU_CUDA_LARGE_TILES = 2 };
int32_t gru_cuda_step_large_tiles(gru_cuda_compute_type compute_type,
                                  gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES]); /* with split 1 */
/* Reset BEFORE in one launch. The blocks of a cluster exchange r h, or (cluster 0) those of a cooperative grid of at most
 * `blocks` blocks. */
enum { GRU_CUDA_FUSED_CLUSTER = 8 };
cudaError_t gru_cuda_launch_step_fused(gru_cuda_compute_type compute_type, int32_t cluster, int32_t blocks,
                                       const gru_cuda_step_args *step, cudaStream_t stream);

/* What the device holds at once. 0: not even one block or cluster. */
enum { GRU_CUDA_SPLITS = 4 };
typedef struct gru_cuda_occupancy {
    int32_t fused_blocks;   /* of a cooperative grid */
    int32_t fused_clusters; /* of GRU_CUDA_FUSED_CLUSTER blocks */
    int32_t large_clusters[GRU_CUDA_LARGE_TILES]
                          [GRU_CUDA_SPLITS]; /* of 2^i blocks, in the order of gru_cuda_step_large_tiles */
} gru_cuda_occupancy;

/* Loads the kernels of a launcher on the current device and allows them their shared memory, so that no launch has to. Kernels
 * that need more shared memory than the device has are left out. occupancy: only the fields of these kernels are set. */
cudaError_t gru_cuda_load_step(gru_cuda_compute_type compute_type, int32_t reset);
cudaError_t gru_cuda_load_step_large(gru_cuda_compute_type compute_type, gru_cuda_occupancy *occupancy);
cudaError_t gru_cuda_load_step_fused(gru_cuda_compute_type compute_type, gru_cuda_occupancy *occupancy);

/* Runs at the start of a call: copies h0 into the exchange buffer and the f32 state, zeroes tails and counters, checks lengths
 * and slots. Runs too before every projection that needs x gathered into rows. */
typedef struct gru_cuda_prologue {
    gru_cuda_sequence sequence[GRU_CUDA_DIRECTIONS];
    int32_t directions;
    int32_t begins; /* the first of the call: states too */
    /* states */
    const void *h0[GRU_CUDA_DIRECTIONS]; /* [N][H] state_type, or [slot_count][H]; NULL: zeros */
    int64_t h0_stride[GRU_CUDA_DIRECTIONS];
    const int32_t *h0_slots[GRU_CUDA_DIRECTIONS]; /* a slot out of range: zeros */
    gru_cuda_device_error *device_error;
    void *reserve[GRU_CUDA_DIRECTIONS]; /* its first 64 bytes, set to reserve_header; NULL: inference */
    uint64_t reserve_header[GRU_CUDA_DIRECTIONS][8];
    /* x of steps s .. s + steps - 1 in step order: rows [steps][N][pitch], then `padding` rows of zeros */
    int64_t s, steps, padding;
    int32_t as_it_lies; /* rows [steps][pitch]: x has one row for each of `steps`, and none for n */
    gru_const_view x[GRU_CUDA_DIRECTIONS]; /* io_type */
    int32_t inputs[GRU_CUDA_DIRECTIONS];
    int64_t pitch[GRU_CUDA_DIRECTIONS];
    void *rows[GRU_CUDA_DIRECTIONS]; /* of the compute type; NULL: x is read as it is */
} gru_cuda_prologue;
cudaError_t gru_cuda_launch_prologue(gru_cuda_compute_type compute_type, const gru_cuda_prologue *prologue,
                                     cudaStream_t stream);
cudaError_t gru_cuda_load_prologue(gru_cuda_compute_type compute_type);

/* Computed in f32 and rounded once. */
cudaError_t gru_cuda_launch_combine(const gru_combination *combination, cudaStream_t stream);
cudaError_t gru_cuda_load_combine(void);

/* A ragged batch, as in gru_run. offsets and batch_sizes NULL: none. */
typedef struct gru_cuda_ragged {
    const int64_t *offsets, *batch_sizes, *batch_order;
    int64_t rows;
} gru_cuda_ragged;

/* The table of core/timeline.h of a mask or a ragged batch, for one direction. Of a ragged batch, times of absent steps are not
 * written. Wrong numbers are recorded, and clamped so that no row lies outside the tensors. With batch_sizes each count must be
 * -1 before; it stays so for a sequence that batch_order leaves out. */
typedef struct gru_cuda_timeline {
    int64_t T;
    int32_t N, direction;
    gru_const_view mask;    /* data NULL: a ragged batch */
    gru_cuda_ragged ragged; /* not read with a mask */
    int32_t *counts;        /* [N] */
    int32_t *times;         /* [T][N] */
    gru_cuda_device_error *device_error;
} gru_cuda_timeline;
cudaError_t gru_cuda_launch_timeline(const gru_cuda_timeline *timeline, cudaStream_t stream);

/* GRU_ABSENT_LAST: y at absent steps, which is zero, becomes the latest output. lengths are there, and T is not 0. */
cudaError_t gru_cuda_launch_repeat(const gru_cuda_sequence *sequence, cudaStream_t stream);

cudaError_t gru_cuda_load_timeline(void); /* both */

/* GRU_CHECK_WEIGHTS: the header with the sum over packed weights into the reserve, or compared with what lies there. */
typedef struct gru_cuda_weight_checksum {
    const uint32_t *words; /* [count] packed weights */
    int64_t count;
    gru_reserve_header header; /* without the sum */
    gru_reserve_header *reserve;
    int32_t compare;
    gru_cuda_device_error *device_error;
} gru_cuda_weight_checksum;
cudaError_t gru_cuda_launch_weight_checksum(const gru_cuda_weight_checksum *sum, cudaStream_t stream);
cudaError_t gru_cuda_load_weight_checksum(void);

/* Dropout in place: each number becomes zero or is multiplied by scale in f32 and rounded once. */
typedef struct gru_cuda_dropout {
    int32_t type, layer;
    int64_t T, N, row;
    gru_view data;
    const uint64_t *seed; /* [2] */
    uint32_t limit;       /* numbers below it are dropped */
    float scale;
    gru_cuda_ragged ragged; /* whose rows those of data are; none: [T][N] */
} gru_cuda_dropout;
cudaError_t gru_cuda_launch_dropout(const gru_cuda_dropout *dropout, cudaStream_t stream);
cudaError_t gru_cuda_load_dropout(void);

/* Copies rows first .. first + count - 1 of W, R or a bias, [3H][K] in the order of gates, into the packed layout. */
typedef enum gru_cuda_matrix {
    GRU_CUDA_BIAS,
    GRU_CUDA_INPUT_WEIGHTS,
    GRU_CUDA_RECURRENT_WEIGHTS
} gru_cuda_matrix;
typedef struct gru_cuda_pack {
    gru_cuda_matrix matrix;
    gru_cuda_compute_type compute_type; /* biases are f32 whatever it is */
    int32_t H, K;                       /* K 1: a bias */
    int32_t first, count;
    const void *rows;   /* [count][K] of type */
    int32_t type;       /* GRU_F32 ... GRU_INT8 */
    const float *scale; /* [count] of int8; else NULL */
    void *packed;       /* bW, bR, W or R in the packed weights; zeroed before the first rows */
} gru_cuda_pack;
cudaError_t gru_cuda_launch_pack(const gru_cuda_pack *pack, cudaStream_t stream);
cudaError_t gru_cuda_load_pack(void);

#ifdef __cplusplus
}
#endif
#endif
