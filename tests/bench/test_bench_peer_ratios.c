/* test_bench_peer_ratios.c: the sentence on engines beside other libraries has the right ratios. */
#include <stdlib.h>
#include <string.h>

#include "../../bench/peer_ratios.h"
#include "support/tester.h"

static const bench_candidate engine = {.name = "engine", .device = BENCH_CPU, .engine = "engine"};
static const bench_candidate int8 = {
    .name = "int8", .device = BENCH_CPU, .engine = "engine", .weights = BENCH_WEIGHTS_INT8};
static const bench_candidate gpu = {.name = "gpu", .device = BENCH_GPU, .engine = "gpu"};
static const bench_candidate peer = {.name = "peer", .device = BENCH_CPU};

static void put(bench_case *this_case, const bench_candidate *candidate, double seconds, int64_t H) {
    bench_entry *entry = &this_case->entries[this_case->count];
    entry->candidate = candidate;
    entry->kind = candidate->engine ? BENCH_ENGINE : BENCH_PEER;
    entry->problem = (bench_problem){.shape = {.T = 1, .N = 2, .I = 3, .H = H}, .threads = 2};
    this_case->timings[this_case->count++].median = seconds;
}

static char *printed(const bench_peer_ratios *ratios) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    bench_peer_ratios_print(ratios, file);
    (void)fclose(file);
    return text;
}

/* Ratios 4 and 1: mean 2, least 1 in the second case. The fastest of each kind counts, and no engine of fewer bits. */
TEST(bench_peer_ratios, mean_and_least) {
    bench_peer_ratios *ratios = calloc(1, sizeof *ratios);
    bench_case *cases = calloc(3, sizeof *cases);
    REQUIRE(ratios && cases, "no memory");
    put(&cases[0], &engine, 3, 10), put(&cases[0], &engine, 2, 10), put(&cases[0], &int8, 1, 10);
    put(&cases[0], &peer, 8, 10), put(&cases[0], &peer, 9, 10), put(&cases[0], &gpu, 0.1, 10);
    put(&cases[1], &engine, 5, 20), put(&cases[1], &peer, 5, 20);
    put(&cases[2], &engine, 5, 30); /* no peer */
    for (int i = 0; i < 3; i++) bench_peer_ratios_add(ratios, &cases[i]);
    char *text = printed(ratios);
    REQUIRE(text != NULL, "no memory");
    CHECK(
        strstr(
            text,
            "CPU, forward, f32, 2 threads: geometric mean 2.00 of 2 shapes, least 1.00 at T1 N2 I3 H20\n") &&
            !strstr(text, "GPU"),
        "%s", text);
    free(text), free(cases), free(ratios);
}

TEST(bench_peer_ratios, nothing_without_peers) {
    bench_peer_ratios *ratios = calloc(1, sizeof *ratios);
    REQUIRE(ratios != NULL, "no memory");
    char *text = printed(ratios);
    CHECK(text && !*text, "%s", text);
    free(text), free(ratios);
}
