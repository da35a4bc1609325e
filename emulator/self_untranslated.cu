// What is not run as PTX: the toolkit's barrier of a grid, which uses memory of the driver, and a fault of g++.
#include "self.h"
#include <cooperative_groups.h>

__global__ void shift(int *values, int n, int rounds) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    for (int round = 0; round < rounds; round++) {
        const int next = values[(i + 1) % n];
        cooperative_groups::this_grid().sync();
        values[i] = next;
        cooperative_groups::this_grid().sync();
    }
}
TEST(cooperative_grids_meet) {
    std::vector<int> values(132);
    for (int i = 0; i < 132; i++) values[size_t(i)] = i;
    const Device<int> on_device(values);
    How how;
    how.grid = 4;
    how.block = 33;
    how.cooperative = true;
    CHECK(start(shift, how, on_device.data, 132, 3) == cudaSuccess);
    values = on_device.host();
    for (int i = 0; i < 132; i++) CHECK(values[size_t(i)] == (i + 3) % 132);
}

#if defined(CUDA_EMU)
// A class that a call returns goes straight to its place: no hook of the compiler tells of the store.
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
