/* test_cuda_cost_model.c: for all sizes and devices, the cost model chooses a tile that fits the device, or reports that none does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/selection.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "cuda/run/cuda_plan.h"
#include "support/tester.h"

/* An H100, an A100, and an RTX 4090, which has no clusters and less shared memory. */
static const gru_cuda_device devices[] = {
    {.multiprocessors = 132, .capability = 90, .shared_bytes = 227 * 1024, .clock = 1.755e9},
    {.multiprocessors = 108, .capability = 80, .shared_bytes = 163 * 1024, .clock = 1.41e9},
    {.multiprocessors = 128, .capability = 89, .shared_bytes = 99 * 1024, .clock = 2.52e9},
};
enum { DEVICES = sizeof devices / sizeof *devices };

/* Of each device; one that cannot place clusters of eight, as a part of an H100 may not. */
static const gru_cuda_occupancy occupancies[] = {
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

static void check_size(const gru_cuda_device *device, const gru_cuda_occupancy *occupancy,
                       const gru_cuda_size *size) {
    const gru_cuda_choice stepwise = gru_cuda_choose_step(device, size, occupancy);
    const gru_cuda_choice tile = gru_cuda_choose_step_large(device, size, occupancy);
    const gru_cuda_choice fused = gru_cuda_choose_step_fused(device, size, occupancy);
    CHECK(stepwise.seconds > 0 && stepwise.seconds < HUGE_VAL &&
              exists(size->compute_type, size->reset_mode, stepwise.tile),
          "compute_type %d, H %d, N %lld: stepwise takes a tile of %d x %d octets", size->compute_type,
          size->H, (long long)size->N, stepwise.tile.unit_octets, stepwise.tile.batch_octets);
    CHECK(stepwise.tile.shared_bytes <= device->shared_bytes, "a tile takes %d bytes of %d",
          stepwise.tile.shared_bytes, device->shared_bytes);
    CHECK(tile.seconds == HUGE_VAL || tile.tile.shared_bytes <= device->shared_bytes,
          "a tile takes %d bytes of %d", tile.tile.shared_bytes, device->shared_bytes);
    CHECK(tile.seconds == HUGE_VAL || tile.tile.split <= (device->capability >= 90 ? 4 : 1),
          "a split of %d, which cannot be placed", tile.tile.split);
    CHECK(fused.cluster == 0, "a cluster that cannot be placed");
    CHECK(fused.seconds == HUGE_VAL || (size->N + 7) / 8 * size->directions <= occupancy->fused_blocks,
          "a grid of more blocks than are there at once: N %lld", (long long)size->N);
}

TEST(cuda_plan, takes_what_exists) {
    for (int m = 0; m < DEVICES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++)
                    for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_BEFORE; reset++)
                        for (int32_t directions = 1; directions <= 2; directions++) {
                            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n],
                                                        hidden[h], reset, directions};
                            check_size(&devices[m], &occupancies[m], &size);
                        }
}

/* The backward step too. */
TEST(cuda_plan, sweeps_take_what_exists) {
    for (int m = 0; m < DEVICES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++) {
                    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
                    const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n], hidden[h],
                                                (h + n) % 3, 1 + n % 2};
                    const gru_cuda_choice plan =
                        gru_cuda_choose_backward_step(&devices[m], &size, &occupancies[m]);
                    const int32_t count = gru_cuda_backward_step_tiles(size.compute_type, tiles);
                    int found = 0;
                    for (int32_t i = 0; i < count; i++)
                        found |= tiles[i].unit_octets == plan.tile.unit_octets &&
                                 tiles[i].batch_octets == plan.tile.batch_octets;
                    CHECK(found && plan.seconds > 0 && plan.seconds < HUGE_VAL &&
                              plan.tile.shared_bytes <= devices[m].shared_bytes,
                          "compute_type %d, H %d, N %lld: the backward step takes a tile of %d x %d octets",
                          compute_type, hidden[h], (long long)batches[n], plan.tile.unit_octets,
                          plan.tile.batch_octets);
                }
}

/* By large tiles, one that exists, with a split for which there is occupancy; or none at all. */
TEST(cuda_plan, sweeps_of_large_batches_take_what_exists) {
    for (int m = 0; m < DEVICES; m++)
        for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++)
            for (int h = 0; h < HIDDEN; h++)
                for (int n = 0; n < BATCHES; n++) {
                    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
                    const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, batches[n], hidden[h],
                                                GRU_RESET_AFTER, 1 + n % 2};
                    const gru_cuda_choice plan =
                        gru_cuda_choose_backward_step_large(&devices[m], &size, &occupancies[m]);
                    const int32_t count = gru_cuda_backward_step_large_tiles(size.compute_type, tiles);
                    int found = plan.seconds == HUGE_VAL;
                    for (int32_t i = 0; i < count; i++)
                        for (int j = 0; j < GRU_CUDA_SPLITS; j++)
                            found |= tiles[i].batch_octets == plan.tile.batch_octets &&
                                     plan.tile.split == 1 << j && occupancies[m].large_clusters[i][j] > 0 &&
                                     tiles[i].shared_bytes <= devices[m].shared_bytes;
                    CHECK(found && plan.seconds > 0,
                          "compute_type %d, H %d, N %lld: the backward step takes %d rows, split %d",
                          compute_type, hidden[h], (long long)batches[n], plan.tile.batch_octets * 8,
                          plan.tile.split);
                }
}

/* More units or more rows never take less time: else a cliff would lie between two sizes. */
TEST(cuda_plan, time_grows_with_the_sizes) {
    for (int compute_type = GRU_CUDA_F32; compute_type <= GRU_CUDA_BF16; compute_type++) {
        double before = 0, backward_before = 0;
        for (int32_t H = 8; H <= 4096; H += 8) {
            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, 8, H, GRU_RESET_AFTER, 1};
            const double seconds = gru_cuda_choose_step(&devices[0], &size, &occupancies[0]).seconds;
            const double backward =
                gru_cuda_choose_backward_step(&devices[0], &size, &occupancies[0]).seconds;
            CHECK(seconds >= before, "compute_type %d: H %d takes %g s, less takes %g", compute_type, H,
                  seconds, before);
            CHECK(backward >= backward_before,
                  "compute_type %d: H %d runs its backward step in %g s, less in %g", compute_type, H,
                  backward, backward_before);
            before = seconds, backward_before = backward;
        }
        before = 0;
        for (int64_t N = 1; N <= 2048; N++) {
            const gru_cuda_size size = {(gru_cuda_compute_type)compute_type, N, 512, GRU_RESET_AFTER, 1};
            const double seconds = gru_cuda_choose_step(&devices[0], &size, &occupancies[0]).seconds;
            CHECK(seconds >= before, "compute_type %d: N %lld takes %g s, fewer take %g", compute_type,
                  (long long)N, seconds, before);
            before = seconds;
        }
    }
}

/* ---- steps whose cycles were counted from machine code ---- */

/* The table's clock, and so many multiprocessors that L2 limits nothing: the table leaves bandwidth out. */
static const gru_cuda_device counted = {
    .multiprocessors = 1 << 24, .capability = 90, .shared_bytes = 227 * 1024, .clock = 1.9e9};
static const gru_cuda_occupancy room = {
    1 << 20, 1 << 20, {{1 << 20, 1 << 20, 1 << 20, 1 << 20}, {1 << 20, 1 << 20, 1 << 20, 1 << 20}}};

/* Seconds between a step's end and the next one's start, or before a step alone, which the table leaves out. */
static const double between = 0.7e-6, alone = 1.35e-6;

/* What the model expects of a step of the table, in seconds; a negative number: its name says no step. */
static double expected(const char *pass, const gru_cuda_size *size, const char *tile) {
    const int backward = strcmp(pass, "backward") == 0;
    double seconds = -1;
    int a = 0, b = 0;
    if (strcmp(pass, "streaming") == 0) return gru_cuda_streaming_seconds(&counted, size, size->H, 0) - alone;
    if (sscanf(tile, "%dx%d", &a, &b) == 2) {
        gru_cuda_override = (gru_cuda_test_override){.unit_octets = a, .batch_octets = b};
        seconds =
            (backward ? gru_cuda_choose_backward_step : gru_cuda_choose_step)(&counted, size, &room).seconds;
    } else if (sscanf(tile, "%d/%d", &a, &b) == 2) {
        gru_cuda_override = (gru_cuda_test_override){.batch_octets = a / 8, .split = b};
        seconds = (backward ? gru_cuda_choose_backward_step_large : gru_cuda_choose_step_large)(&counted,
                                                                                                size, &room)
                      .seconds;
    }
    gru_cuda_override = (gru_cuda_test_override){0};
    return seconds - between;
}

/* The table itself is trusted to a quarter. */
TEST(cuda_plan, predicts_the_counted_cycles) {
    FILE *table = fopen(TEST_DATA "/../bench/results/h200-kernel-cycles.txt", "r");
    char line[200];
    int steps = 0, current = 0;
    REQUIRE(table, "the table of cycles cannot be opened");
    while (fgets(line, sizeof line, table)) {
        char pass[16], type[8], tile[16] = "";
        int H, N, cycles;
        current |= strncmp(line, "step ", 5) == 0; /* what stands before is of another version */
        char *numbers = strchr(line, ' ');
        if (!current || !numbers || sscanf(numbers, "%*d %*d %*d %d", &cycles) != 1) continue;
        *numbers = '\0';
        if (sscanf(line, "%15[a-z]-%7[a-z0-9]-H%d-N%d-%15s", pass, type, &H, &N, tile) < 4) continue;
        const gru_cuda_size size = {strcmp(type, "f32") == 0 ? GRU_CUDA_F32 : GRU_CUDA_BF16, N, H,
                                    GRU_RESET_AFTER, 1};
        const double model = expected(pass, &size, tile) * counted.clock;
        CHECK(fabs(model - cycles) <= 0.25 * cycles, "%s: the model expects %.0f cycles, the table has %d",
              line, model, cycles);
        steps++;
    }
    (void)fclose(table);
    CHECK(steps > 50, "only %d steps were compared", steps);
}

/* ---- whole calls, of one direction and of two ---- */

/* The devices above, and an H200, as print_predictions.c has it, which places clusters of eight. */
static const gru_cuda_device h200 = {
    .multiprocessors = 132, .capability = 90, .shared_bytes = 227 * 1024, .clock = 1.755e9};
static const gru_cuda_occupancy h200_occupancy = {264, 30, {{132, 66, 30, 15}, {132, 66, 30, 15}}};

static const gru_cuda_device *device_at(int m) {
    return m < DEVICES ? &devices[m] : &h200;
}

static const gru_cuda_occupancy *occupancy_at(int m) {
    return m < DEVICES ? &occupancies[m] : &h200_occupancy;
}

/* Both directions of a layer of 8 units and no inputs, made on the emulated device. Then their sizes, their arithmetic and the
 * device's figures are replaced, of which plans are made: nothing is run. */
typedef struct pair {
    gru_context *context;
    gru_layer *layers[2];
    gru_cuda_device made; /* the emulated device's figures, until the end */
} pair;

static void take_figures(gru_cuda_device *device, const gru_cuda_device *from) {
    device->multiprocessors = from->multiprocessors;
    device->capability = from->capability;
    device->shared_bytes = from->shared_bytes;
    device->clock = from->clock;
}

static pair make_pair(int32_t reset_mode) {
    static const float zeros[3 * 8 * 8];
    const gru_weights weights = {.R = zeros, .type = GRU_F32};
    const gru_context_config cuda = {.backend = GRU_BACKEND_CUDA};
    pair p;
    REQUIRE(gru_context_create(&cuda, &p.context) == GRU_OK, "%s", gru_last_error());
    for (int d = 0; d < 2; d++) {
        const gru_layer_config config = {
            .hidden = 8, .reset_mode = reset_mode, .direction = d ? GRU_REVERSE : GRU_FORWARD};
        REQUIRE(gru_layer_create(p.context, &config, &weights, &p.layers[d]) == GRU_OK, "%s",
                gru_last_error());
    }
    take_figures(&p.made, gru_cuda_device_of(p.context));
    return p;
}

static void free_pair(pair *p) {
    take_figures(gru_cuda_device_of(p->context), &p->made);
    for (int d = 0; d < 2; d++) p->layers[d]->config.hidden = 8;
    for (int d = 0; d < 2; d++) gru_layer_release(p->layers[d]);
    gru_context_release(p->context);
}

static void set_figures(pair *p, int m, const gru_cuda_size *size) {
    take_figures(gru_cuda_device_of(p->context), device_at(m));
    for (int d = 0; d < 2; d++) {
        gru_cuda_layer *prepared = p->layers[d]->prepared;
        prepared->compute_type = size->compute_type;
        prepared->occupancy = prepared->backward_occupancy = *occupancy_at(m);
        p->layers[d]->config.hidden = size->H;
    }
}

/* The least that any engine asks for a step of size->directions: in one launch, or one after the other. */
static double least_seconds(gru_pass pass, int m, const gru_cuda_size *size) {
    gru_cuda_chooser *const by_pass[GRU_PASSES][3] = {
        {gru_cuda_choose_step, gru_cuda_choose_step_large, gru_cuda_choose_step_fused},
        {gru_cuda_choose_backward_step, gru_cuda_choose_backward_step_large,
         gru_cuda_choose_backward_step_fused}};
    gru_cuda_size one = *size;
    double least = HUGE_VAL;
    one.directions = 1;
    for (int i = 0; i < 3; i++) {
        if (i > 0 && (i == 2) != (size->reset_mode == GRU_RESET_BEFORE)) continue;
        least = fmin(least, by_pass[pass][i](device_at(m), size, occupancy_at(m)).seconds);
        least = fmin(least, size->directions * by_pass[pass][i](device_at(m), &one, occupancy_at(m)).seconds);
    }
    return least;
}

static const gru_engine *plan_pair(pair *p, gru_pass pass, int m, const gru_cuda_size *size,
                                   double *seconds) {
    const gru_run run = {.T = 4, .N = size->N, .mode = GRU_TRAIN};
    const gru_job jobs[2] = {{p->layers[0], &run, NULL}, {p->layers[1], &run, NULL}};
    gru_plan plan;
    set_figures(p, m, size);
    REQUIRE(gru_plan_jobs(pass, jobs, size->directions, &plan) == GRU_OK, "%s", gru_last_error());
    *seconds = gru_cuda_plan_of(&plan)->choice.seconds;
    return plan.engine;
}

/* Whatever the sizes: also two directions go to the engine that is best for two. Returns how many sizes have another engine for
 * one direction. */
static int check_pair(pair *p, gru_pass pass, int m, gru_cuda_size size) {
    const gru_engine *engines[2];
    for (int32_t directions = 1; directions <= 2; directions++) {
        double seconds;
        size.directions = directions;
        engines[directions - 1] = plan_pair(p, pass, m, &size, &seconds);
        const double least = least_seconds(pass, m, &size);
        CHECK(
            seconds == least,
            "device %d, pass %d, math %d, reset %d, H %d, N %lld, directions %d: %s takes %g s, the best %g",
            m, (int)pass, size.compute_type, size.reset_mode, size.H, (long long)size.N, directions,
            engines[directions - 1]->name, seconds, least);
    }
    return engines[0] != engines[1];
}

TEST(cuda_plan, directions_get_the_engine_that_is_best_for_them) {
    static const int32_t units[] = {64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048};
    static const int64_t rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512};
    int differ = 0;
    for (int32_t reset_mode = GRU_RESET_AFTER; reset_mode <= GRU_RESET_BEFORE; reset_mode++) {
        pair p = make_pair(reset_mode);
        for (int m = 0; m <= DEVICES; m++)
            for (int i = 0; i < 4 * 14 * 15; i++)
                for (int pass = 0; pass < GRU_PASSES; pass++) {
                    const gru_cuda_size size = {(gru_cuda_compute_type)(i % 4), rows[i / 4 % 15],
                                                units[i / 60], reset_mode, 1};
                    differ += check_pair(&p, (gru_pass)pass, m, size);
                }
        free_pair(&p);
    }
    CHECK(differ > 0, "one direction and two never want different engines, so nothing was tested");
}

/* A size at which an H200 should run one direction on one engine, and two on the other. */
TEST(cuda_plan, two_directions_may_want_another_engine_than_one) {
    const gru_cuda_size size = {GRU_CUDA_F32, 64, 320, GRU_RESET_BEFORE, 1};
    pair p = make_pair(GRU_RESET_BEFORE);
    CHECK(check_pair(&p, GRU_PASS_FORWARD, DEVICES, size),
          "H 320, N 64: one engine for one direction and two");
    free_pair(&p);
}
