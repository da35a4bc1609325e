// Memory: kinds of pointers, ranges and directions of copies, faults of addresses, and stores that the
// checker cannot see.
#include "self.h"
#include <cstring>
#if defined(CUDA_EMU)
#include <sys/wait.h>
#include <unistd.h>
#endif

TEST(pointers_tell_their_kind) {
    const Device<int> device(4);
    void *pinned = nullptr, *managed = nullptr;
    int local = 0;
    CHECK(cudaMallocHost(&pinned, 64) == cudaSuccess);
    CHECK(cudaMallocManaged(&managed, 64, cudaMemAttachGlobal) == cudaSuccess);
    cudaPointerAttributes a;
    CHECK(cudaPointerGetAttributes(&a, device.data + 1) == cudaSuccess && a.type == cudaMemoryTypeDevice &&
          a.device == 0);
    CHECK(cudaPointerGetAttributes(&a, pinned) == cudaSuccess && a.type == cudaMemoryTypeHost);
    CHECK(cudaPointerGetAttributes(&a, managed) == cudaSuccess && a.type == cudaMemoryTypeManaged);
    CHECK(cudaPointerGetAttributes(&a, &local) == cudaSuccess && a.type == cudaMemoryTypeUnregistered);
    CHECK(cudaFreeHost(pinned) == cudaSuccess && cudaFree(managed) == cudaSuccess);
    CHECK(cudaFree(&local) == cudaErrorInvalidValue);
}
TEST(copies_are_checked) {
    const Device<int> device(4, 0);
    int host[8] = {};
    CHECK(cudaMemcpy(device.data, host, 20, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host, host + 4, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(device.data, device.data + 1, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemset(host, 0, 4) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host, device.data, 16, cudaMemcpyDefault) == cudaSuccess);
    (void)cudaGetLastError();
}

__global__ void increment(int *values, int n) {
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) values[i] += 1;
}
FAULT(read_past_the_end, CHECKER, "outside an allocation") {
    const Device<int> values(256, 0);
    return start(increment, {}, values.data, 257) != cudaSuccess;
}
FAULT(write_past_the_end, PLAIN, "write outside an allocation") {
    const Device<int> values(256, 0);
    return start(increment, {}, values.data, 257) != cudaSuccess;
}
FAULT(never_written, CHECKER, "never written") {
    const Device<int> values(4);
    return start(increment, {}, values.data, 1) != cudaSuccess;
}
FAULT(freed_memory, CHECKER, "outside an allocation") {
    int *gone;
    {
        const Device<int> values(4, 0);
        gone = values.data;
    }
    return start(increment, {}, gone, 1) != cudaSuccess;
}
FAULT(null_pointer, BOTH, "") {
    const bool refused = start(increment, {}, static_cast<int *>(nullptr), 1) != cudaSuccess;
    return refused || cudaDeviceSynchronize() != cudaSuccess;
}
FAULT(host_pointer_as_an_argument, BOTH, "host pointer") {
    static int values[4];
    return start(increment, {}, values, 1) != cudaSuccess;
}
struct Hidden {
    int *values;
    int n;
};
__global__ void increment_hidden(Hidden a) {
    if (threadIdx.x < unsigned(a.n)) a.values[threadIdx.x] += 1;
}
FAULT(host_pointer_in_a_struct, CHECKER, "memory of the host") {
    std::vector<int> values(4);
    const bool refused = start(increment_hidden, {}, Hidden{values.data(), 4}) != cudaSuccess;
    return refused || cudaDeviceSynchronize() != cudaSuccess; // while the vector lives
}
TEST(structs_carry_pointers) {
    const Device<int> values(4, 0);
    CHECK(start(increment_hidden, {}, Hidden{values.data, 4}) == cudaSuccess);
    CHECK(values.host()[3] == 1);
}

__global__ void increment_between(int *values) {
    int *const between = reinterpret_cast<int *>(reinterpret_cast<char *>(values) + 2);
    between[threadIdx.x] = 1;
}
FAULT(address_between_words, TRANSLATED, "not aligned") {
    const Device<int> values(64, 0);
    How how;
    return start(increment_between, how, values.data) != cudaSuccess;
}

__global__ void fill_shared(int *out, int past) {
    GRU_SHARED(int, values, [32]);
    values[threadIdx.x + unsigned(past)] = int(threadIdx.x);
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x];
}
static bool fill_shared_past(int past) {
    const Device<int> out(32);
    if (start(fill_shared, {}, out.data, past) != cudaSuccess) return true;
    return out.host()[31] != 31;
}
TEST(shared_memory_holds) {
    CHECK(!fill_shared_past(0));
}
FAULT(write_past_a_shared_array, BOTH, "outside a") {
    return fill_shared_past(1);
}

// The two ways to store 16 bits. g++ shows its sanitizer the first, and not always the second.
enum { AS_BITS, AS_A_CLASS };
__global__ void store16(__nv_bfloat16 *out) {
    store_bits16(out + threadIdx.x, __bfloat16_as_ushort(__float2bfloat16(float(threadIdx.x))));
}
__global__ void store16_all_to_one(__nv_bfloat16 *out, int way) {
    const __nv_bfloat16 value = __float2bfloat16(float(threadIdx.x));
    if (way == AS_BITS)
        store_bits16(out, __bfloat16_as_ushort(value));
    else
        out[0] = __float2bfloat16(float(threadIdx.x));
}
TEST(stores_of_bits_are_seen) {
    const Device<__nv_bfloat16> out(32);
    CHECK(start(store16, {}, out.data) == cudaSuccess);
    CHECK(__bfloat162float(out.host()[31]) == 31);
}
FAULT(race_of_16_bit_classes, CHECKER, "") { // seen as a race, or as a store that went unseen
    const Device<__nv_bfloat16> out(1);
    return start(store16_all_to_one, {}, out.data, int(AS_A_CLASS)) != cudaSuccess;
}
FAULT(race_of_16_bit_stores, CHECKER, "data race") {
    const Device<__nv_bfloat16> out(1);
    return start(store16_all_to_one, {}, out.data, int(AS_BITS)) != cudaSuccess;
}

#if defined(CUDA_EMU)
FAULT(host_touches_device_memory, BOTH, nullptr) {
    const Device<int> values(4, 0);
    (void)cudaDeviceSynchronize();
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        *static_cast<volatile int *>(values.data) = 1;
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}
TEST(allocations_can_be_made_to_fail) {
    void *p = nullptr;
    emu_option.fail_allocation = 1;
    CHECK(cudaMalloc(&p, 4) == cudaErrorMemoryAllocation && !p);
    CHECK(cudaMalloc(&p, 4) == cudaSuccess && emu_allocations() == 1);
    CHECK(cudaFree(p) == cudaSuccess && emu_allocations() == 0);
    (void)cudaGetLastError();
}
TEST(freed_addresses_rest) {
    const int *last = nullptr;
    for (int times = 0; times < 8; times++) {
        const Device<int> values(1000);
        CHECK(values.data != last);
        last = values.data;
    }
}
TEST(freed_memory_is_used_again) {
    size_t before = 0, after = 0, total = 0, sum = 0;
    CHECK(cudaMemGetInfo(&before, &total) == cudaSuccess);
    for (size_t count = 1; count < 600; count++) { // every size once: no old place fits exactly
        const Device<int> values(128 * count);
        sum += 512 * count;
    }
    CHECK(cudaMemGetInfo(&after, &total) == cudaSuccess && before - after < sum / 20);
}
// What a launch found wrong does not stop the next one, once it has been taken note of.
TEST(execution_goes_on_after_a_finding) {
    for (int times = 0; times < 3; times++) {
        {
            const Device<int> values(4, 0);
            CHECK(start(increment, {}, static_cast<int *>(nullptr), 1) == cudaSuccess);
            CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
            CHECK(start(increment, {}, values.data, 4) == cudaErrorIllegalAddress); // sticky
            CHECK(*emu_take_findings() != 0);
            CHECK(start(increment, {}, values.data, 4) == cudaSuccess);
            CHECK(values.host()[3] == 1);
        }
        CHECK(emu_allocations() == 0);
    }
}
#endif
