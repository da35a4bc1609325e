/* cuda_blaslt.c: loads cuBLASLt, of the major version that this library was built with. */
#include "cuda_blaslt.h"

#include <dlfcn.h>
#include <string.h>

#include "core/host_memory.h"

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
#if !defined(GRU_CUBLASLT_NAME)
#define GRU_CUBLASLT_NAME "libcublasLt.so." TEXT_OF(CUBLAS_VER_MAJOR)
#endif

const char *gru_cuda_blas_file = GRU_CUBLASLT_NAME;

static const char *file_name(void) {
    return gru_cuda_blas_file ? gru_cuda_blas_file : "cuBLASLt in this program";
}

static gru_status find(const gru_cuda_blas *blas, const char *name, void *function, size_t bytes) {
    void *const symbol = dlsym(blas->library, name);
    if (!symbol)
        return gru_fail(GRU_NO_DEVICE, "%s has no function %s: expected cuBLASLt %d", file_name(), name,
                        CUBLAS_VER_MAJOR);
    memcpy(function, &symbol,
           bytes); /* C has no conversion between a pointer to data and one to a function */
    return GRU_OK;
}

#define FIND(name) GRU_TRY(find(blas, "cublasLt" #name, &blas->name, sizeof blas->name));
static gru_status find_functions(gru_cuda_blas *blas) {
    GRU_CUDA_BLAS_FUNCTIONS(FIND)
    const size_t version = blas->GetVersion();
    if (version / 10000 == CUBLAS_VER_MAJOR) return GRU_OK;
    return gru_fail(GRU_NO_DEVICE, "%s is version %zu.%zu, expected %d: this library was built for that",
                    file_name(), version / 10000, version / 100 % 100, CUBLAS_VER_MAJOR);
}

gru_status gru_cuda_blas_open(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    gru_cuda_blas *blas = gru_host_allocate(context, sizeof *blas, "the functions of cuBLASLt");
    if (!blas) return GRU_OUT_OF_MEMORY;
    memset(blas, 0, sizeof *blas);
    device->blas = blas;
    /* it stays in memory after closing, because what it registered with the driver does not survive unloading */
    blas->library = dlopen(gru_cuda_blas_file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!blas->library)
        return gru_fail(GRU_NO_DEVICE, "%s cannot be loaded, which CUDA contexts multiply with: %s",
                        file_name(), dlerror());
    GRU_TRY(find_functions(blas));
    return gru_cuda_blas_status(device, blas->Create(&blas->handle), "opening cuBLASLt");
}

void gru_cuda_blas_close(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    gru_cuda_blas *blas = device->blas;
    if (!blas) return;
    if (blas->handle) (void)blas->Destroy(blas->handle);
    if (blas->library) (void)dlclose(blas->library);
    gru_host_free(context, blas, sizeof *blas);
    device->blas = NULL;
}

gru_status gru_cuda_blas_status(gru_cuda_device *device, cublasStatus_t status, const char *what) {
    if (status == CUBLAS_STATUS_SUCCESS) return GRU_OK;
    const cudaError_t error = gru_cuda_lost_error(); /* may be the cause */
    if (error != cudaSuccess) return gru_cuda_status(device, error, what);
    return gru_fail(status == CUBLAS_STATUS_ALLOC_FAILED ? GRU_OUT_OF_MEMORY : GRU_DEVICE_FAILED,
                    "%s failed on CUDA device %d: %s; the context can still be used", what, device->ordinal,
                    device->blas->GetStatusName(status));
}
