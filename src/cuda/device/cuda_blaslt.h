/* cuda_blaslt.h: cuBLASLt, loaded by the first context, so that the library itself loads without it. */
#ifndef GRU_CUDA_BLASLT_H
#define GRU_CUDA_BLASLT_H

#include <cublasLt.h>

#include "cuda_device.h"

#define GRU_CUDA_BLAS_FUNCTIONS(X)  \
    X(Create)                       \
    X(Destroy)                      \
    X(GetVersion)                   \
    X(GetStatusName)                \
    X(MatrixLayoutInit_internal)    \
    X(MatrixLayoutSetAttribute)     \
    X(MatmulDescInit_internal)      \
    X(MatmulDescSetAttribute)       \
    X(MatmulPreferenceCreate)       \
    X(MatmulPreferenceSetAttribute) \
    X(MatmulPreferenceDestroy)      \
    X(MatmulAlgoGetHeuristic)       \
    X(MatmulAlgoConfigGetAttribute) \
    X(MatmulAlgoCheck)              \
    X(Matmul)

#define GRU_CUDA_BLAS_MEMBER(name) __typeof__(cublasLt##name) *name;
typedef struct gru_cuda_blas {
    void *library;
    cublasLtHandle_t handle;
    GRU_CUDA_BLAS_FUNCTIONS(GRU_CUDA_BLAS_MEMBER) /* named as in cuBLASLt, without the prefix */
} gru_cuda_blas;

/* The file that contexts load; NULL: the program itself has the functions. Tests set another. */
extern const char *gru_cuda_blas_file;

/* Sets device->blas. The context's device must be current. GRU_NO_DEVICE: the file is missing, or of another version than the
 * headers. */
gru_status gru_cuda_blas_open(gru_context *context);
void gru_cuda_blas_close(gru_context *context); /* also when it was never opened */

/* GRU_OK, or the status for a failed call of cuBLASLt with a sentence. */
gru_status gru_cuda_blas_status(gru_cuda_device *device, cublasStatus_t status, const char *what);
#define GRU_BLAS_TRY(device, expression, what) GRU_TRY(gru_cuda_blas_status((device), (expression), (what)))
/* Sets one attribute of a description. */
#define GRU_BLAS_SET(device, setter, object, attribute, value)                                   \
    GRU_BLAS_TRY(device, (device)->blas->setter((object), (attribute), &(value), sizeof(value)), \
                 "describing a GEMM")

#endif
