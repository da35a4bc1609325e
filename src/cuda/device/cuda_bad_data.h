/* cuda_bad_data.h: what kernels found wrong in device memory, as a status. */
#ifndef GRU_CUDA_BAD_DATA_H
#define GRU_CUDA_BAD_DATA_H

#include "core/error.h"
#include "cuda/kernels/cuda_kernels.h"

/* GRU_BAD_DATA with a sentence about the record, whose kind is not 0. */
gru_status gru_cuda_bad_data(const gru_cuda_device_error *error);

#endif
