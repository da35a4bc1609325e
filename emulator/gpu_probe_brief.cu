// The benchmark's own CUDA in the emulator, where times mean nothing. Every measurement: each kernel does
// what its line says, and nothing is found amiss.
#include "../bench/gpu_probe/gpu_probe.h"
#include "../bench/bench_stream.h"
#include "self.h"
#include <cstring>
#include <set>
#include <string>

namespace {
struct Lines {
    int count = 0, wrong = 0, compared = 0;
    std::set<std::string> names;
};
void note(void *user, const bench_probe_line *line) {
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
    CHECK(bench_gpu_probe(note, &lines, 1) == 0);
    CHECK(lines.wrong == 0 && lines.count > 60 && lines.compared > 5);
    for (const char *name :
         {"launch to launch", "dependent launch", "two dependent launches", "grid.sync", "exchange by flag",
          "exchange by data", "cluster barrier", "push to the next block", "sum of all blocks' partials",
          "clusters that fit", "read from L2", "mma.sync m16n8k16 bf16", "cuBLASLt bf16, bias",
          "host: cudaLaunchKernelEx"})
        CHECK(lines.names.count(name) == 1);
}

__global__ void count_run(unsigned *count) {
    if (threadIdx.x == 0) *count += 1;
}

namespace {
struct Counted {
    void *stream;
    unsigned *count;
    bool waits; // for the stream, which no recording allows
};
void run_counted(void *state) {
    const Counted &c = *static_cast<const Counted *>(state);
    How how;
    how.stream = static_cast<cudaStream_t>(c.stream);
    (void)start(count_run, how, c.count);
    if (c.waits) (void)cudaStreamSynchronize(how.stream);
}
} // namespace

// A row of the benchmark that replays: one run before the recording, none by it, one by each replay.
TEST(graphs_of_the_benchmark_replay_runs) {
    char why[200] = "";
    const Device<unsigned> count(1, 0);
    Counted counted = {bench_stream_create(why, sizeof why), count.data, false};
    CHECK(counted.stream && *bench_device());
    void *const graph = bench_graph_record(counted.stream, run_counted, &counted, why, sizeof why);
    CHECK(graph && !*why && count.host()[0] == 1);
    for (int i = 0; i < 3; i++) bench_graph_replay(graph, counted.stream);
    CHECK(cudaStreamSynchronize(static_cast<cudaStream_t>(counted.stream)) == cudaSuccess);
    CHECK(count.host()[0] == 4);
    bench_graph_release(graph);
    counted.waits = true;
    CHECK(!bench_graph_record(counted.stream, run_counted, &counted, why, sizeof why) && *why);
    bench_stream_release(counted.stream);
}
