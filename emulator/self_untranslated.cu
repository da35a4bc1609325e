// What is not run as PTX: a fault of g++.
#include "self.h"

#if defined(CUDA_EMU)
// An object that a function returns is built in its place: no sanitizer hook reports the store.
__attribute__((noinline)) static __nv_bfloat16 made_elsewhere(float value) {
    return __float2bfloat16(value);
}
__global__ void store16_unseen(__nv_bfloat16 *out) {
    out[threadIdx.x] = made_elsewhere(float(threadIdx.x));
}
FAULT(store_that_no_hook_shows, CHECKER, "did not see") {
    const Device<__nv_bfloat16> out(32);
    return start(store16_unseen, {}, out.data) != cudaSuccess;
}
#endif
