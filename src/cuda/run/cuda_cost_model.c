/* cuda_cost_model.c: a model of a step's time, and the tile that it makes shortest.
 *
 * A block takes the cycles of bench/results/h200-kernel-cycles.txt, which are counted from machine code: the constants of
 * block_cost are fitted to it, and test_cuda_cost_model holds them against it. All blocks together take no less than L2 takes to
 * deliver what they read. Clock and multiprocessors are the device's. The other numbers are of an H100 and come from published
 * measurements; none has been measured by this library yet. They decide between tiles of one engine, whose bits are the same,
 * and between engines. */
#include "cuda_cost_model.h"

#include <math.h>

#include "cuda/kernels/cuda_backward_kernels.h"

/* ---- a block, in cycles behind the dependency wait ---- */

typedef struct block_cost {
    double start;        /* latencies of the first loads, of adding the sums and of a thread's first output */
    double second_octet; /* what a second octet of units adds to them */
    double read;         /* bytes that its main loop reads in a cycle */
    double products;     /* multiplications and additions in a cycle */
    double output;       /* every further output of a thread */
    double ahead;        /* bytes of weights that it has loaded before the dependency wait */
} block_cost;

/* [backward][large tile][f32]. mma.sync does 2680 operations a cycle, and no tile comes near: its loop waits for loads. */
static const block_cost costs[2][2][2] = {
    {{{1050, 600, 70, 2680, 250, 49152}, {1600, 0, 64, 160, 250, 24576}},
     {{2100, 0, 27, 2680, 300, 0}, {2100, 0, 27, 155, 300, 0}}},
    {{{1000, 0, 85, 2680, 110, 24576}, {1070, 0, 36, 213, 110, 24576}},
     {{2700, 0, 42, 2680, 1070, 0}, {2700, 0, 42, 78, 1070, 0}}},
};

/* The same of a call of one step: its start, and every number of x or h that a thread copies to shared memory. */
static const double streaming_start = 5000, streaming_copy = 68;

/* ---- a launch, in seconds, but read_block and read_share ---- */

static const double slack = 1.3;                  /* what kernels take for reading, against the rates below */
static const double read_block = 112e9 / 1.755e9; /* bytes a cycle from L2 into one multiprocessor: 64 */
static const double read_share =
    6.7e12 / (132 * 112e9);                     /* of that, where all read at once: 6.7 TB/s on an H100 */
static const double launch_dependent = 0.7e-6;  /* from one step's end to the next one's dependency wait */
static const double launch_plain = 1.35e-6;     /* the same without overlap, in a graph */
static const double exchange_grid = 0.65e-6;    /* a counter in L2, written and seen */
static const double exchange_cluster = 0.65e-6; /* a barrier of a cluster of eight */

enum { THREADS = 256, LARGE_OCTETS = 8, MAX_ROWS_Y = 65535 };

gru_cuda_test_override gru_cuda_override;

static int64_t divide_up(int64_t count, int64_t each) {
    return (count + each - 1) / each;
}

static double number_bytes(gru_cuda_compute_type compute_type) {
    return compute_type == GRU_CUDA_F32 || compute_type == GRU_CUDA_TF32 ? 4 : 2;
}

static double read_rate(const gru_cuda_device *device) {
    return read_block * device->clock;
}

static double read_all_rate(const gru_cuda_device *device) {
    return read_share * read_rate(device) * device->multiprocessors;
}

static const block_cost *cost_of(gru_pass pass, gru_cuda_compute_type compute_type, int large) {
    return &costs[pass == GRU_PASS_BACKWARD][large][compute_type == GRU_CUDA_F32];
}

/* One launch of `gates` sums over K for each output in this tile, so many blocks at once, from the dependency wait on. */
static double product_seconds(gru_pass pass, const gru_cuda_device *device, const gru_cuda_size *size,
                              gru_cuda_block_tile tile, int gates, double K, int64_t at_once) {
    const block_cost *cost = cost_of(pass, size->compute_type, tile.unit_octets == LARGE_OCTETS);
    const double bytes = number_bytes(size->compute_type);
    const int64_t units = tile.unit_octets * 8, rows = tile.batch_octets * 8;
    const int64_t blocks =
        divide_up(size->H, units) * divide_up(size->N, rows) * size->directions * tile.split;
    const double waves = (double)divide_up(blocks, at_once);
    const double multiplied =
        size->compute_type == GRU_CUDA_F32 || units >= 16 ? (double)units : 16; /* an mma has 16 rows */
    const double read = (double)(units * gates + rows) * K * bytes / tile.split;
    const double weights = (double)(units * gates) * K * bytes;
    const double ahead = waves > 1 ? 0 : fmin(cost->ahead, weights);
    const double arithmetic = 2 * multiplied * gates * (double)rows * K / tile.split;
    const double loop = fmax((waves * read - ahead) / cost->read, waves * arithmetic / cost->products);
    const double outputs = waves * (double)divide_up(units * rows / tile.split, THREADS);
    return (cost->start + (tile.unit_octets == 2 ? cost->second_octet : 0) + (outputs - 1) * cost->output) /
               device->clock +
           fmax(loop / device->clock, slack * read * (double)blocks / read_all_rate(device));
}

static int fits(const gru_cuda_device *device, gru_cuda_block_tile tile) {
    return tile.shared_bytes <= device->shared_bytes;
}

static double launch_seconds(const gru_cuda_device *device) {
    return device->capability >= 90 ? launch_dependent : launch_plain;
}

static double step_seconds(const gru_cuda_device *device, const gru_cuda_size *size,
                           gru_cuda_block_tile tile) {
    const double launch = launch_seconds(device);
    const int64_t at_once = device->multiprocessors;
    if (size->reset_mode != GRU_RESET_BEFORE)
        return launch + product_seconds(GRU_PASS_FORWARD, device, size, tile, 3, size->H, at_once);
    return 2 * launch + product_seconds(GRU_PASS_FORWARD, device, size, tile, 2, size->H, at_once) +
           product_seconds(GRU_PASS_FORWARD, device, size, tile, 1, size->H, at_once);
}

/* A backward step: one sum over the gradients of all gates; with reset BEFORE one over two and one over the third. */
static double backward_step_seconds(const gru_cuda_device *device, const gru_cuda_size *size,
                                    gru_cuda_block_tile tile) {
    const double launch = launch_seconds(device), H = size->H;
    const int64_t at_once = device->multiprocessors;
    if (size->reset_mode != GRU_RESET_BEFORE)
        return launch + product_seconds(GRU_PASS_BACKWARD, device, size, tile, 1, 3 * H, at_once);
    return 2 * launch + product_seconds(GRU_PASS_BACKWARD, device, size, tile, 1, 2 * H, at_once) +
           product_seconds(GRU_PASS_BACKWARD, device, size, tile, 1, H, at_once);
}

/* The fastest of these tiles that the device has room for. */
static gru_cuda_choice fastest(const gru_cuda_device *device, const gru_cuda_size *size,
                               const gru_cuda_block_tile *tiles, int32_t count,
                               double (*seconds)(const gru_cuda_device *, const gru_cuda_size *,
                                                 gru_cuda_block_tile)) {
    gru_cuda_choice best = {.seconds = HUGE_VAL};
    for (int32_t i = 0; i < count; i++) {
        const gru_cuda_choice choice = {tiles[i], 0, size->directions, seconds(device, size, tiles[i])};
        if (!fits(device, tiles[i])) continue;
        if (choice.seconds < best.seconds) best = choice;
        if (tiles[i].unit_octets == gru_cuda_override.unit_octets &&
            tiles[i].batch_octets == gru_cuda_override.batch_octets)
            return choice;
    }
    return best;
}

gru_cuda_choice gru_cuda_choose_step(const gru_cuda_device *device, const gru_cuda_size *size,
                                     const gru_cuda_occupancy *occupancy) {
    (void)occupancy;
    gru_cuda_block_tile tiles[GRU_CUDA_STEP_TILES];
    const gru_cuda_gate_set part =
        size->reset_mode == GRU_RESET_BEFORE ? GRU_CUDA_RESET_UPDATE : GRU_CUDA_ALL_GATES;
    return fastest(device, size, tiles, gru_cuda_step_tiles(size->compute_type, part, tiles), step_seconds);
}

gru_cuda_choice gru_cuda_choose_backward_step(const gru_cuda_device *device, const gru_cuda_size *size,
                                              const gru_cuda_occupancy *occupancy) {
    (void)occupancy;
    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
    return fastest(device, size, tiles, gru_cuda_backward_step_tiles(size->compute_type, tiles),
                   backward_step_seconds);
}

/* Blocks that run at once where they come in clusters: clusters leave some multiprocessors idle, and two blocks on one
 * share what it reads. */
static int64_t blocks_at_once(const gru_cuda_device *device, int64_t clusters, int64_t blocks) {
    return clusters * blocks < device->multiprocessors ? clusters * blocks : device->multiprocessors;
}

/* The fastest of these tiles and of the splits for which the device has room: of a pass. */
static gru_cuda_choice fastest_split(gru_pass pass, const gru_cuda_device *device, const gru_cuda_size *size,
                                     const gru_cuda_occupancy *occupancy, const gru_cuda_block_tile *tiles,
                                     int32_t count) {
    const int gates = pass == GRU_PASS_FORWARD ? GATES : 1;
    const double K = (double)(pass == GRU_PASS_FORWARD ? 1 : GATES) * size->H;
    gru_cuda_choice best = {.seconds = HUGE_VAL};
    for (int32_t i = 0; i < count; i++) {
        if (!fits(device, tiles[i]) || divide_up(size->N, tiles[i].batch_octets * 8) > MAX_ROWS_Y) continue;
        for (int32_t j = 0; j < GRU_CUDA_SPLITS; j++) {
            gru_cuda_block_tile tile = tiles[i];
            tile.split = 1 << j;
            const int64_t at_once = blocks_at_once(device, occupancy->large_clusters[i][j], tile.split);
            if (at_once == 0) continue;
            const gru_cuda_choice choice = {tile, 0, size->directions,
                                            launch_seconds(device) +
                                                product_seconds(pass, device, size, tile, gates, K, at_once)};
            if (choice.seconds < best.seconds) best = choice;
            if (tile.batch_octets == gru_cuda_override.batch_octets && tile.split == gru_cuda_override.split)
                return choice;
        }
    }
    return best;
}

gru_cuda_choice gru_cuda_choose_step_large(const gru_cuda_device *device, const gru_cuda_size *size,
                                           const gru_cuda_occupancy *occupancy) {
    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
    const int32_t count = gru_cuda_step_large_tiles(size->compute_type, tiles);
    return fastest_split(GRU_PASS_FORWARD, device, size, occupancy, tiles, count);
}

gru_cuda_choice gru_cuda_choose_backward_step_large(const gru_cuda_device *device, const gru_cuda_size *size,
                                                    const gru_cuda_occupancy *occupancy) {
    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
    const int32_t count = gru_cuda_backward_step_large_tiles(size->compute_type, tiles);
    return fastest_split(GRU_PASS_BACKWARD, device, size, occupancy, tiles, count);
}

/* Latencies of a block of small tiles, for kernels that have no rows in the table. */
static double start_seconds(const gru_cuda_device *device, const gru_cuda_size *size) {
    return cost_of(GRU_PASS_FORWARD, size->compute_type, 0)->start / device->clock;
}

/* The main loop of a block that reads so many bytes and does so many multiplications and additions. */
static double loop_seconds(const gru_cuda_device *device, const gru_cuda_size *size, double bytes,
                           double arithmetic) {
    const block_cost *cost = cost_of(GRU_PASS_FORWARD, size->compute_type, 0);
    return fmax(bytes / cost->read, arithmetic / cost->products) / device->clock;
}

/* A cluster reads all weights with its multiprocessors. */
static double cluster_seconds(const gru_cuda_device *device, const gru_cuda_size *size,
                              int32_t clusters_at_once) {
    const double bytes =
        (3.0 * size->H + 8) * size->H * number_bytes(size->compute_type) / GRU_CUDA_FUSED_CLUSTER;
    const double arithmetic = 2.0 * 3 * size->H * 8 * size->H / GRU_CUDA_FUSED_CLUSTER;
    const int64_t clusters = divide_up(size->N, 8) * size->directions;
    const int64_t at_once =
        blocks_at_once(device, clusters_at_once, GRU_CUDA_FUSED_CLUSTER) / GRU_CUDA_FUSED_CLUSTER;
    if (at_once == 0 || divide_up(size->N, 8) > MAX_ROWS_Y) return HUGE_VAL;
    return launch_seconds(device) + 2 * start_seconds(device, size) + exchange_cluster +
           (double)divide_up(clusters, at_once) * loop_seconds(device, size, bytes, arithmetic);
}

/* All blocks are there at once: few rows share them, many leave too few for each. */
static double grid_seconds(const gru_cuda_device *device, const gru_cuda_size *size, int32_t fused_blocks) {
    const int64_t sharers = divide_up(size->N, 8) * size->directions,
                  units = size->compute_type == GRU_CUDA_F32 ? 8 : 16;
    const int64_t tiles = divide_up(size->H, units),
                  room = sharers > 0 ? fused_blocks / sharers : fused_blocks;
    const gru_cuda_block_tile tile = {.unit_octets = (int32_t)units / 8, .batch_octets = 1, .split = 1};
    if (room < 1 || divide_up(size->N, 8) > MAX_ROWS_Y) return HUGE_VAL;
    const double bytes = ((double)units * 3 + 8) * size->H * number_bytes(size->compute_type);
    const double start = start_seconds(device, size);
    return launch_plain + start + exchange_grid +
           fmax(start + (double)divide_up(tiles, room) * loop_seconds(device, size, bytes, 0),
                product_seconds(GRU_PASS_FORWARD, device, size, tile, 3, size->H, device->multiprocessors));
}

gru_cuda_choice gru_cuda_choose_step_fused(const gru_cuda_device *device, const gru_cuda_size *size,
                                           const gru_cuda_occupancy *occupancy) {
    const gru_cuda_choice cluster = {.cluster = GRU_CUDA_FUSED_CLUSTER,
                                     .directions = size->directions,
                                     .seconds = cluster_seconds(device, size, occupancy->fused_clusters)};
    const gru_cuda_choice grid = {.cluster = 0,
                                  .directions = size->directions,
                                  .seconds = grid_seconds(device, size, occupancy->fused_blocks)};
    if (gru_cuda_override.fused == 1 && cluster.seconds < HUGE_VAL) return cluster;
    if (gru_cuda_override.fused == 2 && grid.seconds < HUGE_VAL) return grid;
    return cluster.seconds < grid.seconds ? cluster : grid;
}

gru_cuda_choice gru_cuda_choose_backward_step_fused(const gru_cuda_device *device, const gru_cuda_size *size,
                                                    const gru_cuda_occupancy *occupancy) {
    gru_cuda_choice choice = gru_cuda_choose_step_fused(device, size, occupancy);
    choice.tile = gru_cuda_choose_backward_step(device, size, occupancy).tile;
    return choice;
}

/* Blocks of eight units, each of which reads x and h of all rows. Tensor cores multiply sixteen units with eight rows. Nothing
 * overlaps the launch before, and in place the blocks wait for each other. */
double gru_cuda_streaming_seconds(const gru_cuda_device *device, const gru_cuda_size *size, int32_t inputs,
                                  int in_place) {
    const double K = (double)size->H + inputs, N = (double)size->N;
    const int64_t blocks = divide_up(size->H, 8) * size->directions;
    const double waves = (double)divide_up(blocks, device->multiprocessors);
    const double read = (8 * GATES + N) * K * number_bytes(size->compute_type);
    const double arithmetic = 2 * GATES * K * (size->compute_type == GRU_CUDA_F32 ? 8 * N : 16 * 8);
    const double copies = K * N / THREADS;
    return launch_plain + (streaming_start + waves * copies * streaming_copy) / device->clock +
           fmax(waves * loop_seconds(device, size, read, arithmetic),
                slack * read * (double)blocks / read_all_rate(device)) +
           (in_place ? exchange_grid : 0);
}

/* The projection reads W once, at the rate of all multiprocessors. */
double gru_cuda_separate_seconds(const gru_cuda_device *device, const gru_cuda_size *size, int32_t inputs) {
    const double bytes =
        (double)GATES * size->H * inputs * size->directions * number_bytes(size->compute_type);
    const double step = gru_cuda_choose_step(device, size, NULL).seconds;
    return 2 * (launch_plain + start_seconds(device, size)) + slack * bytes / read_all_rate(device) + step -
           launch_seconds(device) + launch_plain;
}

gru_cuda_choice gru_cuda_choose_directions(gru_cuda_chooser *choose, const gru_cuda_device *device,
                                           const gru_cuda_size *size, const gru_cuda_occupancy *occupancy) {
    const gru_cuda_choice both = choose(device, size, occupancy);
    if (size->directions == 1) return both;
    gru_cuda_size one = *size;
    one.directions = 1;
    gru_cuda_choice single = choose(device, &one, occupancy);
    single.seconds *= size->directions;
    return single.seconds < both.seconds ? single : both;
}
