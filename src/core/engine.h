/* engine.h: what a backend (a kind of device) and an engine (a way to run a layer on it) must provide. */
#ifndef GRU_ENGINE_H
#define GRU_ENGINE_H

#include "combination.h"
#include "context.h"
#include "layer.h"
#include "step.h"

/* One layer, its run and its gradients. A call has several jobs if both directions of a layer run at once. */
typedef struct gru_job {
    const gru_layer *layer;
    const gru_run *run;             /* checked, strides filled in */
    const gru_gradients *gradients; /* of a backward call, as checked */
} gru_job;

/* Dropout between two layers, in place: dropout.h says which numbers of the rows become zeros; the others are multiplied by
 * 1 / (1 - rate), rounded to f32 (f64 for f64). Backward applies the same mask to the gradient. */
typedef struct gru_dropout {
    int32_t type;
    int64_t T, N, row;
    gru_view data;
    float rate;
    int32_t layer;         /* whose output it is */
    const uint64_t *seed;  /* [2] seed and offset, in the memory of data */
    const gru_run *ragged; /* its rows are those of data, instead of [T][N]; NULL: [T][N] */
} gru_dropout;

/* A number of packed weights: where it lies, and its type. */
typedef enum gru_packed_part { GRU_PACKED_W, GRU_PACKED_R, GRU_PACKED_BW, GRU_PACKED_BR } gru_packed_part;
typedef struct gru_packed_number {
    size_t byte;
    int32_t type;
    size_t scale; /* of int8: byte of the f32 that it is multiplied by */
} gru_packed_number;

/* Functions that return gru_status leave a sentence when they fail. */
typedef struct gru_backend {
    int32_t id; /* GRU_BACKEND_... */
    const char *name;
    int host_memory; /* runs point to memory that the host may read: lengths and slots are checked before they run */

    gru_status (*open)(gru_context *context); /* sets context->device from config */
    void (*close)(gru_context *context);

    gru_status (*allocate)(gru_context *context, size_t bytes, void **memory);
    void (*release)(gru_context *context, void *memory);
    gru_status (*copy)(gru_context *context, void *to, const void *from, size_t bytes, void *stream);
    gru_status (*wait)(gru_context *context, void *stream);
    gru_status (*check)(gru_context *context, void *stream);

    /* Computes in f32 (f64 for f64) and rounds once. */
    gru_status (*combine)(gru_context *context, const gru_combination *combination, void *stream);
    gru_status (*apply_dropout)(gru_context *context, const gru_dropout *dropout, void *stream);

    /* One packed layout and one reserve layout serve all engines of a backend. SIZE_MAX: too large. */
    size_t (*packed_bytes)(const gru_layer_config *config);
    size_t (*reserve_bytes)(const gru_layer_config *config, int64_t T, int64_t N, int32_t mode);
    /* Was run's reserve written by a training run of such a layer and these sizes? NULL: cannot be told. */
    gru_status (*check_reserve)(const gru_layer *layer, const gru_run *run);
    /* Whether weights can be packed: they are where on_device says, and the packed types can hold their numbers. */
    gru_status (*check_weights)(const gru_layer *layer, const gru_weights *weights);
    /* Packs weights that check_weights accepts. */
    gru_status (*pack)(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream);
    /* Where pack puts the number of a gate, a unit and a summed index k; k is 0 in a bias. */
    gru_packed_number (*packed_number)(const gru_layer_config *config, gru_packed_part part, int32_t gate,
                                       int32_t unit, int32_t k);

    /* Makes layer->prepared, what runs need beside the weights, once the layer's engines are chosen and before sizes are
     * asked for; destroy_prepared frees it and accepts NULL. Both NULL: nothing is needed. */
    gru_status (*prepare)(gru_layer *layer);
    void (*destroy_prepared)(gru_layer *layer);
    /* After all other checks of a run, forward or backward: whether the device can reach its memory. NULL: it always can. */
    gru_status (*check_run)(const gru_layer *layer, const gru_run *run);
    /* The same for one buffer of another struct, which a sentence calls `name`. NULL data passes. */
    gru_status (*check_buffer)(gru_context *context, const char *name, const void *data);
    /* Writes what the prepared layer lacks on this device, a line each, or "". NULL: nothing. */
    void (*report)(const gru_layer *layer, char *text, size_t bytes);
} gru_backend;

/* ---- engines ----
 *
 * An engine plans a call, then runs the plan. A call is offered to the engines of its layer, best first. plan looks at its
 * sizes: it fills in a plan and returns NULL, or returns the reason why this engine does not run the call, and the next engine
 * is asked. run does what the plan says. Kernels and threads are decided in plan, once. One function of the engine divides the
 * workspace, and tells how large it is.
 *
 *     gru_plan plan;
 *     GRU_TRY(gru_plan_jobs(GRU_PASS_FORWARD, jobs, count, &plan));      api/selection.h: the first engine that plans them
 *     return gru_plan_run(&plan, jobs);
 *
 * A call has one job, or two: the directions of a bidirectional layer. Two jobs differ in weights, buffers and direction
 * only. The rest of the configuration, T, N, mode, stream, the parts of a backward call, and which of x and projected is
 * given are the same. Room for one job is room for two: an engine runs them at once, or one after the other.
 *
 * cpu_reference.c is the smallest engine. */

typedef enum gru_pass { GRU_PASS_FORWARD, GRU_PASS_BACKWARD, GRU_PASSES } gru_pass;

/* How a call will run: a value on the caller's stack, valid as long as its jobs. */
enum { GRU_PLAN_BYTES = 448 };
typedef struct gru_plan {
    /* Set before plan is called. */
    const struct gru_engine *engine;
    gru_pass pass;
    int32_t count; /* of jobs, 1 or 2 */
    /* The engine's own struct: plan writes what run reads. It is not cleared: that would slow a streaming step down. */
    _Alignas(8) unsigned char own[GRU_PLAN_BYTES];
} gru_plan;

/* How an engine runs a pass. Forward allocates nothing, takes no lock, and makes no system call on one thread. */
typedef struct gru_engine_pass {
    /* Bytes that a job's workspace has at least, whatever its run's options; monotone in T and N; SIZE_MAX: too large. */
    size_t (*workspace)(const gru_layer *layer, int64_t T, int64_t N);
    /* Writes plan->own and returns NULL, or returns a static sentence: why this engine does not run the jobs. Reads sizes,
     * mode and which tensors there are, and follows no pointer of a run: gru_engine_name asks about unchecked runs. */
    const char *(*plan)(const gru_job *jobs, gru_plan *plan);
    /* Runs checked jobs as plan decided. A failure leaves a sentence. */
    gru_status (*run)(const gru_job *jobs, const gru_plan *plan);
} gru_engine_pass;

typedef struct gru_engine {
    const char *name; /* "cpu_avx2" */
    const gru_backend *backend;
    const void *impl;              /* the engine's own facts, where engines share functions; or NULL */
    const gru_engine_pass *passes; /* [GRU_PASSES]; plan NULL: it has no such pass */
    int any_size;                  /* plan gives no reason that depends on sizes */
    int has_f64;                   /* it runs layers in double precision too */
    int has_int8;                  /* and those of int8 weights, in inference */

    /* Can it run layers of this variant, in either direction, on this device? NULL, or a static sentence that says what is
     * missing. Asked only about types that the engine has. NULL itself: it runs all variants. */
    const char *(*declines)(const struct gru_engine *self, const gru_context *context,
                            const gru_layer_config *config);
    /* Fills in the step of a stream of one row, with the bits of a planned call, and returns 1. 0: only plans run such a
     * layer. NULL itself: any. */
    int (*prepare_step)(const struct gru_engine *self, const gru_layer *layer, gru_step *step);
} gru_engine;

static inline gru_status gru_plan_run(const gru_plan *plan, const gru_job *jobs) {
    return plan->engine->passes[plan->pass].run(jobs, plan);
}

#endif
