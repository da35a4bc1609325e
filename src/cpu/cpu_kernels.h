/* cpu_kernels.h: the hot loops that every instruction set provides, and the arithmetic they promise.
 *
 * Canonical order, the same bits in all of them: a product is one chain, acc = bias, then acc = fma(w[k], u[k], acc) for
 * k ascending, or a sum of such chains (SUMS_SET); every other operation is rounded once, in the order written in
 * cpu_cell.inl and cpu_kernels.inl. */
#ifndef GRU_CPU_KERNELS_H
#define GRU_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/activation.h"
#include "core/platform.h"
#include "core/step.h"
#include "cpu_layout.h"
#include "cpu_real.h"

enum { MAX_ROWS = 32 }; /* rows of the batch that one call multiplies */

/* Rows of the kernel call that begins at row `first` of `count`; all calls have nearly the same number. */
static inline int32_t gru_cpu_rows_at(int64_t first, int64_t count) {
    const int64_t left = count - first, calls = (left + MAX_ROWS - 1) / MAX_ROWS;
    return (int32_t)(calls <= 1 ? left : (left + calls - 1) / calls);
}

/* How a product sums. SUMS_CHAIN: one chain over all k, from the bias. In gradients each block of SUM_BLOCK values of k is a
 * chain from 0, and the blocks' sums are added in order: to 0, or to what out holds. */
enum { SUMS_CHAIN, SUMS_SET, SUMS_ADD, SUM_BLOCK = 64 };

/* A panel of a weight matrix: gates x 16 outputs. Backward multiplies blocks of 16 outputs in the place of gates. */
typedef struct gru_cpu_panel {
    const void *weights; /* [K][gates][16] */
    const real *bias;    /* [gates][16] of SUMS_CHAIN */
    const float *scales; /* [gates][16] of int8 */
    size_t K;
    size_t lanes;  /* of each gate that have outputs, 1 to 16; the product sets the others to zero */
    size_t ahead;  /* numbers from the input of a row to that of the eighth after, to prefetch; 0: nothing */
    int32_t type;  /* of weights: f32, f16, bf16, int8; f64 */
    int32_t gates; /* 1 to 3 */
    int32_t sums;  /* SUMS_... */
} gru_cpu_panel;

/* Panel `index` of a matrix whose first panel's lanes are the outputs of all panels. pitch: bytes from one panel's weights to
 * the next's. */
static inline gru_cpu_panel gru_cpu_panel_at(const gru_cpu_panel *first, size_t pitch, size_t index) {
    gru_cpu_panel panel = *first;
    panel.weights = (const char *)first->weights + index * pitch;
    panel.bias += index * GATES * PANEL;
    panel.scales += index * GATES * PANEL;
    panel.lanes = first->lanes - index * PANEL < PANEL ? first->lanes - index * PANEL : PANEL;
    return panel;
}

/* A row in 16 bits, for products of pairs. With int8 weights these are integers: number k is values[k] * scale, and scale is NaN
 * if a number of the row is infinite or NaN. */
typedef struct gru_cpu_narrow_row {
    float scale;
    int16_t values[]; /* K, and a zero after an odd K; room for whole lines of PANEL */
} gru_cpu_narrow_row;

static inline size_t gru_cpu_narrow_bytes(size_t K) {
    return gru_size_lines(sizeof(gru_cpu_narrow_row) + (K + PANEL - 1) / PANEL * PANEL * sizeof(int16_t));
}

/* The largest integer of such a row: as large as 16 bits and a sum of K products with int8 in 32 bits allow,
 * 255 at least: layers of int8 weights have K of 65536 at most. */
static inline int32_t gru_cpu_largest_integer(size_t K) {
    const size_t most = INT32_MAX / 128 / (K ? K : 1);
    return most < INT16_MAX ? (int32_t)most : INT16_MAX;
}

/* The variant of the cell, the same for all rows of a call. */
typedef struct gru_cpu_cell {
    int32_t reset_mode, update, gate, candidate;
    real clip, slope;      /* clip 0: none */
    int32_t has_attention; /* rows have attention weights */
    int32_t is_default; /* AFTER, KEEP, sigmoid, tanh, no clip, no attention: specialised at compile time */
    const gru_activation
        *functions; /* [2] f and g, in the place of gate and candidate; NULL: the common cell */
} gru_cpu_cell;

/* Rows of one step. Pointers to whole rows, padded to panels; a is in panels: [P][3][16]. */
typedef struct gru_cpu_rows {
    const real **in; /* [count] what the recurrent product multiplies: the state, [H] */
    real **a;        /* [count] W x + bW */
    real **next;     /* [count] the new state */
    real **z, **rh;  /* [count] BEFORE: update gate and r h, between its two products */
    real **saved;    /* [count] activations saved for backward, [P][4][16]; or NULL: none */
    real *attention; /* [count] */
    int64_t *row;    /* [count] n */
    int64_t count;
    size_t units; /* of the layer */
} gru_cpu_rows;

/* Activations that a step saves for backward, in panels of 16 units. For a sigmoid or tanh without clip, the value; for
 * all else, and in the general cell, the pre-activation, which tells on which side of a kink it was. AUX: c_n with AFTER, a_n + c_n with ALL, r h
 * with BEFORE. */
enum { SAVED_R, SAVED_Z, SAVED_N, SAVED_AUX, SAVED };

/* Gradients of a step's pre-activations, [4][H]. D_RECURRENT is read by the recurrent product only: dc of the candidate
 * with AFTER and ALL; with BEFORE it holds r h, no gradient. D_R, D_Z, D_N: da of r, z, n; for r and z this is also dc. */
enum { D_RECURRENT, D_R, D_Z, D_N, D_GATES };

/* Rows of one backward step. */
typedef struct gru_cpu_backward_rows {
    const real **saved; /* [count] [P][4][16] */
    const real **h;     /* [count] the entering state, [H] */
    const real **dy;    /* [count] [H], each NULL: zeros */
    real **dh;          /* [count] padded: gradient of the leaving, then of the entering state */
    const real **drh;   /* [count] padded to panels: gradient of r h; BEFORE, second half */
    real **d_gates;     /* [count] [4][H], written */
    real **dattention;  /* [count] [P]: each panel's summand of the gradient; or NULL: not wanted */
    real *attention;    /* [count] */
    int64_t *row;       /* [count] n */
    int64_t count;
} gru_cpu_backward_rows;

/* The operands of a streaming step (gru_step.own): the first panels of W and R. */
typedef struct gru_cpu_step {
    gru_cpu_cell cell;
    gru_cpu_panel W, R;
    size_t H;
} gru_cpu_step;

_Static_assert(sizeof(gru_cpu_step) <= GRU_STEP_BYTES, "a step has room for the CPU's");

/* What follows a recurrent product: the cell, or one half of it, for the 16 units from `unit` of rows first .. first +
 * count of a step. c: [count] rows of the product, [gates][16]. */
typedef void (*gru_cpu_epilogue)(const gru_cpu_cell *cell, const gru_cpu_rows *rows, int64_t first,
                                 int32_t count, size_t unit, real *const *c);

/* The cell of each pass, for some activations. */
typedef struct gru_cpu_cell_kernels {
    gru_cpu_epilogue cell;      /* AFTER and ALL: c = R h + bR of r, z, n */
    gru_cpu_epilogue gates;     /* BEFORE, first half: r and z from c of r and z; stores z and r h */
    gru_cpu_epilogue candidate; /* BEFORE, second half: the new state from c = R (r h) + bR of n */

    /* The backward cell, for units [begin, end) of H of all rows; begin is a multiple of 16. reset_gate_backward: the
     * second half of BEFORE. */
    void (*cell_backward)(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                          size_t end, size_t H);
    void (*reset_gate_backward)(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                                size_t end, size_t H);
} gru_cpu_cell_kernels;

/* Products where the processor multiplies two values of k at once. Rows are rounded to 16 bits for them. */
typedef struct gru_cpu_pair_kernels {
    void (*narrow)(const real *row, size_t K, gru_cpu_narrow_row *to);
    /* As gru_cpu_kernels.product, of rows from narrow. */
    void (*product)(const gru_cpu_panel *panel, const gru_cpu_narrow_row *const *in, real *const *out,
                    int32_t rows);
    gru_step_run streaming_step; /* as in gru_cpu_kernels; its workspace has room for the rows of x and h */
} gru_cpu_pair_kernels;

typedef struct gru_cpu_kernels {
    /* out[m][0 .. 16 gates) = the panel times in[m], m < rows, rows <= MAX_ROWS. Not of int8. */
    void (*product)(const gru_cpu_panel *panel, const real *const *in, real *const *out, int32_t rows);
    gru_cpu_cell_kernels common, general; /* general: of cells with functions */

    /* A streaming step, products and cell, of the operands that own points to. AFTER and ALL, without attention; only
     * the common cell. NULL in f64. */
    gru_step_run streaming_step;

    /* to[i pitch + c] = rows[c][first + i], c < count, i < width. */
    void (*transpose)(const real *const *rows, size_t count, size_t first, size_t width, real *to,
                      size_t pitch);
    /* sums[i] += rows[c][i], c ascending, for i in [begin, end). */
    void (*add_rows)(const real *const *rows, size_t count, size_t begin, size_t end, double *sums);

    /* in place, for tests over many numbers; count is a multiple of 16 */
    void (*sigmoid)(real *v, size_t count);
    void (*tanh)(real *v, size_t count);
    void (*activation)(const gru_activation *f, const real *v, real *value, real *slope, size_t count);
} gru_cpu_kernels;

static inline const gru_cpu_cell_kernels *gru_cpu_cell_kernels_of(const gru_cpu_kernels *kernels,
                                                                  const gru_cpu_cell *cell) {
    return cell->functions ? &kernels->general : &kernels->common;
}

extern const gru_cpu_kernels gru_cpu_kernels_scalar;
extern const gru_cpu_kernels gru_cpu_kernels_avx2;
extern const gru_cpu_kernels gru_cpu_kernels_avx512;
extern const gru_cpu_kernels gru_cpu_kernels_neon;

extern const gru_cpu_pair_kernels gru_cpu_int8_scalar, gru_cpu_int8_avx2, gru_cpu_int8_avx512,
    gru_cpu_int8_avx512_vnni, gru_cpu_int8_neon, gru_cpu_bf16_avx512;

#endif
