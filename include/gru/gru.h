/** @file gru.h
 * Runs and trains gated recurrent unit (GRU) layers on CPUs and NVIDIA GPUs.
 *
 *     r  = f(Wr x + bWr + Rr h + bRr)             reset gate     f: sigmoid, or another of GRU_ACTIVATION_...
 *     z  = f(Wz x + bWz + Rz h + bRz)             update gate
 *     n  = g(Wn x + bWn + r * (Rn h + bRn))       candidate      g: tanh, or another; other forms: GRU_RESET_...
 *     h' = (1 - z) * n + z * h                    next state     or (1 - z) * h + z * n: GRU_UPDATE_WRITE
 *
 * Three objects:
 *
 *     context   a device: the CPU with its threads, or one CUDA device
 *     layer     the weights of one layer in one direction, packed for a context
 *     run       the data of one call
 *
 * An engine is one way to run a layer on a device, such as cpu_avx2; the library chooses it. The workspace is
 * scratch memory for one call. The reserve is what a training forward pass saves for the backward pass. The caller
 * provides both; gru_layer_sizes() tells their sizes.
 *
 * Letters: T steps, N sequences, I inputs, H hidden units. The order of the gates is always r, z, n.
 *
 * Rules for all functions:
 * - Initialise every struct with GRU_INIT, which sets all bytes to zero. Zero selects the default of each field.
 * - Every function that can fail returns a gru_status. After a failure, gru_last_error() names the argument, its
 *     value and what was expected. A failed call has written nothing that the caller can see.
 * - Sizes are counted in elements unless the name says bytes.
 * - The library supports 64-bit little-endian platforms only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_GRU_H
#define GRU_GRU_H

#include <stddef.h>
#include <stdint.h>

#define GRU_API __attribute__((visibility("default"))) /**< Marks the functions that the library exports. */

#ifdef __cplusplus
#define GRU_INIT {}                      /**< Initialiser of every struct: all bytes zero. */
extern "C" {
#else
#define GRU_INIT {0}                     /**< Initialiser of every struct: all bytes zero. */
#endif

#define GRU_VERSION_MAJOR 0              /**< Version of this header. */
#define GRU_VERSION_MINOR 3              /**< Before 1.0 a new minor version may change the API. */
#define GRU_VERSION_PATCH 0              /**< A new patch version changes no API. */
/** Returns the version of the loaded library: major * 10000 + minor * 100 + patch. Never fails. */
GRU_API int32_t gru_version(void);

/* ---- status ---------------------------------------------------------------------------------------------------- */

typedef int32_t gru_status;              /**< Result of a call: GRU_OK, or the kind of failure. */
/** The values of gru_status. */
enum {
    GRU_OK              = 0,
    GRU_BAD_ARGUMENT    = 1,             /**< An argument is wrong; the error sentence names it. */
    GRU_BAD_DATA        = 2,             /**< A file is wrong, or lengths, slots or a loss scale in host memory are. */
    GRU_UNSUPPORTED     = 3,             /**< Valid, but no engine here can run it; the sentence gives the reasons. */
    GRU_NOT_BUILT       = 4,             /**< The library was built without this part: CUDA, or files. */
    GRU_NO_DEVICE       = 5,             /**< Driver, device or cuBLASLt is missing, or has a wrong version. */
    GRU_OUT_OF_MEMORY   = 6,             /**< An allocation failed. */
    GRU_DEVICE_FAILED   = 7,             /**< A CUDA call failed; the sentence says if the context is still usable. Or
                                              GRU_CHECK_DEVICE found a wrong result. */
    GRU_IO              = 8              /**< The system refused a read or write; the sentence gives its reason. */
};
/** Returns the name of a status, such as "GRU_OK"; "unknown" for any other value. The string is static. */
GRU_API const char *gru_status_name(gru_status status);
/** Returns the error sentence of this thread's latest failure, or "" before the first. It stays valid until the
 * thread's next failure. Successful calls do not change it. */
GRU_API const char *gru_last_error(void);

/* ---- context --------------------------------------------------------------------------------------------------- */

/** Kinds of device. */
enum { GRU_BACKEND_AUTO = 0, GRU_BACKEND_CPU = 1, GRU_BACKEND_CUDA = 2 };
/** Flags of a context. */
enum {
    GRU_ALLOW_TF32          = 1,         /**< Multiply f32 on tensor cores, with about 3 decimal digits. */
    GRU_BATCH_INVARIANT     = 2,         /**< Use only engines in which a row's bits depend neither on N nor on how its
                                              steps are cut into calls. On CPUs all are such. */
    GRU_SKIP_POINTER_CHECKS = 4,         /**< CUDA: do not ask the driver whether the device can reach each pointer.
                                              An invalid pointer then destroys the CUDA context. */
    GRU_CHECK_WEIGHTS       = 8,         /**< Debugging: store a checksum of the weights in the reserve. Backward then
                                              refuses a reserve that was made with other weights; on CUDA,
                                              gru_context_check() reports it. Costs one more reading of all
                                              weights in forward and one in backward. */
    GRU_ALLOW_BF16          = 32,        /**< CPU, inference, weight_type bf16: round x and h to bf16 for the products
                                              where the processor multiplies pairs of bf16 (AVX512_BF16). From 8 rows
                                              on nearly twice as fast. Bits then depend on the processor, but neither
                                              on rows, threads nor cuts of the sequence. Subnormal numbers become
                                              zeros in products. */
    GRU_CHECK_DEVICE        = 16         /**< CUDA: before the context is made, run small layers forward and backward
                                              and compare them with the CPU's reference: each engine, each arithmetic.
                                              GRU_DEVICE_FAILED names what differs. Once per device and process.
                                              GRU_BACKEND_AUTO always does. CPU: nothing. */
};

/** Allocator for the memory of contexts and layers. Runs never allocate. */
typedef struct gru_allocator {
    /** Returns bytes of memory, or NULL. device 0: host memory; else CUDA memory of the context's device. */
    void *(*allocate)(void *user, size_t bytes, size_t alignment, int32_t device);
    /** Takes back what allocate returned, with the same bytes and device. */
    void (*release)(void *user, void *memory, size_t bytes, int32_t device);
    void *user;                          /**< First argument of both functions. */
} gru_allocator;

/** Runs task(argument, 0) ... task(argument, count - 1), each once, and returns when all have returned.
 * The pool may run them at once or one after the other, in any order, on any threads, the caller's too: a task takes
 * work that no other has begun, and waits only for tasks that run. Tasks that run at the same time make a call faster.
 * If the pool leaves tasks out, the others do their work; if it runs none, the calling thread does all. No task may
 * run after the function has returned. */
typedef void (*gru_parallel)(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument);

/** How to create a context. */
typedef struct gru_context_config {
    int32_t backend;                     /**< GRU_BACKEND_...; AUTO: CUDA if there is a usable device that passes the
                                              check of GRU_CHECK_DEVICE, else the CPU. */
    int32_t device;                      /**< CUDA device ordinal. */
    int32_t threads;                     /**< CPU threads. 0: as many as processors it may use, by its affinity and
                                              the quota of its control groups when the context is created, rounded
                                              down. 1: the caller only. If the system refuses threads (RLIMIT_NPROC),
                                              the context has fewer: gru_context_threads() tells. */
    uint32_t flags;                      /**< GRU_ALLOW_TF32 | ... | GRU_ALLOW_BF16. */
    gru_allocator allocator;             /**< All zero: malloc and cudaMalloc. */
    gru_parallel parallel;               /**< Thread pool of the caller; NULL: the context starts its own threads. */
    void *parallel_user;                 /**< First argument of parallel. */
    const char *engine;                  /**< Use only this engine, such as "cpu_reference"; NULL: the best one. */
    uint64_t reserved[8];                /**< Zero. */
} gru_context_config;

typedef struct gru_context gru_context;  /**< A device with its threads and memory. */

/** Creates a context. config NULL: all defaults. The caller releases it. Layers and stacks keep their context alive,
 * so the order of releases does not matter. May load libraries and start threads; no later call does. Threads: any
 * number of threads may use one context at once. A call that finds the context's threads busy runs on the calling
 * thread alone.
 *
 * The context's own threads sleep between calls. A call wakes them but does not wait for them: it does the work that
 * they have not begun. After a call that they slowed down, because other programs had their processors, calls run alone
 * for a while. The threads start with the scheduling class of the one that creates the context. They run with the
 * floating-point mode of each call's caller and are kept off its processor, unless the application sets their affinity.
 * A real-time thread never spins for longer than some 50 us, but it waits for a thread of lower class that has begun a
 * part: give such a thread a context of its own, with threads = 1. A child made by fork, _Fork or clone runs alone. */
GRU_API gru_status gru_context_create(const gru_context_config *config, gru_context **context);
GRU_API void gru_context_release(gru_context *context);                 /**< Releases a context. NULL: does nothing. */
GRU_API int32_t gru_context_backend(const gru_context *context);        /**< Returns the backend that AUTO selected. */
/** Returns on how many threads runs of a CPU context can be: config.threads, or fewer if the system gave fewer. 0: it
 * is no CPU context. */
GRU_API int32_t gru_context_threads(const gru_context *context);
/** Waits for the stream, then reports and clears what kernels found wrong in device memory since the last call: lengths
 * above T, wrong offsets, batch sizes and orders, slots out of range, findings of GRU_CHECK_WEIGHTS. Returns
 * GRU_BAD_DATA if there was any. CPU: GRU_OK. */
GRU_API gru_status gru_context_check(gru_context *context, void *stream);

/** Allocates memory that runs of this context can use, for programs without CUDA code. CPU: host memory, aligned to 64
 * bytes. CUDA: device memory. */
GRU_API gru_status gru_allocate(gru_context *context, size_t bytes, void **memory);
GRU_API void gru_free(gru_context *context, void *memory);              /**< Frees it. NULL: does nothing. */
/** Copies bytes between any two kinds of memory. CUDA: in stream order, also inside a graph capture. CPU: at once. */
GRU_API gru_status gru_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream);
GRU_API gru_status gru_wait(gru_context *context, void *stream);        /**< Waits until the stream is done. */

/* ---- layer ----------------------------------------------------------------------------------------------------- */

/** Where the reset gate acts on the candidate. Weights for one mode cannot be converted to another.
 *
 *     AFTER   n = g(a_n + r * c_n)            PyTorch, cuDNN, Keras reset_after, ONNX linear_before_reset = 1
 *     BEFORE  n = g(a_n + Rn (r * h) + bRn)   Cho et al. 2014, ONNX's default, Keras reset_after = False
 *     ALL     n = g(r * (a_n + c_n))          Hafner's world models
 *
 * with a = W x + bW and c = R h + bR. */
enum { GRU_RESET_AFTER = 0, GRU_RESET_BEFORE = 1, GRU_RESET_ALL = 2 };
/** What z = 1 does. KEEP: it keeps the state (PyTorch, cuDNN, ONNX, Keras). WRITE: it writes the candidate (Chung et
 * al. 2014). */
enum { GRU_UPDATE_KEEP = 0, GRU_UPDATE_WRITE = 1 };
/** Activation f of the gates. */
enum { GRU_GATE_SIGMOID = 0, GRU_GATE_HARD_SIGMOID = 1 };
/** Activation g of the candidate. */
enum { GRU_CANDIDATE_TANH = 0, GRU_CANDIDATE_RELU = 1, GRU_CANDIDATE_LINEAR = 2 };
/** Further activations, for gate and for candidate; docs/variants.md has their formulas. Some take numbers, alpha and
 * beta, from fields of the configuration; in brackets is what a 0 stands for. Numbers are finite; alpha is not
 * negative except for AFFINE and SCALED_TANH. A function that has another constant above is the same under both. On
 * CPUs the functions above are faster. */
enum {
    GRU_ACTIVATION_SIGMOID          = 16, /**< GRU_GATE_SIGMOID */
    GRU_ACTIVATION_HARD_SIGMOID     = 17, /**< max(0, min(1, alpha v + beta)) [0.2, 0.5] */
    GRU_ACTIVATION_TANH             = 18, /**< GRU_CANDIDATE_TANH */
    GRU_ACTIVATION_RELU             = 19, /**< GRU_CANDIDATE_RELU */
    GRU_ACTIVATION_LINEAR           = 20, /**< GRU_CANDIDATE_LINEAR */
    GRU_ACTIVATION_AFFINE           = 21, /**< alpha v + beta [1, 0] */
    GRU_ACTIVATION_LEAKY_RELU       = 22, /**< v, below 0 alpha v [0.01] */
    GRU_ACTIVATION_THRESHOLDED_RELU = 23, /**< v above alpha, else 0 [1] */
    GRU_ACTIVATION_SCALED_TANH      = 24, /**< alpha tanh(beta v) [1, 1] */
    GRU_ACTIVATION_ELU              = 25, /**< v, below 0 alpha (exp(v) - 1) [1] */
    GRU_ACTIVATION_SOFTSIGN         = 26, /**< v / (1 + |v|) */
    GRU_ACTIVATION_SOFTPLUS         = 27, /**< log(1 + exp(v)) */
    GRU_ACTIVATION_SELU             = 28, /**< 1.0507 v, below 0 1.7581 (exp(v) - 1) */
    GRU_ACTIVATION_SILU             = 29, /**< v sigmoid(v), also called swish */
    GRU_ACTIVATION_GELU             = 30, /**< v (1 + erf(v / sqrt(2))) / 2 */
    GRU_ACTIVATION_GELU_TANH        = 31, /**< v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))) / 2 */
    GRU_ACTIVATION_EXPONENTIAL      = 32, /**< exp(v) */
    GRU_ACTIVATION_RELU6            = 33, /**< max(0, min(6, v)) */
    GRU_ACTIVATION_HARD_TANH        = 34, /**< max(-1, min(1, v)) */
    GRU_ACTIVATION_HARD_SILU        = 35, /**< v max(0, min(1, v / 6 + 0.5)), also called hard swish */
    GRU_ACTIVATION_MISH             = 36  /**< v tanh(log(1 + exp(v))) */
};
/** Direction of a layer: from the first step to the last, or from the last to the first. */
enum { GRU_FORWARD = 0, GRU_REVERSE = 1 };
/** Number types. GRU_INT8 is a type of weights only, with a scale for each row: gru_weights.type and weight_type. */
enum { GRU_F32 = 0, GRU_F16 = 1, GRU_BF16 = 2, GRU_F64 = 3, GRU_INT8 = 4 };

/** What a layer computes, and in which number types. */
typedef struct gru_layer_config {
    int32_t inputs;                      /**< I, at least 0. 0: the layer takes only projected input. */
    int32_t hidden;                      /**< H, at least 1. */
    int32_t reset_mode;                  /**< GRU_RESET_... */
    int32_t update;                      /**< GRU_UPDATE_... */
    int32_t gate;                        /**< GRU_GATE_... or GRU_ACTIVATION_... */
    int32_t candidate;                   /**< GRU_CANDIDATE_... or GRU_ACTIVATION_... */
    int32_t direction;                   /**< GRU_FORWARD or GRU_REVERSE. */
    int32_t io_type;                     /**< Type of x, y, projected and their gradients: f32, f16, bf16 or f64. */
    int32_t state_type;                  /**< Type of h0, hT, h_restart and their gradients: f32, or io_type. With 16
                                              bits the results depend on how T is cut into calls. */
    int32_t weight_type;                 /**< Type of packed W and R: f32, f16, bf16; f64 exactly if io_type is f64.
                                              GRU_INT8: CPU, GRU_INFERENCE, I and H at most 65536. Other weights are
                                              rounded: scale of a row = largest magnitude / 127. docs/variants.md has
                                              the error. */
    float clip;                          /**< Clip pre-activations to [-clip, clip]. 0: no clip. */
    float hard_slope;                    /**< GRU_GATE_HARD_SIGMOID: max(0, min(1, slope v + 0.5)). 0: 0.2; Keras 3 has
                                              1/6. */
    float gate_alpha;                    /**< alpha of a GRU_ACTIVATION_... as gate. 0: its default. Functions without
                                              alpha: 0. */
    float gate_beta;                     /**< The same for beta; also of GRU_GATE_HARD_SIGMOID, in the place of 0.5. */
    float candidate_alpha;               /**< The same for the candidate. */
    float candidate_beta;                /**< The same for the candidate. */
    uint64_t reserved[6];                /**< Zero. */
} gru_layer_config;

/** Weights of a layer: dense, row-major, gates in the order r, z, n. Read only during the call; on CUDA, until the
 * stream has executed it. */
typedef struct gru_weights {
    const void *W;                       /**< [3H][I] input weights. */
    const void *R;                       /**< [3H][H] recurrent weights. */
    const void *bW;                      /**< [3H] input bias. NULL: zeros. */
    const void *bR;                      /**< [3H] recurrent bias. NULL: zeros. */
    int32_t type;                        /**< Type of all four: f32, f16, bf16, f64. GRU_INT8: W, R int8, biases f32. */
    int32_t on_device;                   /**< 0: host memory. 1: memory of the context's device. */
    const float *W_scale;                /**< [3H] scale of each row of W; only with GRU_INT8. */
    const float *R_scale;                /**< [3H] scale of each row of R; only with GRU_INT8. */
    uint64_t reserved[4];                /**< Zero. */
} gru_weights;

typedef struct gru_layer gru_layer;      /**< The packed weights of one layer in one direction. */

/** Creates a layer and packs its weights, which are not needed afterwards. weights NULL: the layer has none, and each
 * run gives its own as gru_run.packed. GRU_UNSUPPORTED with the reason of each engine if none can run the variant.
 * GRU_BAD_DATA, here and where weights are packed later, names a finite weight in host memory that weight_type cannot
 * hold, such as 70000 in f16; for GRU_INT8 also infinity, NaN, and such a scale. Scales may be 0 or negative, and
 * up to 2^96 in a layer of int8 weights. The caller releases the layer. Threads: any number may use it at once. */
GRU_API gru_status gru_layer_create(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                                    gru_layer **layer);
GRU_API void gru_layer_release(gru_layer *layer);                       /**< NULL: nothing. No run may be pending. */
/** Returns the layer's configuration with every default filled in. */
GRU_API gru_status gru_layer_describe(const gru_layer *layer, gru_layer_config *config);
/** Replaces the weights by others of the same shapes. Allocates nothing. CPU: no run of the layer may be in progress.
 * CUDA: in stream order; the caller orders runs on other streams. With on_device = 1 it can be captured in a graph. */
GRU_API gru_status gru_layer_update(gru_layer *layer, const gru_weights *weights, void *stream);
/** Packs weights into the caller's memory: gru_sizes.packed bytes, aligned to 64, of the context. Does not change the
 * layer. For frameworks in which weights are arguments of each call: pass the result as gru_run.packed. */
GRU_API gru_status gru_layer_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream);

/** Weights to write: dense, row-major, gates in the order r, z, n, in host memory. */
typedef struct gru_weights_out {
    void *W;                             /**< [3H][I] NULL: not wanted. */
    void *R;                             /**< [3H][H] NULL: not wanted. */
    void *bW;                            /**< [3H] NULL: not wanted. */
    void *bR;                            /**< [3H] NULL: not wanted. */
    int32_t type;                        /**< Type of all four: f32 or f64. GRU_INT8, only of a layer of that
                                              weight_type: W, R int8, biases f32. */
    float *W_scale;                      /**< [3H] scale of each row of W; only with GRU_INT8. NULL: not wanted. */
    float *R_scale;                      /**< [3H] scale of each row of R; only with GRU_INT8. NULL: not wanted. */
    uint64_t reserved[4];                /**< Zero. */
} gru_weights_out;
/** Reads the weights that the layer holds: rounded to weight_type, and to TF32 if the layer multiplies so. With
 * GRU_INT8 they are the layer's own integers: a layer that is given them has the same bits. CUDA: waits for the stream,
 * and copies through host memory that it allocates. */
GRU_API gru_status gru_layer_read(const gru_layer *layer, const gru_weights_out *weights, void *stream);

/* ---- run ------------------------------------------------------------------------------------------------------- */

/** Modes of a forward pass. TRAIN saves activations for the backward pass; TRAIN_RECOMPUTE saves only states, and
 * backward computes the activations again. */
enum { GRU_INFERENCE = 0, GRU_TRAIN = 1, GRU_TRAIN_RECOMPUTE = 2 };

/** What y holds at a step that a row does not have, because of lengths or a mask. */
enum {
    GRU_ABSENT_ZERO = 0,                 /**< Zeros. */
    GRU_ABSENT_LAST = 1                  /**< The latest output in the order in which the layer visits the steps; zeros
                                              before the first one of the call. As Keras does. */
};

/** A tensor that is written. Element (t, n, i) is data[t * time_stride + n * batch_stride + i], in elements.
 * batch_stride 0: the length of a row. time_stride 0: N * batch_stride, that is time-major. Strides may not be
 * negative. data must be aligned for its element type. */
typedef struct gru_view {
    void *data;                          /**< First element, or NULL. */
    int64_t time_stride;                 /**< Elements from a step to the next. */
    int64_t batch_stride;                /**< Elements from a sequence to the next. */
} gru_view;
/** A tensor that is read; otherwise as gru_view. */
typedef struct gru_const_view {
    const void *data;                    /**< First element, or NULL. */
    int64_t time_stride;                 /**< Elements from a step to the next. */
    int64_t batch_stride;                /**< Elements from a sequence to the next. */
} gru_const_view;

/** The data of one call. All pointers refer to memory of the context; the caller owns all of it. */
typedef struct gru_run {
    int64_t T;                           /**< Steps. 0: hT = h0, and nothing else is written. */
    int64_t N;                           /**< Sequences. 0: nothing is written. */
    int32_t mode;                        /**< GRU_INFERENCE, GRU_TRAIN or GRU_TRAIN_RECOMPUTE. */
    int32_t slot_count;                  /**< Rows of h0 and hT with slots. Without h0_slots and hT_slots: 0. */

    gru_const_view x;                    /**< [T][N][I] io_type. NULL exactly when projected is given. */
    gru_const_view projected;            /**< [T][N][3H] io_type: W x + bW, computed by the caller. NULL: from x. */
    gru_view y;                          /**< [T][N][H] io_type: the state after each step. NULL: not wanted. */
    const void *h0;                      /**< [N][H] or [slot_count][H] state_type: initial state. NULL: zeros. */
    void *hT;                            /**< Shape of h0: last state. May be h0. NULL: not wanted. */
    int64_t h0_stride;                   /**< Elements from a row of h0 to the next. 0: H. */
    int64_t hT_stride;                   /**< Elements from a row of hT to the next. 0: H. */
    const void *h_restart;               /**< [N][H] state_type, dense: state of a new segment. NULL: zeros. */

    const int32_t *lengths;              /**< [N] steps of each sequence, 0..T. NULL: all T. After its length, h stays
                                              and y is as absent_output says. With length 0, hT = h0. At most one of
                                              lengths, mask, offsets and batch_sizes may be given. */
    gru_const_view mask;                 /**< [T][N] bytes, a view whose rows have one element. 0: the sequence has no
                                              such step. Any pattern. It is as if the step were not there: h stays, y
                                              is as absent_output says, x, restart, attention and dy of it are not
                                              read, and its gradients are zero. NULL: by lengths. */
    int32_t absent_output;               /**< GRU_ABSENT_... of y. Gradients are those of GRU_ABSENT_ZERO: dy is not
                                              read at absent steps. */
    const int64_t *offsets;              /**< [N+1] ragged batch, one sequence after the other: the views above and
                                              those of gradients have no absent steps. Step t of sequence n is row
                                              offsets[n] + t: element i is data[row * time_stride + i], and batch_stride
                                              must be 0. Ascending from 0 to ragged_rows, each length at most T. Other
                                              numbers, and all bits, as of the same batch with lengths. NULL: no. */
    const int64_t *batch_sizes;          /**< [T] ragged batch, one step after the other: number of sequences that have
                                              step t, descending, N at most. Longer sequences come first. Views as
                                              with offsets. PyTorch's PackedSequence, copied to the memory of x. */
    const int64_t *batch_order;          /**< [N] with batch_sizes: the sequence that is number i of the tensors, each
                                              once: PackedSequence.sorted_indices. States, slots and their gradients
                                              are in the order of sequences. NULL: i. */
    int64_t ragged_rows;                 /**< Rows of a ragged batch, at most T times N. Else 0. */
    const int32_t *h0_slots;             /**< [N] row of h0 that each sequence reads. NULL: row n. */
    const int32_t *hT_slots;             /**< [N] row of hT that each sequence writes; distinct. NULL: row n. */
    gru_const_view restart;              /**< [T][N] bytes, a view whose rows have one element. Non-zero: h_restart
                                              replaces the state: in forward layers before step t, in
                                              reverse layers after step t, that is before t - 1. NULL:
                                              never. */
    gru_const_view attention;            /**< [T][N] f32 (f64 if io_type is): weight w in 0..1 of each step, as in DIEN
                                              (AUGRU). KEEP: z <- (1 - w) z. WRITE: z <- 1 - (1 - w)(1 - z).
                                              NULL: none. */

    const void *packed;                  /**< Weights from gru_layer_pack(), aligned to 64. NULL: the layer's own, if
                                              it was created with weights. */
    void *workspace;                     /**< Scratch memory of this call alone, aligned to 64. Size: gru_sizes. One
                                              buffer may serve forward and backward, if it has the larger size. */
    size_t workspace_size;               /**< Bytes of the workspace. */
    void *reserve;                       /**< Training: forward writes it, backward reads it any number of times. */
    size_t reserve_size;                 /**< Bytes of the reserve, at least what gru_sizes says for the mode. */
    void *stream;                        /**< cudaStream_t. CPU: NULL. */
    uint64_t reserved[8];                /**< Zero. */
} gru_run;

/** Bytes that calls need. No size shrinks when T or N grows. */
typedef struct gru_sizes {
    size_t workspace;                    /**< Workspace of gru_layer_forward(). */
    size_t backward_workspace;           /**< Workspace of gru_layer_backward(). */
    size_t reserve;                      /**< Reserve, written by forward and read by backward. Of a layer: A + B T N
                                              bytes, where A and B do not depend on T and N. */
    size_t packed;                       /**< Packed weights, for gru_layer_pack(). */
    size_t reserve_recompute;            /**< Reserve with GRU_TRAIN_RECOMPUTE: likewise, and not more than reserve. */
} gru_sizes;

/** Returns the bytes that any run with at most T steps and N sequences needs, whatever its mode and options. */
GRU_API gru_status gru_layer_sizes(const gru_layer *layer, int64_t T, int64_t N, gru_sizes *sizes);

/** Allocates what a run with run->T, N and mode needs, and sets its workspace, reserve and their sizes. The workspace
 * serves the forward pass, and in a training mode the backward pass too. gru_run_free() frees them. */
GRU_API gru_status gru_layer_allocate(const gru_layer *layer, gru_run *run);
/** Frees a run's workspace and reserve, and sets both to NULL with size 0. NULL: does nothing. */
GRU_API void gru_run_free(gru_context *context, gru_run *run);

/** Runs the layer over the sequences and writes y and hT, each if it is not NULL. If both are NULL and the mode is
 * GRU_INFERENCE, the call checks its arguments and writes nothing.
 *
 * Overlap: no buffer that is written may overlap another one, with two exceptions. hT may be h0. Tensors of equal
 * strides may be column ranges of one buffer.
 *
 * Checks, before anything is written: every field, sizes, alignment and overlap. CPU: also lengths, offsets, batch
 * sizes and slots. CUDA: that the device can reach the memory; kernels clamp wrong lengths and batch sizes, leave out
 * the steps of sequences from a wrong offset on, read zeros for wrong slots and write nothing to them, and
 * gru_context_check() reports them. Not checked: that buffers are as large as they must be; CUDA: distinct hT_slots.
 *
 * Allocates nothing, takes no lock and makes no system call on one thread. Threads: any number of calls at once on
 * one layer, each with its own workspace, reserve and outputs. NaN or infinity in one row stays in that row. */
GRU_API gru_status gru_layer_forward(const gru_layer *layer, const gru_run *run);

/** Parts of a backward pass, and how it stores gradients of weights. */
enum {
    GRU_GRAD_DATA      = 1,              /**< Compute dx, dprojected, dattention, dh0, dh_restart. */
    GRU_GRAD_WEIGHTS   = 2,              /**< Compute dW, dR, dbW, dbR. */
    GRU_GRAD_OVERWRITE = 4               /**< Set dW, dR, dbW, dbR instead of adding to them. */
};

/** Gradients of one backward call. */
typedef struct gru_gradients {
    uint32_t parts;                      /**< GRU_GRAD_... flags. Without DATA and WEIGHTS: both. WEIGHTS alone may only
                                              follow DATA alone, with the same run and an unchanged workspace. */
    gru_const_view dy;                   /**< [T][N][H] io_type. NULL: zeros. Not read at absent steps. */
    const void *dhT;                     /**< [N][H] state_type, dense. NULL: zeros. */
    const float *loss_scale;             /**< [1] finite, 2^-126 or more, in the memory of x. dy and dhT hold the true
                                              gradients times this factor, so that 16 bits can hold them. dW, dR, dbW
                                              and dbR are divided by it; the other results stay scaled. NULL: 1. */
    gru_view dx;                         /**< [T][N][I] written. NULL: not wanted. */
    gru_view dprojected;                 /**< [T][N][3H] written. NULL: not wanted. */
    gru_view dattention;                 /**< [T][N] written, in the type of attention. NULL: not wanted. */
    void *dh0;                           /**< [N][H] state_type, dense, written. NULL: not wanted. */
    void *dh_restart;                    /**< [N][H] state_type, dense, written. NULL: not wanted. */
    void *dW;                            /**< [3H][I] f32 (f64 if io_type is). Added to. NULL: not wanted. */
    void *dR;                            /**< [3H][H], as dW. */
    void *dbW;                           /**< [3H], as dW. With projected input, dW and dbW must be NULL. */
    void *dbR;                           /**< [3H], as dW. */
    uint64_t reserved[8];                /**< Zero. */
} gru_gradients;

/** Computes gradients of a run. run: the one given to gru_layer_forward() in a training mode, with a workspace of
 * gru_sizes.backward_workspace bytes. x, projected, lengths, mask, offsets, batch_sizes, batch_order, restart,
 * attention, reserve and the layer's weights must be unchanged since; h0, y and hT are not read. May be called any
 * number of times. With neither dy nor dhT all gradients are zero. With no output wanted, the call only checks its
 * arguments.
 *
 * Overlap: no buffer that is written may overlap another one, except as column ranges of one buffer. Checks: as in
 * gru_layer_forward(); the CPU also refuses a reserve that another layer or other sizes made. NaN or infinity in
 * one row of dy or dhT stays in that row of the data gradients, and reaches dW, dR, dbW and dbR, which are sums
 * over all rows. */
GRU_API gru_status gru_layer_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients);

/* ---- engines --------------------------------------------------------------------------------------------------- */

/** Returns the name of an engine of this library, fastest first, whether or not it can run here; NULL past the last. */
GRU_API const char *gru_engine_at(int32_t index);
/** Returns the engine that gru_layer_forward() would use for this run, or "" if none can run it. Does not check the
 * run's pointers, strides and sizes of buffers. run NULL: for a run of any size. The string is static. */
GRU_API const char *gru_engine_name(const gru_layer *layer, const gru_run *run);
/** Returns one line with the reason of each faster engine that declined this run, or "". Where GRU_BACKEND_AUTO passed
 * over a GPU, the lines of its engines say why. On a CUDA device a line follows for each matrix product of the layer
 * that cuBLASLt has no algorithm for as it should be. The string is the thread's until its next call. */
GRU_API const char *gru_engine_reasons(const gru_layer *layer, const gru_run *run);

#ifdef __cplusplus
}
#endif
#endif
