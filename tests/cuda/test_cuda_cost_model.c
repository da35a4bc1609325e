/* test_cuda_cost_model.c: whatever the sizes and the device, the planner takes a tile that exists there, and says what it cannot. */
#include <math.h>

#include "cuda/run/cuda_cost_model.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "support/tester.h"

/* An H100, an A100, and an RTX 4090, which has no clusters and less shared memory. */
static const gru_cuda_device machines[] = {
    {.multiprocessors = 132, .capability = 90, .shared_bytes = 227 * 1024},
    {.multiprocessors = 108, .capability = 80, .shared_bytes = 163 * 1024},
    {.multiprocessors = 128, .capability = 89, .shared_bytes = 99 * 1024},
};
enum { MACHINES = sizeof machines / sizeof *machines };

/* Of each machine; one that cannot place clusters of eight, as a part of an H100 may not. */
static const gru_cuda_occupancy rooms[] = {
    {264, 0, {{132, 60, 30, 0}, {132, 60, 30, 0}}},
    {216, 0, {{108, 0, 0, 0}, {108, 0, 0, 0}}},
    {256, 0, {{128, 0, 0, 0}, {128, 0, 0, 0}}},
};

static const int32_t hidden[] = {1, 8, 17, 64, 129, 512, 1000, 4096, 1 << 20};
static const int64_t batches[] = {0, 1, 7, 8, 9, 64, 65, 1000, 600000, INT32_MAX - 127};
enum { HIDDEN = sizeof hidden / sizeof *hidden, BATCHES = sizeof batches / sizeof *batches };

static int exists(gru_cuda_compute_type compute_type, int32_t reset, gru_cuda_block_tile tile) {
    gru_cuda_block_tile tiles[GRU_CUDA_STEP_TILES];
    const gru_cuda_gate_set part = reset == GRU_RESET_BEFORE ? GRU_CUDA_CANDIDATE : GRU_CUDA_ALL_GATES;
    const int32_t count = gru_cuda_step_tiles(compute_type, part, tiles);
    int found = 0;
    for (int32_t i = 0; i < count; i++)
        found |= tiles[i].unit_octets == tile.unit_octets && tiles[i].batch_octets == tile.batch_octets;
    return found;
}

static void check_size(const gru_cuda_device *machine, const gru_cuda_occupancy *occupancy,
                       const gru_cuda_size *size) {
    const gru_cuda_plan stepwise = gru_cuda_plan_step(machine, size);
    const gru_cuda_plan tile = gru_cuda_plan_step_large(machine, size, occupancy);
    const gru_cuda_plan hop = gru_cuda_plan_step_fused(machine, size, occupancy);
    CHECK(stepwise.seconds > 0 && stepwise.seconds < HUGE_VAL &&
              exists(size->compute_type, size->reset_mode, stepwise.tile),
          "compute_type %d, H %d, N %lld: stepwise takes a tile of %d x %d octets", size->compute_type,
          size->H, (long long)size->N, stepwise.tile.unit_octets, stepwise.tile.batch_octets);
    CHECK(stepwise.tile.shared_bytes <= machine->shared_bytes, "a tile takes %d bytes of %d",
          stepwise.tile.shared_bytes, machine->shared_bytes);
    CHECK(tile.seconds == HUGE_VAL || tile.tile.shared_bytes <= machine->shared_bytes,
          "a tile takes %d bytes of %d", tile.tile.shared_bytes, machine->shared_bytes);
    CHECK(tile.seconds == HUGE_VAL || tile.tile.split <= (machine->capability >= 90 ? 4 : 1),
          "a split of %d, which cannot be placed", tile.tile.split);
    CHECK(hop.cluster == 0, "a cluster that cannot be placed");
    CHECK(hop.seconds == HUGE_VAL || (size->N + 7) / 8 * size->directions <= occupancy->fused_blocks,
          "a grid of more blocks than are there at once: N %lld", (long long)size->N);
}

TEST(cuda_plan, takes_what_exists) {
    for (int m = 0; m < MACHINES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++)
                    for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_BEFORE; reset++)
                        for (int32_t directions = 1; directions <= 2; directions++) {
                            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n],
                                                        hidden[h], reset, directions};
                            check_size(&machines[m], &rooms[m], &size);
                        }
}

/* The sweep too. */
TEST(cuda_plan, sweeps_take_what_exists) {
    for (int m = 0; m < MACHINES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++) {
                    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
                    const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n], hidden[h],
                                                (h + n) % 3, 1 + n % 2};
                    const gru_cuda_plan plan = gru_cuda_plan_backward_step(&machines[m], &size);
                    const int32_t count = gru_cuda_backward_step_tiles(size.compute_type, tiles);
                    int found = 0;
                    for (int32_t i = 0; i < count; i++)
                        found |= tiles[i].unit_octets == plan.tile.unit_octets &&
                                 tiles[i].batch_octets == plan.tile.batch_octets;
                    CHECK(found && plan.seconds > 0 && plan.seconds < HUGE_VAL &&
                              plan.tile.shared_bytes <= machines[m].shared_bytes,
                          "compute_type %d, H %d, N %lld: the sweep takes a tile of %d x %d octets",
                          compute_type, hidden[h], (long long)batches[n], plan.tile.unit_octets,
                          plan.tile.batch_octets);
                }
}

/* By large tiles, one that exists, with a split for which there is occupancy; or none at all. */
TEST(cuda_plan, sweeps_of_large_batches_take_what_exists) {
    for (int m = 0; m < MACHINES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++) {
                    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
                    const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n], hidden[h],
                                                GRU_RESET_AFTER, 1 + n % 2};
                    const gru_cuda_plan plan =
                        gru_cuda_plan_backward_step_large(&machines[m], &size, &rooms[m]);
                    const int32_t count = gru_cuda_backward_step_large_tiles(size.compute_type, tiles);
                    int found = plan.seconds == HUGE_VAL;
                    for (int32_t i = 0; i < count; i++)
                        for (int j = 0; j < GRU_CUDA_SPLITS; j++)
                            found |= tiles[i].batch_octets == plan.tile.batch_octets &&
                                     plan.tile.split == 1 << j && rooms[m].large_clusters[i][j] > 0 &&
                                     tiles[i].shared_bytes <= machines[m].shared_bytes;
                    CHECK(found && plan.seconds > 0,
                          "compute_type %d, H %d, N %lld: the sweep takes %d rows, split %d", compute_type,
                          hidden[h], (long long)batches[n], plan.tile.batch_octets * 8, plan.tile.split);
                }
}

/* More units or more rows never take less time: else a cliff would lie between two sizes. */
TEST(cuda_plan, time_grows_with_the_sizes) {
    for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++) {
        double before = 0, swept = 0;
        for (int32_t H = 8; H <= 4096; H += 8) {
            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, 8, H, GRU_RESET_AFTER, 1};
            const double seconds = gru_cuda_plan_step(&machines[0], &size).seconds;
            const double sweep = gru_cuda_plan_backward_step(&machines[0], &size).seconds;
            CHECK(seconds >= before, "compute_type %d: H %d takes %g s, less takes %g", compute_type, H,
                  seconds, before);
            CHECK(sweep >= swept, "compute_type %d: H %d is swept in %g s, less in %g", compute_type, H,
                  sweep, swept);
            before = seconds, swept = sweep;
        }
        before = 0;
        for (int64_t N = 1; N <= 2048; N++) {
            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, N, 512, GRU_RESET_AFTER, 1};
            const double seconds = gru_cuda_plan_step(&machines[0], &size).seconds;
            CHECK(seconds >= before, "compute_type %d: N %lld takes %g s, fewer take %g", compute_type,
                  (long long)N, seconds, before);
            before = seconds;
        }
    }
}
