/* test_cuda_gemm.c: products of rows against plain double sums, for every kind, arithmetic and many row counts; with
 * GRU_BATCH_INVARIANT, rows that keep their bits wherever they stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "cuda/layer/cuda_gemm.h"
#include "cuda/layer/cuda_gemm_prepare.h"
#include "cuda/layer/cuda_layer.h"
#include "core/number.h"
#include "support/problem.h"

static const struct {
    int32_t type;
    uint32_t flags;
    double rounding; /* of the products of two factors, which are not rounded yet, for TF32 */
    const char *name;
} compute_types[] = {{GRU_F32, 0, 0, "f32"},
                     {GRU_F32, GRU_ALLOW_TF32, 0x1p-10, "tf32"},
                     {GRU_F16, 0, 0, "f16"},
                     {GRU_BF16, 0, 0, "bf16"}};

enum { COMPUTE_TYPES = sizeof compute_types / sizeof *compute_types, KINDS = 3 };

/* One matrix, on both sides: f32 here, as stored there, stride numbers from row to row. */
typedef struct matrix {
    float *here;
    void *there;
    int64_t rows, row, stride;
    int32_t type;
} matrix;

typedef struct product {
    gru_context *context;
    gru_layer *layer;
    gru_cuda_gemm *gemm;
    gru_cuda_gemm_shape kernel_config;
    int compute_type;
    matrix in, other, bias, out;
    void *memory; /* that the workspace is in */
} product;

static void *must_allocate(gru_context *context, size_t bytes) {
    void *memory = NULL;
    REQUIRE(gru_allocate(context, bytes, &memory) == GRU_OK, "%s", gru_last_error());
    return memory;
}

static void copy(gru_context *context, void *to, const void *from, size_t bytes) {
    REQUIRE(gru_copy(context, to, from, bytes, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, NULL) == GRU_OK, "%s", gru_last_error());
}

static size_t bytes_of(const matrix *m) {
    return (size_t)(m->rows * m->stride) * gru_type_bytes(m->type);
}

/* Row r there becomes row from[r] of here; from NULL: r. */
static void send(gru_context *context, const matrix *m, const int64_t *from) {
    char *rows = calloc(1, bytes_of(m));
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t i = 0; i < m->row; i++)
            gru_store_float(rows, m->type, (size_t)(r * m->stride + i),
                            m->here[(from ? from[r] : r) * m->row + i]);
    copy(context, m->there, rows, bytes_of(m));
    free(rows);
}

/* Numbers of the seed, as the type stores them; TF32 reads them as they are only with `exact`. */
static matrix make_matrix(gru_context *context, int32_t type, int64_t rows, int64_t row, int64_t stride,
                          uint64_t seed) {
    matrix m = {NULL, NULL, rows, row, stride, type};
    m.here = malloc((size_t)(rows * row) * sizeof *m.here);
    m.there = must_allocate(context, bytes_of(&m));
    tester_fill(m.here, GRU_F32, (size_t)(rows * row), 1, seed);
    for (int64_t i = 0; i < rows * row; i++) {
        uint64_t memory;
        gru_store_float(&memory, type, 0, m.here[i]);
        m.here[i] = gru_load_float(&memory, type, 0);
    }
    send(context, &m, NULL);
    return m;
}

/* inputs and outputs in lines of 16 bytes; gap: numbers between rows, in lines too. */
static product open_product(int kind, int compute_type, uint32_t flags, int64_t inputs, int64_t outputs,
                            int64_t rows, int64_t gap) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    static const float R[3];
    product p = {.compute_type = compute_type};
    int previous;
    context_config.backend = GRU_BACKEND_CUDA;
    context_config.flags = compute_types[compute_type].flags | flags;
    REQUIRE(gru_context_create(&context_config, &p.context) == GRU_OK, "%s", gru_last_error());
    config.hidden = 1, config.weight_type = compute_types[compute_type].type;
    weights.R = R;
    REQUIRE(gru_layer_create(p.context, &config, &weights, &p.layer) == GRU_OK, "%s", gru_last_error());
    const int32_t type = compute_types[compute_type].type;
    const int64_t line = 16 / (int64_t)gru_type_bytes(type), m = inputs * line, n = outputs * line;
    const int sums = kind == GRU_CUDA_GEMM_SUM_ROWS;
    p.kernel_config = (gru_cuda_gemm_shape){.name = "the tested product",
                                            .compute_type = gru_cuda_layer_of(p.layer)->compute_type,
                                            .kind = (gru_cuda_gemm_kind)kind,
                                            .inputs = m,
                                            .outputs = n,
                                            .out_stride = (sums ? m : n) + gap * line,
                                            .adds_bias = kind == GRU_CUDA_GEMM_PROJECT && gap % 2 == 0};
    gru_cuda_device *device = gru_cuda_device_of(p.context);
    REQUIRE(gru_cuda_enter(device, &previous) == GRU_OK, "%s", gru_last_error());
    const gru_status status =
        gru_cuda_gemm_create(p.layer, &p.kernel_config, gru_cuda_layer_of(p.layer)->fixed_rows, &p.gemm);
    gru_cuda_leave(device, previous);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    rows = gru_cuda_gemm_rows(p.gemm, rows);
    p.in = make_matrix(p.context, type, rows, m, m + gap * line, 1);
    p.other = sums                            ? make_matrix(p.context, type, rows, n, n + gap * line, 2)
              : kind == GRU_CUDA_GEMM_PROJECT ? make_matrix(p.context, type, n, m, m, 2)
                                              : make_matrix(p.context, type, m, n, n, 2);
    p.bias = make_matrix(p.context, GRU_F32, 1, n, n, 3);
    p.out = make_matrix(p.context, GRU_F32, sums ? n : rows, sums ? m : n, p.kernel_config.out_stride, 4);
    p.memory = must_allocate(p.context, 64 + gru_cuda_gemm_workspace(p.gemm, rows));
    return p;
}

static void close_product(product *p) {
    matrix *const all[] = {&p->in, &p->other, &p->bias, &p->out};
    for (int i = 0; i < 4; i++) {
        gru_free(p->context, all[i]->there);
        free(all[i]->here);
    }
    gru_free(p->context, p->memory);
    gru_cuda_gemm_release(p->layer, p->gemm);
    gru_layer_release(p->layer);
    gru_context_release(p->context);
}

/* out of the first rows, on the host; to be freed. add: to what make_matrix left there. */
static float *multiply(const product *p, int64_t rows, int add) {
    gru_cuda_device *machine = gru_cuda_device_of(p->context);
    const gru_cuda_gemm_args factors = {
        .in = p->in.there,
        .in_stride = p->in.stride,
        .weights = p->other.there,
        .left_stride = p->kernel_config.kind == GRU_CUDA_GEMM_SUM_ROWS ? p->other.stride : 0,
        .bias = p->bias.there,
        .rows = rows,
        .add = add,
        .out = p->out.there,
        .workspace = (char *)p->memory + 64 /* callers promise no more */};
    const uint64_t loaded = emu_loaded(), allocated = emu_allocations();
    int previous;
    send(p->context, &p->out, NULL);
    REQUIRE(gru_cuda_enter(machine, &previous) == GRU_OK, "%s", gru_last_error());
    const gru_status status = gru_cuda_gemm_run(machine, p->gemm, &factors, gru_cuda_stream(NULL));
    gru_cuda_leave(machine, previous);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    CHECK(emu_loaded() == loaded && emu_allocations() == allocated, "%lld rows: it loads or allocates",
          (long long)rows);
    float *all = malloc(bytes_of(&p->out)), *seen = malloc((size_t)(p->out.rows * p->out.row) * sizeof *seen);
    copy(p->context, all, p->out.there, bytes_of(&p->out));
    for (int64_t r = 0; r < p->out.rows; r++) {
        memcpy(seen + r * p->out.row, all + r * p->out.stride, (size_t)p->out.row * sizeof *seen);
        for (int64_t i = p->out.row; i < p->out.stride; i++)
            CHECK(all[r * p->out.stride + i] == 0, "number %lld of row %lld lies between rows", (long long)i,
                  (long long)r);
    }
    free(all);
    return seen;
}

/* ---- sums ---- */

/* Number i of row r of out in double precision; *size: the sum of what it sums. */
static double sum_of(const product *p, int64_t rows, int64_t r, int64_t i, int add, double *size) {
    const matrix *in = &p->in, *other = &p->other;
    const int64_t terms = p->kernel_config.kind == GRU_CUDA_GEMM_SUM_ROWS ? rows : in->row;
    double sum = gru_cuda_gemm_adds_bias(p->gemm) ? (double)p->bias.here[i] : 0;
    if (add) sum = (double)p->out.here[r * p->out.row + i];
    *size = fabs(sum);
    for (int64_t k = 0; k < terms; k++) {
        const double a = p->kernel_config.kind == GRU_CUDA_GEMM_SUM_ROWS ? other->here[k * other->row + r]
                         : p->kernel_config.kind == GRU_CUDA_GEMM_BACK   ? other->here[k * other->row + i]
                                                                         : other->here[i * other->row + k];
        const double b = p->kernel_config.kind == GRU_CUDA_GEMM_SUM_ROWS ? in->here[k * in->row + i]
                                                                         : in->here[r * in->row + k];
        sum += a * b;
        *size += fabs(a * b);
    }
    return sum;
}

/* A sum of K products and one number more in f32, in any order, is off by at most (K + 1) 2^-24 times the size of its
 * terms. */
static void check_numbers(const product *p, int64_t rows, int add) {
    float *seen = multiply(p, rows, add);
    const int sums = p->kernel_config.kind == GRU_CUDA_GEMM_SUM_ROWS;
    const int64_t out_rows = sums ? p->out.rows : rows, terms = sums ? rows : p->in.row;
    const double budget = (double)(terms + 1) * 0x1p-24 + compute_types[p->compute_type].rounding;
    int wrong = 0;
    for (int64_t r = 0; r < out_rows; r++)
        for (int64_t i = 0; i < p->out.row; i++) {
            double size;
            const double exact = sum_of(p, rows, r, i, add, &size), got = (double)seen[r * p->out.row + i];
            if (!(fabs(got - exact) <= budget * size) && !wrong++)
                CHECK(0, "kind %d, %s, %lld inputs, %lld rows: out[%lld][%lld] is %g, expected %g",
                      (int)p->kernel_config.kind, compute_types[p->compute_type].name, (long long)p->in.row,
                      (long long)rows, (long long)r, (long long)i, got, exact);
        }
    CHECK(wrong == 0, "%d numbers are wrong", wrong);
    for (int64_t i = out_rows * p->out.row; !p->gemm->fixed_rows && i < p->out.rows * p->out.row; i++)
        wrong += seen[i] != p->out.here[i];
    CHECK(wrong == 0, "rows past %lld were written", (long long)rows);
    free(seen);
}

TEST(cuda_gemm, sums) {
    static const int64_t sizes[][3] = {{1, 1, 0}, {3, 2, 2}, {5, 4, 0}, {2, 9, 1}};
    static const int64_t counts[] = {1, 2, 3, 5, 8, 17, 64, 100};
    for (int i = 0; i < KINDS * COMPUTE_TYPES; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            product p = open_product(i % KINDS, i / KINDS, 0, sizes[s][0], sizes[s][1], 100, sizes[s][2]);
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) check_numbers(&p, counts[c], 0);
            if (i % KINDS == GRU_CUDA_GEMM_SUM_ROWS) check_numbers(&p, 29, 1);
            close_product(&p);
        }
}

/* A sum goes on from product to product. */
TEST(cuda_gemm, more_rows_than_one_product) {
    for (int kind = 0; kind < KINDS; kind++) {
        product p = open_product(kind, 0, 0, 1, 1, 8192 + 5, 0);
        check_numbers(&p, 8192 + 5, 0);
        close_product(&p);
    }
}

TEST(cuda_gemm, workspace_grows_with_the_rows) {
    for (int kind = 0; kind < KINDS; kind++) {
        product p = open_product(kind, 0, 0, 1, 1, 1, 0);
        size_t before = 0;
        for (int64_t rows = 1; rows < 1 << 20; rows += rows / 2 + 1) {
            const size_t bytes = gru_cuda_gemm_workspace(p.gemm, rows);
            CHECK(bytes >= before && bytes <= (4 << 20) + 256, "%zu bytes for %lld rows, %zu for fewer",
                  bytes, (long long)rows, before);
            before = bytes;
        }
        close_product(&p);
    }
}

/* ---- the flag ---- */

/* The same numbers at other workspace among other rows. */
static void check_invariance(int kind, int compute_type) {
    emu_option.cublaslt_moods &= ~EMU_BLAS_GAPS; /* a layer chooses another number of rows then */
    product p = open_product(kind, compute_type, GRU_BATCH_INVARIANT, 3, 2, 300, 0);
    const int64_t rows = p.in.rows;
    CHECK(rows == 512, "%lld rows are multiplied for 300", (long long)rows);
    float *straight = multiply(&p, 300, 0);
    CHECK(straight[rows * p.out.row - 1] != p.out.here[rows * p.out.row - 1], "the last row was not written");
    check_numbers(&p, rows, 0);
    int64_t *from = malloc((size_t)rows * sizeof *from);
    for (int64_t r = 0; r < rows; r++) from[r] = (r * 37 + 11) % rows; /* 37 and 512 have no common factor */
    send(p.context, &p.in, from);
    float *moved = multiply(&p, rows, 0);
    int differing = 0;
    for (int64_t r = 0; r < rows; r++)
        differing += memcmp(moved + r * p.out.row, straight + from[r] * p.out.row,
                            (size_t)p.out.row * sizeof(float)) != 0;
    CHECK(differing == 0, "%s: %d rows of %lld changed with their place", compute_types[compute_type].name,
          differing, (long long)rows);
    free(straight);
    free(moved);
    free(from);
    close_product(&p);
}

TEST(cuda_gemm, a_row_keeps_its_bits) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        check_invariance(GRU_CUDA_GEMM_PROJECT, compute_type);
        check_invariance(GRU_CUDA_GEMM_BACK, compute_type);
    }
}

/* The sum over a batch is its own, whatever the flag says. */
TEST(cuda_gemm, a_batch_is_summed_as_it_is) {
    product p = open_product(GRU_CUDA_GEMM_SUM_ROWS, 0, GRU_BATCH_INVARIANT, 2, 3, 300, 0);
    CHECK(p.in.rows == 300, "%lld rows are summed for 300", (long long)p.in.rows);
    check_numbers(&p, 300, 0);
    close_product(&p);
}

/* ---- what cuBLASLt lacks ---- */

static gru_context *moody_context(int moods) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CUDA;
    emu_option.cublaslt_moods = moods;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

static void check_backward(const problem *p, result *r) {
    gru_context *reference = tester_context("cpu_reference", 1);
    problem *exact = problem_exact(p);
    result exact_result;
    gradients g, exact_g;
    problem_run(exact, reference, &exact_result);
    gradients_make(p, &g), gradients_make(exact, &exact_g);
    REQUIRE(problem_backward(p, r, 0, &g) == GRU_OK, "%s", gru_last_error());
    REQUIRE(problem_backward(exact, &exact_result, 0, &exact_g) == GRU_OK, "%s", gru_last_error());
    check_gradients_close(p, r->layer, &g, &exact_g);
    gradients_free(&g), gradients_free(&exact_g);
    result_free(&exact_result);
    problem_free(exact);
    gru_context_release(reference);
}

static void refuse_backward(const problem *p, result *r) {
    gradients g;
    gradients_make(p, &g);
    CHECK(problem_backward(p, r, 0, &g) == GRU_UNSUPPORTED &&
              strstr(gru_last_error(), "cuBLASLt has no algorithm"),
          "the sentence is \"%s\"", gru_last_error());
    gradients_free(&g);
}

/* Runs a training problem forward and backward, and expects these words among the reasons. */
static void check_without(int moods, void (*backward)(const problem *p, result *r), const char *words) {
    const shape sizes = {3, 21, 7, 19, "any"};
    const gru_layer_config config = GRU_INIT;
    const int before = emu_option.cublaslt_moods;
    gru_context *context = moody_context(moods);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_TRAIN, 1);
    result r;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    CHECK(strstr(gru_engine_reasons(r.layer, NULL), words), "the reasons are \"%s\", expected \"%s\"",
          gru_engine_reasons(r.layer, NULL), words);
    check_call(p, &r);
    backward(p, &r);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
    emu_option.cublaslt_moods = before;
}

/* Where cuBLASLt has no product in strict f32 that adds a bias, the steps add it. */
TEST(cuda_gemm, without_a_bias) {
    check_without(EMU_BLAS_NO_BIAS, check_backward,
                  "cuBLASLt: the projection has no algorithm that adds the bias");
}

/* More rows than it has algorithms for are several products. */
TEST(cuda_gemm, in_pieces) {
    check_without(EMU_BLAS_GAPS, check_backward,
                  "cuBLASLt: the projection has no algorithm for some numbers of rows");
}

/* Fewer rows than it has algorithms for are filled up. */
TEST(cuda_gemm, in_fixed_rows) {
    check_without(EMU_BLAS_NO_SMALL, check_backward,
                  "cuBLASLt: has no algorithm for few rows: products have 256 rows");
}

/* Without sums over rows there is a forward pass only, and backward says so before it writes anything. */
TEST(cuda_gemm, without_backward) {
    check_without(EMU_BLAS_NO_SUMS, refuse_backward, "cuBLASLt: the gradient of R has no algorithm");
}
