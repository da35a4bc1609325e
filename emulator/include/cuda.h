// Stand-in for CUDA's cuda.h: what the library uses of the driver, found by cudaGetDriverEntryPointByVersion.
#ifndef EMU_CUDA_H
#define EMU_CUDA_H
#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError_enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_CONTEXT = 201
} CUresult;
typedef int CUdevice;
typedef struct CUctx_st *CUcontext;
CUresult cuDevicePrimaryCtxRetain(CUcontext *, CUdevice);
CUresult cuCtxPushCurrent(CUcontext);
CUresult cuCtxPopCurrent(CUcontext *);

#ifdef __cplusplus
}
#endif
#endif
