/* test_cuda_backward_step.c: the kernels of the backward steps alone, every gate set in every block tile and fused, against double precision. */
#include <stdlib.h>

#include "control.h"
#include "support/problem.h"
#include "backward_step_problem.h"

enum { COMPUTE_TYPES = 4 };

static gru_context *open_context(int compute_type) {
    return tester_device_context(compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0);
}

/* A drawn variant of this arithmetic. */
static gru_layer_config draw_config(int compute_type, int32_t reset, int32_t hidden, uint64_t draw) {
    static const int types[COMPUTE_TYPES][2] = {{0, 5}, {0, 8}, {1, 3}, {2, 7}}; /* of problem_types */
    gru_layer_config config = problem_variant((int)(tester_random(7, draw) % VARIANTS));
    problem_types(&config, types[compute_type][draw % 3 == 0]);
    config.reset_mode = reset;
    config.hidden = hidden;
    return config;
}

/* ---- launches ----------------------------------------------------------------------------------------------------- */

/* A way through a step: a tile, large ones with a split, or a fused. */
typedef struct way {
    gru_cuda_block_tile tile;
    int32_t fused; /* 0: launches of the tile; 1: in a cluster; 2: in a grid */
} way;

typedef struct pass {
    sweep_problem *p[GRU_CUDA_DIRECTIONS];
    gru_cuda_backward_step_args step;
    gru_cuda_compute_type compute_type;
    way way;
    int32_t blocks; /* of a cooperative grid */
    cudaStream_t stream;
    int32_t overlaps; /* steps begin before the one before has ended */
} pass;

/* Devices before 9.0 have neither thread-block clusters nor launches that overlap. */
static int is_at_least_9_0(const gru_context *context) {
    return gru_cuda_device_of(context)->capability >= 90;
}

static void begin(const pass *a) {
    gru_cuda_state_rows rows = {.directions = a->step.directions, .begins = 1};
    for (int d = 0; d < a->step.directions; d++) rows.sequence[d] = a->p[d]->sequence;
    CHECK(gru_cuda_launch_state_rows(a->compute_type, &rows, a->stream) == cudaSuccess, "begin");
}

/* The rows of step s. */
static void point(pass *a, int64_t s) {
    a->step.s = s;
    for (int d = 0; d < a->step.directions; d++) {
        const sweep_problem *p = a->p[d];
        const int64_t row = s < 0 ? 0 : s * p->N;
        a->step.sequence[d] = p->sequence;
        a->step.input[d] = p->input;
        if (!p->input.time_stride)
            a->step.input[d].data = (const float *)p->input.data + row * p->input.batch_stride;
        a->step.recurrent[d] = p->recurrent;
        a->step.recurrent[d].data = (const float *)p->recurrent.data + row * p->recurrent.batch_stride;
        a->step.attention[d] = p->octets && s >= 0 ? p->octets + row * p->sequence.forward.octets : NULL;
    }
}

static cudaError_t launch(const pass *a) {
    const int before = a->step.sequence[0].forward.reset_mode == GRU_RESET_BEFORE;
    gru_cuda_backward_step_args first = a->step, second = a->step;
    if (a->way.tile.unit_octets == 8)
        return gru_cuda_launch_backward_step_large(a->compute_type, a->way.tile, &first, a->stream);
    if (!before)
        return gru_cuda_launch_backward_step(a->compute_type, GRU_CUDA_ALL_GATES, a->way.tile, &first,
                                             a->stream);
    if (a->way.fused && a->step.s >= 0)
        return gru_cuda_launch_backward_step_fused(
            a->compute_type, a->way.fused == 1 ? GRU_CUDA_FUSED_CLUSTER : 0, a->blocks, &first, a->stream);
    if (a->step.s >= 0) first.trigger = a->overlaps;
    const cudaError_t error = gru_cuda_launch_backward_step(a->compute_type, GRU_CUDA_UPDATE_CANDIDATE,
                                                            a->way.tile, &first, a->stream);
    if (error != cudaSuccess || a->step.s < 0) return error;
    second.depends = a->overlaps;
    return gru_cuda_launch_backward_step(a->compute_type, GRU_CUDA_RESET_GATE, a->way.tile, &second,
                                         a->stream);
}

static void run(pass *a) {
    const int64_t T = a->p[0]->T;
    begin(a);
    for (int64_t s = T - 1; s >= -1; s--) {
        point(a, s);
        a->step.depends = a->overlaps && s < T - 1;
        a->step.trigger = a->overlaps && s >= 0;
        const cudaError_t error = launch(a);
        CHECK(error == cudaSuccess, "%s: step %d is refused: %s", a->p[0]->text, (int)s,
              cudaGetErrorString(error));
    }
    CHECK(cudaStreamSynchronize(a->stream) == cudaSuccess, "%s: the backward steps failed", a->p[0]->text);
}

/* Sweeps a drawn case; with a second direction, that of the other sign, in every third. */
static void run_backward(gru_context *context, int compute_type, int32_t reset, way how, int32_t blocks,
                         uint64_t draw) {
    static const int32_t hidden[2][4] = {{19, 40, 33, 7}, {19, 72, 40, 130}};
    static const int32_t batch[2][4] = {{9, 17, 3, 8}, {9, 70, 3, 17}};
    const int large = how.tile.unit_octets == 8;
    const uint64_t drawn = tester_random(emu_option.seed, draw);
    gru_layer_config config = draw_config(compute_type, reset, hidden[large][drawn % 4], drawn);
    pass a = {.compute_type = (gru_cuda_compute_type)compute_type,
              .way = how,
              .blocks = blocks,
              .stream = tester_device.stream,
              .overlaps = is_at_least_9_0(context)};
    a.step.directions = drawn / 4 % 3 == 0 ? 2 : 1;
    for (int d = 0; d < a.step.directions; d++) {
        const uint32_t options = (uint32_t)(drawn >> (8 + 8 * d)) % SWEEP_OPTIONS;
        a.p[d] = sweep_problem_make(context, &config, large ? 3 : 4, batch[large][drawn / 16 % 4], options,
                                    draw + (uint64_t)d);
        config.direction = !config.direction;
    }
    run(&a);
    for (int d = 0; d < a.step.directions; d++) sweep_problem_check(a.p[d]);
    for (int d = 0; d < a.step.directions; d++) sweep_problem_free(a.p[d]);
}

/* Every tile of one arithmetic, `each` drawn cases in each. */
static void sweep_tiles(int compute_type, int32_t reset, int each) {
    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
    const int32_t count = gru_cuda_backward_step_tiles((gru_cuda_compute_type)compute_type, tiles);
    gru_context *context = open_context(compute_type);
    CHECK(count > 0 && count <= GRU_CUDA_BACKWARD_STEP_TILES, "%d tiles", count);
    CHECK(gru_cuda_load_backward_step((gru_cuda_compute_type)compute_type) == cudaSuccess, "loading");
    for (int32_t i = 0; i < count; i++)
        for (int j = 0; j < each; j++)
            if (tester_takes((uint64_t)(i + j)))
                run_backward(context, compute_type, reset, (way){tiles[i], 0}, 0,
                             (uint64_t)(1000 * compute_type + 100 * reset + 10 * i + j));
    gru_context_release(context);
}

TEST(cuda_backward_step, reset_after) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        sweep_tiles(compute_type, GRU_RESET_AFTER, 4);
}

TEST(cuda_backward_step, reset_all) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        sweep_tiles(compute_type, GRU_RESET_ALL, 2);
}

TEST(cuda_backward_step, reset_before) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        sweep_tiles(compute_type, GRU_RESET_BEFORE, 4);
}

/* ---- large batches ------------------------------------------------------------------------------------------------ */

TEST(cuda_backward_step, large_tiles) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_cuda_occupancy occupancy = {0};
        gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
        const int32_t count = gru_cuda_backward_step_large_tiles((gru_cuda_compute_type)compute_type, tiles);
        gru_context *context = open_context(compute_type);
        CHECK(gru_cuda_load_backward_step_large((gru_cuda_compute_type)compute_type, &occupancy) ==
                  cudaSuccess,
              "loading");
        for (int32_t i = 0; i < count; i++)
            for (int j = 0; j < GRU_CUDA_SPLITS; j++) {
                gru_cuda_block_tile tile = tiles[i];
                if (!tester_takes((uint64_t)(i + j)) || (j && !is_at_least_9_0(context))) continue;
                tile.split = 1 << j;
                CHECK(occupancy.large_clusters[i][j] > 0, "no occupancy for %d blocks", tile.split);
                run_backward(context, compute_type, j % 2 ? GRU_RESET_ALL : GRU_RESET_AFTER, (way){tile, 0},
                             0, (uint64_t)(7000 + 100 * compute_type + 10 * i + j));
            }
        gru_context_release(context);
    }
}

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* What the backward steps leave for the GEMMs. */
static void *swept_rows(const sweep_problem *p, size_t *bytes) {
    for (int i = 0; i < p->block_count; i++)
        if (p->blocks[i].device == p->sequence.rows) *bytes = p->blocks[i].bytes;
    return device_read(p->sequence.rows, *bytes);
}

/* The same problem through every tile and fused: the bits of the first. */
static void compare_ways(gru_context *context, int compute_type, int32_t reset,
                         const gru_cuda_occupancy *occupancy) {
    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
    const int32_t count = gru_cuda_backward_step_tiles((gru_cuda_compute_type)compute_type, tiles);
    const int32_t fused = reset == GRU_RESET_BEFORE ? 2 : 0;
    const gru_layer_config config =
        draw_config(compute_type, reset, 40, (uint64_t)(compute_type + 10 * reset));
    sweep_problem *p = sweep_problem_make(context, &config, 3, 17, SWEEP_LENGTHS | SWEEP_SEGMENTS, 3);
    pass a = {.p = {p},
              .compute_type = (gru_cuda_compute_type)compute_type,
              .blocks = occupancy->fused_blocks,
              .stream = tester_device.stream,
              .overlaps = is_at_least_9_0(context)};
    size_t bytes = 0;
    void *first = NULL;
    a.step.directions = 1;
    for (int32_t i = 0; i < count + fused; i++) {
        a.way = (way){tiles[i % count], i < count ? 0 : i - count + 1};
        if (a.way.fused == 1 && !is_at_least_9_0(context)) continue;
        run(&a);
        void *rows = swept_rows(p, &bytes);
        CHECK(!first || memcmp(first, rows, bytes) == 0, "%s: way %d gives other bits than the first tile",
              p->text, i);
        if (first) free(rows);
        if (!first) first = rows;
    }
    free(first);
    sweep_problem_free(p);
}

TEST(cuda_backward_step, any_tile_and_fused_form_gives_the_same_bits) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_cuda_occupancy occupancy = {0};
        gru_context *context = open_context(compute_type);
        CHECK(gru_cuda_load_backward_step_fused((gru_cuda_compute_type)compute_type, &occupancy) ==
                  cudaSuccess,
              "loading");
        for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++)
            compare_ways(context, compute_type, reset, &occupancy);
        gru_context_release(context);
    }
}

/* ---- one launch --------------------------------------------------------------------------------------------------- */

/* Clusters, grids of a block for each tile, and grids whose blocks take several. */
TEST(cuda_backward_step, reset_before_in_one_launch) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_cuda_occupancy occupancy = {0};
        gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
        gru_context *context = open_context(compute_type);
        (void)gru_cuda_backward_step_tiles((gru_cuda_compute_type)compute_type, tiles);
        CHECK(gru_cuda_load_backward_step_fused((gru_cuda_compute_type)compute_type, &occupancy) ==
                      cudaSuccess &&
                  occupancy.fused_blocks > 0 && (occupancy.fused_clusters > 0) == is_at_least_9_0(context),
              "occupancy for %d blocks, %d clusters", occupancy.fused_blocks, occupancy.fused_clusters);
        for (int i = 0; i < 6; i++)
            run_backward(context, compute_type, GRU_RESET_BEFORE,
                         (way){tiles[0], i < 3 && is_at_least_9_0(context) ? 1 : 2},
                         i == 3 ? 12 : occupancy.fused_blocks, (uint64_t)(5000 + 100 * compute_type + i));
        gru_context_release(context);
    }
}
