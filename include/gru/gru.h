/* gru.h: run and train gated recurrent unit layers on CPUs and NVIDIA GPUs.
 *
 *     r  = f(Wr x + bWr + Rr h + bRr)             reset gate     f: sigmoid, hard sigmoid
 *     z  = f(Wz x + bWz + Rz h + bRz)             update gate
 *     n  = g(Wn x + bWn + r * (Rn h + bRn))       candidate      g: tanh, relu, linear; other resets: GRU_RESET_...
 *     h' = (1 - z) * n + z * h                    next state     or (1 - z) * h + z * n: GRU_UPDATE_WRITE
 *
 *   context   a machine: the CPU with its threads, or one CUDA device
 *   layer     the weights of one layer in one direction, packed for a context
 *   run       the data of one call
 *
 * Letters: T steps, N sequences, I inputs, H hidden units. Gates always in the order r, z, n.
 * Every struct here is made with GRU_INIT, which sets it to zero; zero is the default written beside each field.
 * Every function that can fail returns gru_status; on failure nothing that the caller can see was written, and
 * gru_last_error() says which argument, its value and what was expected. Sizes are counted in elements unless the name
 * says bytes. 64-bit little-endian platforms only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_GRU_H
#define GRU_GRU_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define GRU_API
#else
#define GRU_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define GRU_INIT {}
extern "C" {
#else
#define GRU_INIT {0}
#endif

#define GRU_VERSION_MAJOR 0
#define GRU_VERSION_MINOR 2
#define GRU_VERSION_PATCH 0
/* The library that is loaded: major * 10000 + minor * 100 + patch. Never fails. */
GRU_API int32_t gru_version(void);

/* ---- status ---------------------------------------------------------------------------------------------------- */

typedef int32_t gru_status;              /* fixed width: bindings can rely on it */
enum {
    GRU_OK              = 0,
    GRU_BAD_ARGUMENT    = 1,             /* the sentence names it */
    GRU_BAD_DATA        = 2,             /* a file, or lengths, slots, offsets or a loss scale in host memory */
    GRU_UNSUPPORTED     = 3,             /* valid, but no engine here can do it; the sentence says what would */
    GRU_NOT_BUILT       = 4,             /* this library was built without that part: CUDA, files */
    GRU_NO_DEVICE       = 5,             /* no driver, no such device, one that is too old, or no cuBLASLt */
    GRU_OUT_OF_MEMORY   = 6,
    GRU_DEVICE_FAILED   = 7,             /* a launch failed: sentence says whether the context is still usable */
    GRU_IO              = 8
};
/* The name of a status: "GRU_OK" ... Static; "unknown" for anything else. */
GRU_API const char *gru_status_name(gru_status status);
/* The sentence of this thread's latest failure; "" before the first. Valid until this thread's next failure.
 * A call that succeeds leaves it alone. */
GRU_API const char *gru_last_error(void);

/* ---- context --------------------------------------------------------------------------------------------------- */

enum { GRU_BACKEND_AUTO = 0, GRU_BACKEND_CPU = 1, GRU_BACKEND_CUDA = 2 };
enum {
    GRU_ALLOW_TF32     = 1,              /* f32 products on tensor cores: about 3 decimal digits */
    GRU_BATCH_INVARIANT = 2,             /* only engines in which a row's bits do not depend on N; else UNSUPPORTED */
    GRU_SKIP_POINTER_CHECKS = 4,         /* CUDA: runs do not ask of each pointer whether the device can reach it,
                                            which the driver is asked one by one. A wrong one then loses the
                                            context */
    GRU_CHECK_WEIGHTS  = 8               /* training keeps a sum over the packed weights in the reserve, backward
                                            refuses a reserve that was made with others; CUDA: gru_context_check tells,
                                            also of a reserve of another layer or other sizes. Reads all weights twice:
                                            to find mistakes */
};

/* Memory of contexts and layers (never used inside a run). device != 0: CUDA memory of the context's device. */
typedef struct gru_allocator {
    void *(*allocate)(void *user, size_t bytes, size_t alignment, int32_t device);
    void (*release)(void *user, void *memory, size_t bytes, int32_t device);
    void *user;
} gru_allocator;

/* Runs task(argument, 0) ... task(argument, count - 1), some at once, and returns when all are done.
 * The tasks of one call wait for each other, so all count of them must really run at the same time. */
typedef void (*gru_parallel)(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument);

typedef struct gru_context_config {
    int32_t backend;                     /* 0: CUDA if there is a device that works, else CPU */
    int32_t device;                      /* CUDA ordinal; 0 */
    int32_t threads;                     /* CPU; 0: the processors this thread may run on; 1: the calling thread only */
    uint32_t flags;                      /* GRU_ALLOW_TF32 | ... | GRU_CHECK_WEIGHTS */
    gru_allocator allocator;             /* all zero: malloc and cudaMalloc */
    gru_parallel parallel;               /* NULL: threads of the context's own, made here */
    void *parallel_user;
    const char *engine;                  /* NULL: best; else only this one ("cpu_reference", "cpu_avx2", ...) */
    uint64_t reserved[8];                /* 0 */
} gru_context_config;

typedef struct gru_context gru_context;

/* config NULL: all defaults. *context is the caller's, until gru_context_release. Layers and stacks keep their context
 * alive: release in any order. Threads: any. May load libraries and start threads; nothing later does. */
GRU_API gru_status gru_context_create(const gru_context_config *config, gru_context **context);
GRU_API void gru_context_release(gru_context *context);                 /* NULL: nothing */
GRU_API int32_t gru_context_backend(const gru_context *context);        /* what AUTO chose */
/* Waits for the stream, then reports and clears what kernels found wrong in device memory since the last call
 * (lengths above T, slots out of range; what GRU_CHECK_WEIGHTS finds): GRU_BAD_DATA with a sentence. CPU: GRU_OK. */
GRU_API gru_status gru_context_check(gru_context *context, void *stream);

/* Memory that runs of this context can use, for programs that know no CUDA: CPU: 64-byte aligned host memory; CUDA:
 * device memory. copy: either side may be either kind, in stream order (CPU: at once). wait: until the stream is done.
 * None of these belongs between begin and end of a graph capture except copy. */
GRU_API gru_status gru_allocate(gru_context *context, size_t bytes, void **memory);
GRU_API void gru_free(gru_context *context, void *memory);
GRU_API gru_status gru_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream);
GRU_API gru_status gru_wait(gru_context *context, void *stream);

/* ---- layer ----------------------------------------------------------------------------------------------------- */

/* Where the reset gate acts on the candidate. No weights convert one into another.
 *   AFTER   n = g(a_n + r * c_n)            PyTorch, cuDNN, Keras reset_after, ONNX linear_before_reset = 1
 *   BEFORE  n = g(a_n + Rn (r * h) + bRn)   Cho et al. 2014, ONNX's default, Keras reset_after = False
 *   ALL     n = g(r * (a_n + c_n))          Hafner's world models
 * with a = W x + bW and c = R h + bR. */
enum { GRU_RESET_AFTER = 0, GRU_RESET_BEFORE = 1, GRU_RESET_ALL = 2 };
/* KEEP: an open update gate keeps the state (PyTorch, cuDNN, ONNX, Keras). WRITE: it writes the candidate
 * (Chung 2014). */
enum { GRU_UPDATE_KEEP = 0, GRU_UPDATE_WRITE = 1 };
enum { GRU_GATE_SIGMOID = 0, GRU_GATE_HARD_SIGMOID = 1 };
enum { GRU_CANDIDATE_TANH = 0, GRU_CANDIDATE_RELU = 1, GRU_CANDIDATE_LINEAR = 2 };
enum { GRU_FORWARD = 0, GRU_REVERSE = 1 };
enum { GRU_F32 = 0, GRU_F16 = 1, GRU_BF16 = 2, GRU_F64 = 3, GRU_INT8 = 4 };

typedef struct gru_layer_config {
    int32_t inputs;                      /* I >= 0 (0: pre-projected input only) */
    int32_t hidden;                      /* H >= 1 */
    int32_t reset_mode, update, gate, candidate, direction;
    int32_t io_type;                     /* x, y, projected and their gradients: f32, f16, bf16, f64 */
    int32_t state_type;                  /* h0, hT, h_restart and their gradients: f32, or io_type; a 16-bit state makes
                                            the bits depend on how T was cut into calls */
    int32_t weight_type;                 /* W, R as packed: f32, f16, bf16, int8; f64 exactly when io_type is f64 */
    float clip;                          /* pre-activations to [-clip, clip]; 0: no clip */
    float hard_slope;                    /* hard sigmoid: max(0, min(1, slope v + 0.5)); 0: 0.2 (Keras 3: 1/6) */
    uint64_t reserved[8];                /* 0 */
} gru_layer_config;

/* Dense, row-major, gates r, z, n. Read only during the call (on CUDA: until the stream has passed it). */
typedef struct gru_weights {
    const void *W;                       /* [3H][I] */
    const void *R;                       /* [3H][H] */
    const void *bW;                      /* [3H] input bias; NULL: zeros */
    const void *bR;                      /* [3H] recurrent bias; NULL: zeros */
    int32_t type;                        /* of all four: f32, f16, bf16, f64 (GRU_INT8: W, R int8, scales f32) */
    int32_t on_device;                   /* 0: host memory; 1: memory of the context's device */
    const float *W_scale, *R_scale;      /* [3H] each; only with GRU_INT8 */
    uint64_t reserved[4];                /* 0 */
} gru_weights;

typedef struct gru_layer gru_layer;

/* Packs the weights for the best engine of the context's machine; they are not needed afterwards. GRU_UNSUPPORTED with
 * the reason of each engine if none can run the variant. Threads: any; the layer is then read-only. */
GRU_API gru_status gru_layer_create(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                                    gru_layer **layer);
GRU_API void gru_layer_release(gru_layer *layer);                       /* NULL: nothing. No run may be pending */
/* The configuration with every default filled in. */
GRU_API gru_status gru_layer_describe(const gru_layer *layer, gru_layer_config *config);
/* New numbers, same shapes. Allocates nothing. CPU: no run of this layer may be in progress. CUDA: in stream order;
 * runs on other streams are the caller's to order. weights->on_device = 1 can be captured in a graph. */
GRU_API gru_status gru_layer_update(gru_layer *layer, const gru_weights *weights, void *stream);

/* The same packing into the caller's memory (gru_sizes.packed bytes, 64-byte aligned, context's memory), for
 * frameworks in which weights are arguments of each call: give it as gru_run.packed. The layer is not touched. */
GRU_API gru_status gru_layer_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream);

/* ---- run ------------------------------------------------------------------------------------------------------- */

enum { GRU_INFERENCE = 0, GRU_TRAIN = 1, GRU_TRAIN_RECOMPUTE = 2 };

/* Rows of a tensor: element (t, n, i) lies at data[t * time_stride + n * batch_stride + i], counted in elements.
 * batch_stride 0: the row length. time_stride 0: N * batch_stride (time-major). Negative strides are refused: a reverse
 * layer reads backwards itself. Elements aligned, nothing more. */
typedef struct gru_view       { void *data;       int64_t time_stride, batch_stride; } gru_view;
typedef struct gru_const_view { const void *data; int64_t time_stride, batch_stride; } gru_const_view;

typedef struct gru_run {
    int64_t T, N;                        /* 0 allowed: then hT = h0 and nothing else is written */
    int32_t mode;                        /* GRU_INFERENCE */
    int32_t slot_count;                  /* rows in h0 and hT when slots are given */

    gru_const_view x;                    /* [T][N][I] io_type; NULL exactly when projected is given */
    gru_const_view projected;            /* [T][N][3H] io_type: W x + bW, made by the caller; NULL: made here from x */
    gru_view y;                          /* [T][N][H] io_type; NULL: not wanted */
    const void *h0;                      /* [N][H] state_type, or [slot_count][H]; NULL: zeros */
    void *hT;                            /* same shape as h0, may be h0; NULL: not wanted */
    int64_t h0_stride, hT_stride;        /* row to row; 0: H */
    const void *h_restart;               /* [N][H] state_type, dense; NULL: zeros */

    const int32_t *lengths;              /* [N] 0..T; NULL: all T. Past a length h stays and y is zero; 0: hT = h0 */
    const int64_t *offsets;              /* [N+1]: row n's steps are rows offsets[n].. of x and y (time_stride apart),
                                            its length the difference; replaces lengths and batch_stride; NULL: none */
    const int32_t *h0_slots, *hT_slots;  /* [N]: rows of h0 to read, of hT to write; hT_slots distinct; NULL: n */
    gru_const_view restart;              /* [T][N] bytes, strides as for rows of one; non-zero: step t starts a new
                                            segment from h_restart. A forward layer applies it before step t, a reverse
                                            layer on its way from t to t - 1. NULL: none */
    gru_const_view attention;            /* [T][N] f32 (f64 with io f64) w in 0..1: KEEP z <- (1 - w) z,
                                            WRITE z <- 1 - (1 - w)(1 - z) (AUGRU as in DIEN's code). NULL: none */

    const void *packed;                  /* from gru_layer_pack, 64-byte aligned; NULL: the layer's own weights */
    void *workspace;                     /* gru_sizes.workspace bytes, 64-byte aligned, of this call alone */
    size_t workspace_size;
    void *reserve;                       /* training: written by forward, read by backward, any number of times */
    size_t reserve_size;
    void *stream;                        /* cudaStream_t; CPU: NULL */
    uint64_t reserved[8];                /* 0 */
} gru_run;

typedef struct gru_sizes { size_t workspace, backward_workspace, reserve, packed; } gru_sizes;

/* Bytes for any run with T and N at most these, whatever its mode, pointers, strides and options are. */
GRU_API gru_status gru_layer_sizes(const gru_layer *layer, int64_t T, int64_t N, gru_sizes *sizes);

/* Runs the layer over the sequence. x, y and the other tensors may not overlap, with two exceptions: hT may be h0, and
 * tensors of equal strides may be column ranges of one buffer. Checked before anything is written: every field, sizes,
 * alignment, overlap, on the CPU lengths and slots, on CUDA that the device can reach the memory (it clamps lengths,
 * reads zeros for a slot that is none and writes nothing to it: gru_context_check tells). Never checked: that the
 * memory is as large as said, and on CUDA that hT_slots are distinct.
 * Allocates nothing, takes no lock and makes no system call on one thread. Threads: any number at once on one layer,
 * each with its own workspace, reserve and outputs. NaN or infinity in one row stays in that row. */
GRU_API gru_status gru_layer_forward(const gru_layer *layer, const gru_run *run);

enum { GRU_GRAD_DATA = 1, GRU_GRAD_WEIGHTS = 2, GRU_GRAD_OVERWRITE = 4 };   /* OVERWRITE: dW, dR, dbW, dbR are set */

typedef struct gru_gradients {
    uint32_t parts;                      /* 0: both. WEIGHTS alone: after DATA, same run, same workspace, untouched */
    gru_const_view dy;                   /* [T][N][H] io_type; NULL: zeros */
    const void *dhT;                     /* [N][H] state_type, dense; NULL: zeros */
    const float *loss_scale;             /* [1] finite, above 0, in the memory of x (a captured graph can change it);
                                            NULL: 1. dy and dhT are this times the true gradients, so that 16 bits hold
                                            them: dW, dR, dbW, dbR are divided by it before they are added; dx,
                                            dprojected, dattention, dh0, dh_restart stay scaled */
    gru_view dx;                         /* [T][N][I] written; NULL: not wanted */
    gru_view dprojected;                 /* [T][N][3H] written; NULL */
    gru_view dattention;                 /* [T][N] type of attention, written; NULL */
    void *dh0, *dh_restart;              /* [N][H] state_type, dense, written; NULL */
    void *dW, *dR, *dbW, *dbR;           /* shapes of gru_weights, f32 (f64 with io f64); ADDED to; NULL. Of projected
                                            input only dR and dbR exist: W and bW are the caller's */
    uint64_t reserved[8];                /* 0 */
} gru_gradients;

/* run: the one given to gru_layer_forward in a training mode, with a workspace of backward_workspace bytes; x,
 * projected, lengths, restart, attention and reserve unchanged since, and the layer's weights (GRU_CHECK_WEIGHTS finds
 * a layer that was updated in between); h0, y, hT not looked at. May run any number of times. What is written may
 * overlap nothing else of the call, but for column ranges of one buffer. Checked as for gru_layer_forward; a reserve
 * that another layer or other sizes made is refused on the CPU. NaN or infinity in one row of dy or dhT stays in that
 * row of dx, dprojected, dattention, dh0, dh_restart; it reaches dW, dR, dbW, dbR, sums over all rows. dy past a length
 * is not read. */
GRU_API gru_status gru_layer_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients);

/* ---- engines --------------------------------------------------------------------------------------------------- */

/* Names of the engines in this library, fastest first, whether this machine can run them or not; NULL past the last. */
GRU_API const char *gru_engine_at(int32_t index);
/* The engine that gru_layer_forward would use for this run ("" if none: gru_layer_forward would fail), static; and one
 * line for each faster engine that declined, with its reason ("" if none), this thread's until its next call. run NULL:
 * any run. */
GRU_API const char *gru_engine_name(const gru_layer *layer, const gru_run *run);
GRU_API const char *gru_engine_reasons(const gru_layer *layer, const gru_run *run);

#ifdef __cplusplus
}
#endif
#endif
