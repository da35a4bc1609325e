/* test_cuda_projection.c: projected input against a plain double sum, for every arithmetic and many row counts; with
 * GRU_BATCH_INVARIANT, rows that keep their bits wherever they stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "cuda/cuda_engine.h"
#include "number.h"
#include "tester.h"

static const struct {
    int32_t type;
    uint32_t flags;
    double rounding; /* of one factor that is not rounded yet: x, for TF32 */
    const char *name;
} maths[] = {{GRU_F32, 0, 0, "f32"},
             {GRU_F32, GRU_ALLOW_TF32, 0x1p-10, "tf32"},
             {GRU_F16, 0, 0, "f16"},
             {GRU_BF16, 0, 0, "bf16"}};

enum { MATHS = sizeof maths / sizeof *maths };

/* A layer, rows of x as a prologue leaves them, and where they are projected to, all on the device. */
typedef struct projection {
    gru_context *context;
    gru_layer *layer;
    int64_t rows, pitch, out_row; /* rows: as many as are multiplied */
    int32_t I, H;
    float *W, *bW;                            /* [3H][I], [3H] on the host, as packed */
    float *x;                                 /* [rows][I] on the host, as stored */
    void *there_x, *out, *memory, *workspace; /* memory: that the workspace is in */
} projection;

static void *must_allocate(gru_context *context, size_t bytes) {
    void *memory = NULL;
    REQUIRE(gru_allocate(context, bytes, &memory) == GRU_OK, "%s", gru_last_error());
    return memory;
}

/* What a number becomes in memory of the type. */
static float stored(int32_t type, float value) {
    uint64_t memory;
    gru_store_float(&memory, type, 0, value);
    return gru_load_float(&memory, type, 0);
}

static float *numbers(size_t count, int32_t type, uint64_t seed) {
    float *all = malloc((count + 1) * sizeof *all);
    tester_fill(all, GRU_F32, count, 1, seed);
    for (size_t i = 0; i < count; i++) all[i] = stored(type, all[i]);
    return all;
}

/* Row `from[r]` of the numbers of the seed becomes row r; from NULL: r. */
static void fill_rows(projection *p, int math, const int64_t *from) {
    const size_t element = gru_type_bytes(maths[math].type), bytes = (size_t)(p->rows * p->pitch) * element;
    char *rows = calloc(1, bytes);
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t i = 0; i < p->I; i++)
            gru_store_float(rows, maths[math].type, (size_t)(r * p->pitch + i),
                            p->x[(from ? from[r] : r) * p->I + i]);
    REQUIRE(gru_copy(p->context, p->there_x, rows, bytes, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(p->context, NULL) == GRU_OK, "%s", gru_last_error());
    free(rows);
}

static projection open_projection(int math, uint32_t flags, int32_t inputs, int32_t hidden, int64_t rows) {
    gru_context_config machine = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    projection p = {.I = inputs, .H = hidden};
    machine.backend = GRU_BACKEND_CUDA;
    machine.flags = maths[math].flags | flags;
    REQUIRE(gru_context_create(&machine, &p.context) == GRU_OK, "%s", gru_last_error());
    config.inputs = inputs, config.hidden = hidden, config.weight_type = maths[math].type;
    p.W = numbers((size_t)(3 * hidden * inputs), maths[math].type, 1);
    p.bW = numbers((size_t)(3 * hidden), GRU_F32, 2);
    if (maths[math].flags)
        for (int32_t i = 0; i < 3 * hidden * inputs; i++)
            p.W[i] = gru_float_from_bits(gru_bits_from_float(p.W[i]) & ~0x1fffu); /* exact in TF32 */
    float *R = calloc((size_t)(3 * hidden * hidden), sizeof *R);
    weights.W = p.W, weights.R = R, weights.bW = p.bW;
    REQUIRE(gru_layer_create(p.context, &config, &weights, &p.layer) == GRU_OK, "%s", gru_last_error());
    free(R);
    const gru_cuda_projection *made = gru_cuda_layer_of(p.layer)->projection;
    p.rows = gru_cuda_projection_rows(made, rows);
    p.pitch = gru_cuda_input_pitch(inputs, maths[math].type);
    p.out_row = gru_cuda_projected_row(hidden);
    p.x = numbers((size_t)(p.rows * inputs), maths[math].type, 3);
    p.there_x = must_allocate(p.context, (size_t)(p.rows * p.pitch) * gru_type_bytes(maths[math].type));
    p.out = must_allocate(p.context, (size_t)(p.rows * p.out_row) * sizeof(float));
    p.memory = must_allocate(p.context, 64 + gru_cuda_projection_workspace(made, p.rows));
    p.workspace = (char *)p.memory + 64; /* callers promise no more */
    fill_rows(&p, math, NULL);
    return p;
}

static void close_projection(projection *p) {
    gru_free(p->context, p->there_x);
    gru_free(p->context, p->out);
    gru_free(p->context, p->memory);
    gru_layer_release(p->layer);
    gru_context_release(p->context);
    free(p->W);
    free(p->bW);
    free(p->x);
}

/* out of the first rows, on the host; to be freed. */
static float *project(const projection *p, int64_t rows) {
    gru_cuda_machine *machine = gru_cuda_machine_of(p->context);
    const uint64_t loaded = emu_loaded(), allocated = emu_allocations();
    const size_t bytes = (size_t)(rows * p->out_row) * sizeof(float);
    float *seen = malloc(bytes);
    int previous;
    REQUIRE(gru_cuda_enter(machine, &previous) == GRU_OK, "%s", gru_last_error());
    const gru_status status = gru_cuda_project(p->layer, p->layer->packed, p->there_x, p->pitch, rows, p->out,
                                               p->workspace, gru_cuda_stream(NULL));
    gru_cuda_leave(machine, previous);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    CHECK(emu_loaded() == loaded && emu_allocations() == allocated, "%lld rows: it loads or allocates",
          (long long)rows);
    REQUIRE(gru_copy(p->context, seen, p->out, bytes, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(p->context, NULL) == GRU_OK, "%s", gru_last_error());
    return seen;
}

/* One number's sum in double precision; *size: the sum of what it sums. */
static double sum_of(const projection *p, int64_t row, int32_t weight_row, double *size) {
    double sum = (double)p->bW[weight_row];
    *size = fabs(sum);
    for (int32_t i = 0; i < p->I; i++) {
        const double term = (double)p->W[weight_row * p->I + i] * (double)p->x[row * p->I + i];
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* A sum of I products and a bias in f32, in any order, is off by at most (I + 1) 2^-24 times the size of its terms. */
static void check_rows(const projection *p, int math, int64_t rows) {
    float *seen = project(p, rows);
    const double budget = (p->I + 1) * 0x1p-24 + maths[math].rounding;
    int wrong = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int32_t g = 0; g < 3 * p->H; g++) {
            const int32_t unit = g % p->H, at = (unit / 8 * 3 + g / p->H) * 8 + unit % 8;
            double size;
            const double exact = sum_of(p, r, g, &size), got = (double)seen[r * p->out_row + at];
            if (!(fabs(got - exact) <= budget * size) && !wrong++)
                CHECK(0, "%s, I %d, H %d, %lld rows: row %lld, number %d is %g, expected %g",
                      maths[math].name, p->I, p->H, (long long)rows, (long long)r, g, got, exact);
        }
    CHECK(wrong == 0, "%d numbers are wrong", wrong);
    free(seen);
}

TEST(cuda_projection, sums) {
    static const int32_t sizes[][2] = {{1, 1}, {3, 5}, {16, 16}, {33, 17}, {70, 9}};
    static const int64_t counts[] = {1, 2, 3, 5, 8, 17, 64, 100};
    for (int math = 0; math < MATHS; math++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            projection p = open_projection(math, 0, sizes[s][0], sizes[s][1], 100);
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) check_rows(&p, math, counts[c]);
            close_projection(&p);
        }
}

TEST(cuda_projection, more_rows_than_one_product) {
    projection p = open_projection(0, 0, 2, 3, 8192 + 5);
    check_rows(&p, 0, 8192 + 5);
    close_projection(&p);
}

TEST(cuda_projection, workspace_grows_with_the_rows) {
    projection p = open_projection(0, 0, 4, 4, 1);
    const gru_cuda_projection *made = gru_cuda_layer_of(p.layer)->projection;
    size_t before = 0;
    for (int64_t rows = 1; rows < 1 << 20; rows += rows / 2 + 1) {
        const size_t bytes = gru_cuda_projection_workspace(made, rows);
        CHECK(bytes >= before && bytes <= (4 << 20) + 256, "%zu bytes for %lld rows, %zu for fewer", bytes,
              (long long)rows, before);
        before = bytes;
    }
    close_projection(&p);
}

/* The same numbers at other places among other rows. */
static void check_invariance(int math, int32_t inputs, int32_t hidden) {
    projection p = open_projection(math, GRU_BATCH_INVARIANT, inputs, hidden, 300);
    CHECK(p.rows % 256 == 0 && p.rows >= 300, "%lld rows are multiplied", (long long)p.rows);
    float *straight = project(&p, p.rows);
    check_rows(&p, math, p.rows);
    int64_t *from = malloc((size_t)p.rows * sizeof *from);
    for (int64_t r = 0; r < p.rows; r++)
        from[r] = (r * 37 + 11) % p.rows; /* 37 and 512 have no common factor */
    fill_rows(&p, math, from);
    float *moved = project(&p, p.rows);
    int differing = 0;
    for (int64_t r = 0; r < p.rows; r++)
        differing += memcmp(moved + r * p.out_row, straight + from[r] * p.out_row,
                            (size_t)p.out_row * sizeof(float)) != 0;
    CHECK(differing == 0, "%s: %d rows of %lld changed with their place", maths[math].name, differing,
          (long long)p.rows);
    free(straight);
    free(moved);
    free(from);
    close_projection(&p);
}

/* With the flag every product has the same count of rows: those past the ones asked for are written too. */
TEST(cuda_projection, products_of_one_size) {
    projection p = open_projection(0, GRU_BATCH_INVARIANT, 3, 2, 300);
    free(project(&p, 300));
    const size_t count = (size_t)(p.rows * p.out_row);
    float *all = malloc(count * sizeof *all);
    REQUIRE(gru_copy(p.context, all, p.out, count * sizeof *all, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(p.context, NULL) == GRU_OK, "%s", gru_last_error());
    CHECK(p.rows == 512 && !isnan(all[count - 1]), "of %lld rows the last is %g", (long long)p.rows,
          (double)all[count - 1]);
    free(all);
    close_projection(&p);
}

TEST(cuda_projection, a_row_keeps_its_bits) {
    for (int math = 0; math < MATHS; math++) check_invariance(math, 19, 5);
}
