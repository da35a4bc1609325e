/* problem.h: a layer and all numbers of one call, made from a shape, a variant and a seed; runs and comparisons.
 *
 *     problem *p = problem_make(&tester_shapes[i], &config, PROBLEM_H0 | PROBLEM_LENGTHS, 1);
 *     result fast, exact;
 *     problem_run(p, context, &fast);
 *     problem_run_exact(p, &exact);
 *     check_close(p, fast.layer, "y", fast.y, exact.y);
 *     result_free(&fast), result_free(&exact), problem_free(p);
 *
 * A number depends only on the seed, its tensor and its coordinates (t, n, i), not on strides, slots or batch size. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include "core/activation.h"
#include "tester.h"

enum {
    PROBLEM_LENGTHS = 1 << 0,   /* ragged: the first row whole, the last of several empty */
    PROBLEM_H0 = 1 << 1,        /* else NULL */
    PROBLEM_SEGMENTS = 1 << 2,  /* one step in four starts a segment */
    PROBLEM_H_RESET = 1 << 3,   /* else NULL */
    PROBLEM_ATTENTION = 1 << 4, /* weights in 0..1 */
    PROBLEM_STRIDES = 1 << 5,   /* padded rows, batch-major, first elements misaligned; padded states */
    PROBLEM_SLOTS = 1 << 6,     /* states in a pool, rows out of order */
    PROBLEM_PROJECTED = 1 << 7, /* projected input instead of x */
    PROBLEM_NO_Y = 1 << 8,
    PROBLEM_NO_HT = 1 << 9,
    PROBLEM_TRAIN = 1 << 10,
    PROBLEM_RECOMPUTE = 1 << 11, /* GRU_TRAIN_RECOMPUTE */
    PROBLEM_IN_PLACE = 1 << 12,  /* hT is (a copy of) h0 */
    PROBLEM_NO_BIAS = 1 << 13,
    PROBLEM_PACKED = 1 << 14 /* weights through gru_layer_pack; the layer's own are others */
};

/* Every variant of the equations, 0 .. VARIANTS - 1: 3 resets, 2 updates, sigmoid and both hard sigmoids, 3 candidates,
 * clip or none, both directions. The rest of the configuration is zero. */
enum { VARIANTS = 3 * 2 * 3 * 3 * 2 * 2 };
gru_layer_config problem_variant(int number);

/* Every activation as gate, then every one as candidate, with numbers other than the defaults where it takes some; the rest of
 * the variant varies with the number. */
enum { ACTIVATION_VARIANTS = 2 * GRU_ACTIVATIONS };
gru_layer_config problem_activation(int number);

/* Types that go together, 0 .. TYPES - 1; 0: all f32. From there to CPU_TYPES - 1: all f64, which CPUs have too, so that a
 * quarter of what is drawn is f64. */
enum { TYPES = 9, CPU_TYPES = 12 };
void problem_types(gru_layer_config *config, int number);
/* How many of them the context's engines have. */
int problem_type_count(const gru_context *context);

/* A drawn set of options that may stand together. */
uint32_t problem_options(uint64_t draw);

enum { PROBLEM_BUFFERS = 20 };

typedef struct problem {
    shape shape;
    gru_layer_config config; /* inputs and hidden from the shape */
    uint32_t options;
    uint64_t seed;
    gru_weights weights;
    gru_run run;             /* inputs set; outputs and memory are a result's */
    gru_const_view dy;       /* [T][N][H] for backward */
    void *dhT;               /* [N][H] */
    const float *loss_scale; /* of dy and dhT; NULL: 1 */
    /* The position in the whole problem (problem_slice), and the types to which the numbers were rounded. */
    int64_t t0, n0, whole_T, whole_N;
    int32_t io_type, state_type, weight_type;
    struct {
        void *data;
        size_t bytes;
    } buffers[PROBLEM_BUFFERS];
    int buffer_count;
    char text[512]; /* for failures: sizes, reason of the shape, variant, options */
} problem;

/* config: the variant and the types; weights are of weight_type (int8: with a scale for each row), uniform in +-1/sqrt(H): contracting. */
problem *problem_make(const shape *sizes, const gru_layer_config *config, uint32_t options, uint64_t seed);
/* The same numbers, as rounded to p's types, held in f64 and without strides, slots and aliases: for the reference. */
problem *problem_exact(const problem *p);
/* Steps t0 .. t0 + T - 1 of rows n0 .. n0 + N - 1 of p. h0 is that of the whole: a later part needs another. */
problem *problem_slice(const problem *p, int64_t t0, int64_t T, int64_t n0, int64_t N);
/* Two walks that tests of forward and of backward share; number: 0 .. one less than the walk's length. draw: of types, variant
 * and numbers. options: of problem_make.
 *   variants: every variant on a small shape four times, first in f32, then in drawn types, every second time with attention
 *   shapes:   draws drawn variants on each of tester_shapes, the first of them the default, every second in drawn types
 * types: from how many types to draw. */
enum { VARIANT_WALK = 4 * VARIANTS };
problem *problem_of_variants(int number, int types, uint64_t draw, uint32_t options);
problem *problem_of_shapes(int number, int types, int draws, uint64_t draw, uint32_t options);
/* Other options over the same numbers. */
problem *problem_with(const problem *p, uint32_t options);
void problem_free(problem *p);

/* Copies dense [N][H] state_type numbers to h0. */
void problem_set_h0(problem *p, const void *states);

/* The outputs of a layer, and all memory of the call. */
typedef struct result {
    void *y;  /* [T][N][H] io_type, dense whatever the strides; NULL: not wanted */
    void *hT; /* [N][H] state_type, dense, by row whatever the slots; NULL: not wanted */
    gru_layer *layer;
    gru_run run; /* as it was given */
    gru_sizes sizes;
    void *buffers[6]; /* workspace, reserve, packed, y, hT, backward workspace */
} result;

/* A layer on the context and guarded memory, NaN at first, of exactly the sizes it asks for. On failure out is empty. */
gru_status problem_open(const problem *p, gru_context *context, result *out);
/* Fresh outputs for r->run; problem_call does it by itself. */
void problem_renew_outputs(const problem *p, result *out);
/* Runs the opened layer with fresh outputs. Checks what every run must keep: guards, inputs, padding, zeros past lengths. */
gru_status problem_call(const problem *p, result *out);
/* Both; ends the test if either fails. */
void problem_run(const problem *p, gru_context *context, result *out);
/* The reference engine on problem_exact(p). */
void problem_run_exact(const problem *p, result *out);
void result_free(result *r);

/* Gradients of a training result, dense. io_type: dx, dprojected; state_type: dh0, dh_restart; the others f32, or f64 with
 * io_type f64. Sizes in elements. */
enum {
    GRAD_X,
    GRAD_PROJECTED,
    GRAD_ATTENTION,
    GRAD_H0,
    GRAD_H_RESET,
    GRAD_W,
    GRAD_R,
    GRAD_BW,
    GRAD_BR,
    GRADS
};
typedef struct gradients {
    void *data[GRADS]; /* NULL: the problem has none */
    size_t count[GRADS];
    int32_t type[GRADS];
} gradients;

extern const char *const gradient_names[GRADS];
/* Buffers of NaN, those of weights zero. */
void gradients_make(const problem *p, gradients *g);
void gradients_free(gradients *g);
/* The arguments of such a call; the workspace becomes one of the result's. */
void problem_backward_call(const problem *p, result *r, uint32_t parts, const gradients *g, gru_run *run,
                           gru_gradients *wanted);
/* Checks that inputs and reserve are not written, nor anything outside the workspace. */
gru_status problem_backward(const problem *p, result *r, uint32_t parts, gradients *g);

/* The budget for an output of p from this layer: how far it may be from the exact value. From arithmetic: a chain of I + H
 * products errs like a random walk, 8 more roundings lie in the cell, and a contracting layer forgets them; to this comes
 * what an engine loses that rounds the operands of its products, and half an ulp of a 16-bit output. layer: for its
 * engine's arithmetic; NULL: f32, nothing rounded before a product. largest: of the exact values, 1 at least. */
double problem_budget(const problem *p, const gru_layer *layer, int32_t type, double exact, double largest);

/* One check each. what: "y" or "hT", whose sizes and type the problem knows. layer: that made `got`, as above. */
void check_close(const problem *p, const gru_layer *layer, const char *what, const void *got,
                 const void *exact);
/* Every gradient of training problem p, exact those of problem_exact(p): data gradients within 4 budgets of an output,
 * relative to the largest; those of weights by the norm of the difference, eps (2 sqrt(T N) + 8) of theirs and what
 * rounded operands of the forward run cost. layer: that made the reserve. */
void check_gradients_close(const problem *p, const gru_layer *layer, const gradients *got,
                           const gradients *exact);
/* Calls the opened layer and compares y and hT with the exact reference. */
void check_call(const problem *p, result *r);
/* The same on a layer of its own. 0 if the context's engines run no such layer. */
int check_problem(const problem *p, gru_context *context);
/* Training problem p: what the context's engine keeps is enough for the reference's backward, and right. */
void check_saved(const problem *p, gru_context *context);
void check_same_bits(const problem *p, const char *what, const void *a, const void *b);
/* Arrays of count numbers; NaN equals NaN whatever its payload. */
void check_same_array(const char *what, const char *where, int32_t type, const void *a, const void *b,
                      size_t count);
/* All gradients that a has, b has too, to the bit. */
void check_same_gradients(const problem *p, const gradients *a, const gradients *b);

#endif
