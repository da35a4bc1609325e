// Dependent launches: what a step may read before it waits for the step before, and every way to get that
// wrong.
#include "self.h"

enum { RIGHT_STEP, WAIT_MISSING, WAIT_LATE, WRITE_EARLY, ONE_BUFFER };
// out = in + weights for every element; a block reads all of in, so that it needs every block of the step
// before.
__global__ void step(const int *in, const int *weights, int *out, int n, int fault) {
    dependency_trigger();
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    const int weight = weights[i]; // nobody writes these: early
    int late = 0;
    if (fault == WAIT_LATE) late = __ldcg(&in[n - 1 - i]);
    if (fault == WRITE_EARLY) out[i] = weight;
    if (fault != WAIT_MISSING) dependency_wait();
    if (fault != WAIT_LATE) late = __ldcg(&in[n - 1 - i]);
    out[i] = late + weight;
}
static bool steps_are_wrong(int fault, bool first_dependent = false) {
    constexpr int N = 96, T = 5;
    const Device<int> weights(std::vector<int>(N, 1)), a(N, 0), b(N, 0);
    for (int t = 0; t < T; t++) {
        How how;
        how.grid = N / 32;
        how.dependent = t > 0 || first_dependent;
        const int *in = t % 2 && fault != ONE_BUFFER ? b.data : a.data;
        int *out = t % 2 || fault == ONE_BUFFER ? a.data : b.data;
        if (start(step, how, in, weights.data, out, int(N), fault) != cudaSuccess) return true;
    }
    const std::vector<int> seen = T % 2 ? b.host() : a.host();
    for (int value : seen)
        if (value != T) return true;
    return false;
}
TEST(dependent_steps) {
    CHECK(!steps_are_wrong(RIGHT_STEP));
    CHECK(!steps_are_wrong(RIGHT_STEP, true)); // after a copy the attribute has no effect
}
FAULT(dependency_wait_missing, CHECKER, "before griddepcontrol.wait") {
    return steps_are_wrong(WAIT_MISSING);
}
FAULT(dependency_wait_missing_shows, PLAIN, nullptr) {
    return steps_are_wrong(WAIT_MISSING);
}
FAULT(dependency_wait_late, CHECKER, "before griddepcontrol.wait") {
    return steps_are_wrong(WAIT_LATE);
}
FAULT(dependency_wait_late_shows, PLAIN, nullptr) {
    return steps_are_wrong(WAIT_LATE);
}
FAULT(dependency_early_write, CHECKER, "before griddepcontrol.wait") {
    return steps_are_wrong(WRITE_EARLY);
}
FAULT(exchange_with_one_buffer, CHECKER, "data race") {
    return steps_are_wrong(ONE_BUFFER);
}

// The step in the middle never waits, so the last one, which does, cannot know that the first has ended.
__global__ void produce(int *out, int rounds) {
    dependency_trigger();
    for (int i = 0; i < rounds; i++) __syncthreads(); // takes its time
    out[threadIdx.x] = 7;
}
__global__ void idle(int wait) {
    if (wait) dependency_wait();
    dependency_trigger();
}
__global__ void consume(const int *in, int *out) {
    dependency_wait();
    out[threadIdx.x] = in[threadIdx.x];
}
static bool third_is_wrong(int middle_waits) {
    const Device<int> values(32, 0), out(32, 0);
    How how;
    if (start(produce, how, values.data, 20) != cudaSuccess) return true;
    how.dependent = true;
    if (start(idle, how, middle_waits) != cudaSuccess) return true;
    if (start(consume, how, static_cast<const int *>(values.data), out.data) != cudaSuccess) return true;
    return out.host()[31] != 7;
}
TEST(waits_reach_back) {
    CHECK(!third_is_wrong(1));
}
FAULT(wait_missing_in_between, CHECKER, "did not wait for") {
    return third_is_wrong(0);
}
FAULT(wait_missing_in_between_shows, PLAIN, nullptr) {
    return third_is_wrong(0);
}
// g++ does not tell which cache a load goes through.
FAULT(cache_operator_missing, TRANSLATED, "load through L1") {
    const Device<int> values(32, 0), out(32, 0);
    How how;
    if (start(produce, how, values.data, 20) != cudaSuccess) return true;
    how.dependent = true;
    return start(consume, how, static_cast<const int *>(values.data), out.data) != cudaSuccess;
}

// Triggered after the wait, a launch may rely on all but the one before it.
__global__ void late_trigger(const int *in, int *out) {
    dependency_wait();
    dependency_trigger();
    out[threadIdx.x] = __ldcg(&in[threadIdx.x]) + 1;
}
__global__ void early_reader(const int *old, const int *fresh, int *out) {
    const int before = old[threadIdx.x]; // made two launches ago
    dependency_wait();
    out[threadIdx.x] = before + __ldcg(&fresh[threadIdx.x]);
}
TEST(late_triggers_let_the_next_rely_on_more) {
    const Device<int> a(32, 0), b(32, 0), c(32, 0);
    How how;
    CHECK(start(produce, how, a.data, 1) == cudaSuccess);
    how.dependent = true;
    CHECK(start(late_trigger, how, static_cast<const int *>(a.data), b.data) == cudaSuccess);
    CHECK(start(early_reader, how, static_cast<const int *>(a.data), static_cast<const int *>(b.data),
                c.data) == cudaSuccess);
    CHECK(c.host()[31] == 15);
}
