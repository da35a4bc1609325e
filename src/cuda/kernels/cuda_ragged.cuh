/* cuda_ragged.cuh: numbers of a ragged batch as kernels use them: clamped, so that wrong ones lead to no row outside the tensors.
 * timeline_kernel reports them. */
#ifndef GRU_CUDA_RAGGED_CUH
#define GRU_CUDA_RAGGED_CUH

#include "cuda_math_types.cuh"

namespace {

GRU_DEVICE int64_t clamped(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

/* Walks along the steps of batch_sizes. */
struct BatchSizes {
    int64_t t = 0, begin = 0; /* a step, and its first row */
    int64_t size;             /* of the batch at t; at first the number of sequences */

    GRU_DEVICE explicit BatchSizes(int64_t sequences) : size(sequences) {}

    /* Sets size to that of step t: no more than of the step before, and than there are rows left. */
    GRU_DEVICE void read(const gru_cuda_ragged &ragged) {
        const int64_t left = ragged.rows - begin;
        size = clamped(ragged.batch_sizes[t], 0, left < size ? left : size);
    }
    GRU_DEVICE void advance() { begin += size, t++; }
};

} // namespace
#endif
