/* cuda_streaming_kernels.h: the arguments and the launcher of the kernel that runs a call of one step in one launch. */
#ifndef GRU_CUDA_STREAMING_KERNELS_H
#define GRU_CUDA_STREAMING_KERNELS_H

#include "cuda_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GRU_CUDA_STREAMING_ROWS = GRU_CUDA_OCTET }; /* sequences of a call, at most */

/* What a direction reads beside its sequence. */
typedef struct gru_cuda_streaming_side {
    const void *W;   /* packed as the rows of a GEMM: [unit octet][gate][8][input pitch] */
    const float *bW; /* [unit octet][gate][8] */
    gru_const_view x;
    int32_t inputs;
    int32_t groups; /* of inputs: gru_cuda_groups */
    int32_t line;   /* 16-byte words in a row of W */
    const void *h0; /* [N][H] state_type, or [slot_count][H]; NULL: zeros */
    int64_t h0_stride;
    const int32_t *h0_slots; /* a slot out of range: zeros */
} gru_cuda_streaming_side;

/* Step 0 of one or two directions with T 1 and N up to GRU_CUDA_STREAMING_ROWS, reset AFTER or ALL, inference. Of a sequence the
 * fields of the workspace are not used, and of the step neither input nor what concerns other launches. */
typedef struct gru_cuda_streaming_args {
    gru_cuda_step_args step; /* s 0, last */
    gru_cuda_streaming_side side[GRU_CUDA_DIRECTIONS];
    int32_t
        in_place; /* hT lies where h0 does: all blocks read h0 before any writes hT, so all must be resident */
    gru_cuda_device_error *device_error;
} gru_cuda_streaming_args;

/* Blocks of a launch: one for each unit octet and direction. */
cudaError_t gru_cuda_launch_streaming(gru_cuda_compute_type compute_type, const gru_cuda_streaming_args *args,
                                      cudaStream_t stream);
/* Loads the kernel. blocks[N - 1]: how many blocks of N sequences the device holds at once, of a layer with so many groups of
 * inputs and states; 0: not one, because their numbers do not fit its shared memory. */
cudaError_t gru_cuda_load_streaming(gru_cuda_compute_type compute_type, int32_t groups,
                                    int32_t blocks[GRU_CUDA_STREAMING_ROWS]);

#ifdef __cplusplus
}
#endif
#endif
