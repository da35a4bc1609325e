// The tests of opcodes.txt, and of the instructions that the PTX manual defines only up to an error.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>
#include "control.h"
#include "emu_device.h"
#include "launch.h"
#include "ptx/ptx_approximate.h"
#include "ptx/ptx_kernels.h"

namespace {
constexpr size_t RESULTS = 128, MEMORY = 256, INPUTS = 16;

struct Test {
    const char *opcode;
    int line;
    const char *kernel;
    std::vector<uint64_t> inputs, expected;
    bool floats; // a NaN equals any other
};
const Test tests[] = {
#include <opcode_tests.inc>
};
int failures = 0;

// ---- the table ----
std::vector<unsigned char> parameters(const Test &test, const void *memory) {
    std::vector<unsigned char> bytes(128);
    memcpy(bytes.data(), &memory, sizeof memory);
    memcpy(bytes.data() + INPUTS, test.inputs.data(), test.inputs.size() * sizeof(uint64_t));
    return bytes;
}
std::vector<uint64_t> results_of(const Test &test, void *memory) {
    std::vector<uint64_t> seen(test.expected.size());
    cudaLaunchConfig_t config = {};
    config.gridDim = config.blockDim = dim3(1);
    const emu::Call call = ptx::call_of(test.kernel, parameters(test, memory));
    if (!call || cudaMemset(memory, 0, MEMORY) != cudaSuccess ||
        emu::launch(&config, test.kernel, call) != cudaSuccess ||
        cudaMemcpy(seen.data(), static_cast<char *>(memory) + RESULTS, seen.size() * sizeof(uint64_t),
                   cudaMemcpyDeviceToHost) != cudaSuccess)
        seen.clear();
    return seen;
}
bool same(uint64_t seen, uint64_t expected, bool floats) {
    const auto number = [](uint64_t bits) { return double(__builtin_bit_cast(float, uint32_t(bits))); };
    return seen == expected || (floats && std::isnan(number(seen)) && std::isnan(number(expected)));
}
void run(const Test &test, void *memory) {
    const std::vector<uint64_t> seen = results_of(test, memory);
    bool good = seen.size() == test.expected.size();
    for (size_t i = 0; good && i < seen.size(); i++) good = same(seen[i], test.expected[i], test.floats);
    const char *findings = emu_take_findings();
    if (good && !*findings) return;
    failures++;
    printf("opcodes.txt:%d: %s:", test.line, test.opcode);
    for (size_t i = 0; i < seen.size(); i++)
        printf(" %#llx, expected %#llx", (unsigned long long)seen[i], (unsigned long long)test.expected[i]);
    printf(" %s\n", findings);
}

// ---- errors ----
struct Approximation {
    const char *name;
    float (*is)(float);
    double (*exact)(double);
    double relative;
    float from, to;
};
const Approximation approximations[] = {
    {"ex2.approx", ptx::ex2_approx, [](double a) { return std::exp2(a); }, 0x1p-22, -120, 120},
    {"ex2.approx.ftz", ptx::ex2_approx_ftz, [](double a) { return std::exp2(a); }, 0x1p-22, -120, 120},
    {"rcp.approx.ftz", ptx::rcp_approx_ftz, [](double a) { return 1 / a; }, 0x1p-23, 0.01f, 100},
    {"tanh.approx", ptx::tanh_approx, [](double a) { return std::tanh(a); }, 0x1p-11, -4, 4},
    // 2 ulp are at most 2^-22 of the value and at least half of that
    {"div.approx", [](float a) { return ptx::div_approx(3, a); }, [](double a) { return 3 / a; }, 0x1p-22, 1,
     100},
    {"div.full", [](float a) { return ptx::div_full(3, a); }, [](double a) { return 3 / a; }, 0x1p-22, 1,
     100}};

// Every seed stays within the error, the same operand has one result, and the seeds use most of the error.
void run(const Approximation &f) {
    double lowest = 0, highest = 0;
    for (uint64_t seed = 0; seed < 6; seed++)
        for (int i = 0; i < 1000; i++) {
            emu_option.seed = seed;
            const float a = f.from + (f.to - f.from) * (float(i) + 0.37f) / 1000;
            const double exact = f.exact(a),
                         error = (double(f.is(a)) - exact) / std::fabs(exact) / f.relative;
            if (f.is(a) != f.is(a)) lowest = -2;
            lowest = std::min(lowest, error);
            highest = std::max(highest, error);
        }
    if (lowest >= -1 && highest <= 1 && lowest < -0.9 && highest > 0.9) return;
    failures++;
    printf("%s: errors from %g to %g of the documented one, expected from -1 to 1\n", f.name, lowest,
           highest);
}
} // namespace

int main() {
    void *memory;
    if (cudaMalloc(&memory, MEMORY) != cudaSuccess) return 1;
    emu::translate_call = nullptr; // the kernels are launched by their names
    for (const Test &test : tests) run(test, memory);
    for (const Approximation &approximation : approximations) run(approximation);
    printf("%zu instructions, %zu approximations, %d failures\n", std::size(tests), std::size(approximations),
           failures);
    return failures != 0;
}
