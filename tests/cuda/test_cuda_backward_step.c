/* test_cuda_backward_step.c: the kernels of the sweep alone, every part in every tile and hop, against double precision. */
#include <stdlib.h>

#include "control.h"
#include "support/problem.h"
#include "backward_step_problem.h"

enum { MATHS = 4 };

static gru_context *open_context(int math) {
    return tester_device_context(math == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0);
}

/* A drawn variant of this arithmetic. */
static gru_layer_config draw_config(int math, int32_t reset, int32_t hidden, uint64_t draw) {
    static const int types[MATHS][2] = {{0, 5}, {0, 8}, {1, 3}, {2, 7}}; /* of problem_types */
    gru_layer_config config = problem_variant((int)(tester_random(7, draw) % VARIANTS));
    problem_types(&config, types[math][draw % 3 == 0]);
    config.reset_mode = reset;
    config.hidden = hidden;
    return config;
}

/* ---- launches ----------------------------------------------------------------------------------------------------- */

/* A way through a step: a tile, large ones with a split, or a hop. */
typedef struct way {
    gru_cuda_tile tile;
    int32_t hop; /* 0: launches of the tile; 1: in a cluster; 2: in a grid */
} way;

typedef struct pass {
    sweep_problem *p[GRU_CUDA_DIRECTIONS];
    gru_cuda_sweep_step step;
    gru_cuda_math math;
    way way;
    int32_t blocks; /* of a cooperative grid */
    cudaStream_t stream;
} pass;

static void begin(const pass *a) {
    gru_cuda_state_rows rows = {.directions = a->step.directions, .begins = 1};
    for (int d = 0; d < a->step.directions; d++) rows.sweep[d] = a->p[d]->sweep;
    CHECK(gru_cuda_launch_state_rows(a->math, &rows, a->stream) == cudaSuccess, "begin");
}

/* The rows of step s. */
static void point(pass *a, int64_t s) {
    a->step.s = s;
    for (int d = 0; d < a->step.directions; d++) {
        const sweep_problem *p = a->p[d];
        const int64_t row = s < 0 ? 0 : s * p->N;
        a->step.sweep[d] = p->sweep;
        a->step.input[d] = p->input;
        if (!p->input.time_stride)
            a->step.input[d].data = (const float *)p->input.data + row * p->input.batch_stride;
        a->step.recurrent[d] = p->recurrent;
        a->step.recurrent[d].data = (const float *)p->recurrent.data + row * p->recurrent.batch_stride;
        a->step.attention[d] = p->octets && s >= 0 ? p->octets + row * p->sweep.forward.octets : NULL;
    }
}

static cudaError_t launch(const pass *a) {
    const int before = a->step.sweep[0].forward.reset_mode == GRU_RESET_BEFORE;
    gru_cuda_sweep_step first = a->step, second = a->step;
    if (a->way.tile.unit_octets == 8)
        return gru_cuda_launch_sweep_tile(a->math, a->way.tile, &first, a->stream);
    if (!before) return gru_cuda_launch_sweep(a->math, GRU_CUDA_WHOLE, a->way.tile, &first, a->stream);
    if (a->way.hop && a->step.s >= 0)
        return gru_cuda_launch_sweep_hop(a->math, a->way.hop == 1 ? GRU_CUDA_HOP_CLUSTER : 0, a->blocks,
                                         &first, a->stream);
    if (a->step.s >= 0) first.trigger = 1;
    const cudaError_t error =
        gru_cuda_launch_sweep(a->math, GRU_CUDA_CANDIDATE, a->way.tile, &first, a->stream);
    if (error != cudaSuccess || a->step.s < 0) return error;
    second.depends = 1;
    return gru_cuda_launch_sweep(a->math, GRU_CUDA_GATES, a->way.tile, &second, a->stream);
}

static void run(pass *a) {
    const int64_t T = a->p[0]->T;
    begin(a);
    for (int64_t s = T - 1; s >= -1; s--) {
        point(a, s);
        a->step.depends = s < T - 1;
        a->step.trigger = s >= 0;
        const cudaError_t error = launch(a);
        CHECK(error == cudaSuccess, "%s: step %d is refused: %s", a->p[0]->text, (int)s,
              cudaGetErrorString(error));
    }
    CHECK(cudaStreamSynchronize(a->stream) == cudaSuccess, "%s: the sweep failed", a->p[0]->text);
}

/* Sweeps a drawn case; with a second direction, that of the other sign, in every third. */
static void sweep(gru_context *context, int math, int32_t reset, way how, int32_t blocks, uint64_t draw) {
    static const int32_t hidden[2][4] = {{19, 40, 33, 7}, {19, 72, 40, 130}};
    static const int32_t batch[2][4] = {{9, 17, 3, 8}, {9, 70, 3, 17}};
    const int large = how.tile.unit_octets == 8;
    const uint64_t drawn = tester_random(emu_option.seed, draw);
    gru_layer_config config = draw_config(math, reset, hidden[large][drawn % 4], drawn);
    pass a = {.math = (gru_cuda_math)math, .way = how, .blocks = blocks, .stream = tester_device.stream};
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
static void sweep_tiles(int math, int32_t reset, int each) {
    gru_cuda_tile tiles[GRU_CUDA_SWEEP_TILES];
    const int32_t count = gru_cuda_sweep_tiles((gru_cuda_math)math, tiles);
    gru_context *context = open_context(math);
    CHECK(count > 0 && count <= GRU_CUDA_SWEEP_TILES, "%d tiles", count);
    CHECK(gru_cuda_load_sweep((gru_cuda_math)math) == cudaSuccess, "loading");
    for (int32_t i = 0; i < count; i++)
        for (int j = 0; j < each; j++)
            sweep(context, math, reset, (way){tiles[i], 0}, 0,
                  (uint64_t)(1000 * math + 100 * reset + 10 * i + j));
    gru_context_release(context);
}

TEST(cuda_sweep, reset_after) {
    for (int math = 0; math < MATHS; math++) sweep_tiles(math, GRU_RESET_AFTER, 4);
}

TEST(cuda_sweep, reset_all) {
    for (int math = 0; math < MATHS; math++) sweep_tiles(math, GRU_RESET_ALL, 2);
}

TEST(cuda_sweep, reset_before) {
    for (int math = 0; math < MATHS; math++) sweep_tiles(math, GRU_RESET_BEFORE, 4);
}

/* ---- large batches ------------------------------------------------------------------------------------------------ */

TEST(cuda_sweep, large_tiles) {
    for (int math = 0; math < MATHS; math++) {
        gru_cuda_room room = {0};
        gru_cuda_tile tiles[GRU_CUDA_TILE_TILES];
        const int32_t count = gru_cuda_sweep_tile_tiles((gru_cuda_math)math, tiles);
        gru_context *context = open_context(math);
        CHECK(gru_cuda_load_sweep_tile((gru_cuda_math)math, &room) == cudaSuccess, "loading");
        for (int32_t i = 0; i < count; i++)
            for (int j = 0; j < GRU_CUDA_SPLITS; j++) {
                gru_cuda_tile tile = tiles[i];
                tile.split = 1 << j;
                CHECK(room.tile_clusters[i][j] > 0, "no room for %d blocks", tile.split);
                sweep(context, math, j % 2 ? GRU_RESET_ALL : GRU_RESET_AFTER, (way){tile, 0}, 0,
                      (uint64_t)(7000 + 100 * math + 10 * i + j));
            }
        gru_context_release(context);
    }
}

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* What a sweep leaves for the GEMMs. */
static void *swept_rows(const sweep_problem *p, size_t *bytes) {
    for (int i = 0; i < p->block_count; i++)
        if (p->blocks[i].device == p->sweep.rows) *bytes = p->blocks[i].bytes;
    return device_read(p->sweep.rows, *bytes);
}

/* The same problem through every tile and hop: the bits of the first. */
static void compare_ways(gru_context *context, int math, int32_t reset, const gru_cuda_room *room) {
    gru_cuda_tile tiles[GRU_CUDA_SWEEP_TILES];
    const int32_t count = gru_cuda_sweep_tiles((gru_cuda_math)math, tiles);
    const int32_t hops = reset == GRU_RESET_BEFORE ? 2 : 0;
    const gru_layer_config config = draw_config(math, reset, 40, (uint64_t)(math + 10 * reset));
    sweep_problem *p = sweep_problem_make(context, &config, 3, 17, SWEEP_LENGTHS | SWEEP_SEGMENTS, 3);
    pass a = {
        .p = {p}, .math = (gru_cuda_math)math, .blocks = room->hop_blocks, .stream = tester_device.stream};
    size_t bytes = 0;
    void *first = NULL;
    a.step.directions = 1;
    for (int32_t i = 0; i < count + hops; i++) {
        a.way = (way){tiles[i % count], i < count ? 0 : i - count + 1};
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

TEST(cuda_sweep, any_tile_and_hop_gives_the_same_bits) {
    for (int math = 0; math < MATHS; math++) {
        gru_cuda_room room = {0};
        gru_context *context = open_context(math);
        CHECK(gru_cuda_load_sweep_hop((gru_cuda_math)math, &room) == cudaSuccess, "loading");
        for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++)
            compare_ways(context, math, reset, &room);
        gru_context_release(context);
    }
}

/* ---- one launch --------------------------------------------------------------------------------------------------- */

/* Clusters, grids of a block for each tile, and grids whose blocks take several. */
TEST(cuda_sweep, reset_before_in_one_launch) {
    for (int math = 0; math < MATHS; math++) {
        gru_cuda_room room = {0};
        gru_cuda_tile tiles[GRU_CUDA_SWEEP_TILES];
        gru_context *context = open_context(math);
        (void)gru_cuda_sweep_tiles((gru_cuda_math)math, tiles);
        CHECK(gru_cuda_load_sweep_hop((gru_cuda_math)math, &room) == cudaSuccess && room.hop_blocks > 0 &&
                  room.hop_clusters > 0,
              "room for %d blocks, %d clusters", room.hop_blocks, room.hop_clusters);
        for (int i = 0; i < 6; i++)
            sweep(context, math, GRU_RESET_BEFORE, (way){tiles[0], i < 3 ? 1 : 2},
                  i == 3 ? 12 : room.hop_blocks, (uint64_t)(5000 + 100 * math + i));
        gru_context_release(context);
    }
}
