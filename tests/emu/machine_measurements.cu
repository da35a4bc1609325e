// Every measurement of the GPU in the emulator, where times mean nothing: each kernel does what its line
// says, and nothing is found amiss.
#include "../../bench/machine_cuda/machine_cuda.h"
#include "self.h"
#include <cstring>
#include <set>
#include <string>

namespace {
struct Lines {
    int count = 0, wrong = 0, compared = 0;
    std::set<std::string> names;
};
void note(void *user, const bench_machine_line *line) {
    Lines &lines = *static_cast<Lines *>(user);
    lines.count++;
    lines.names.insert(line->what);
    // Products of the emulator keep rows and columns apart, so lines that count what depends on others say 0.
    if (!strncmp(line->what, "mma.sync: numbers that", 22) || !strncmp(line->what, "cuBLASLt: bits", 14)) {
        lines.compared++;
        CHECK(line->value == 0);
    }
    if (line->wrong) {
        lines.wrong++;
        printf("%s, %s: %s\n", line->what, line->variant, line->wrong);
    }
}
} // namespace

TEST(measurements_do_what_they_say) {
    Lines lines;
    emu_option.processors = 3;
    CHECK(bench_machine_cuda(note, &lines, 1) == 0);
    CHECK(lines.wrong == 0 && lines.count > 60 && lines.compared > 5);
    for (const char *name : {"launch to launch", "dependent launch", "two dependent launches", "grid.sync",
                             "hop by flag", "hop by data", "cluster barrier", "push to the next block",
                             "sum of all blocks' partials", "clusters that fit", "read from L2",
                             "mma.sync m16n8k16 bf16", "cuBLASLt bf16, bias", "host: cudaLaunchKernelEx"})
        CHECK(lines.names.count(name) == 1);
}
