/* onednn.c: describes a problem to oneDNN's C API and takes its gradients back to the native order. */
#include "onednn.h"

#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "gru/import.h"

enum {
    X,
    H0,
    ATTENTION,
    W,
    R,
    B,
    Y,
    HT,
    FORWARD,
    DX = FORWARD,
    DH0,
    DATTENTION,
    DW,
    DR,
    DB,
    DY,
    DHT,
    TENSORS
};

/* How numbers lie in the caller's memory. */
typedef struct tensor {
    int argument;
    float *data; /* NULL: the problem has none */
    int rank;
    dnnl_dims_t dims;
    dnnl_format_tag_t tag;
} tensor;

typedef struct layer {
    tensor tensors[TENSORS];
    dnnl_memory_desc_t descs[TENSORS];
    int used; /* FORWARD, or TENSORS when gradients are wanted */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} layer;

#define DNNL(call)                                                                           \
    do {                                                                                     \
        const dnnl_status_t dnnl_status = (call);                                            \
        REQUIRE(dnnl_status == dnnl_success, "%s: dnnl status %d", #call, (int)dnnl_status); \
    } while (0)

/* ---- weights ------------------------------------------------------------------------------------------- */

static int32_t order_of(const problem *p) {
    return p->config.reset_mode == GRU_RESET_BEFORE ? GRU_ORDER_ONEDNN : GRU_ORDER_ONEDNN_LBR;
}

/* Buffers of the order's sizes in tensors[first ..]. */
static void make_weights(const problem *p, layer *l, int first, gru_framework_weights_out *framework) {
    framework->order = order_of(p);
    framework->reset_mode = p->config.reset_mode;
    REQUIRE(gru_order_counts(framework->order, &p->config, framework->counts) == GRU_OK, "%s",
            gru_last_error());
    for (int i = 0; i < 3; i++) {
        const size_t bytes = framework->counts[i] * sizeof(float);
        l->tensors[first + i].data = framework->arrays[i] = tester_allocate(bytes);
        memset(framework->arrays[i], 0, bytes); /* oneDNN adds to gradients */
    }
}

/* Gradients in oneDNN's order -> native order. A bias that acts as a sum has its gradient in both halves. */
static void take_gradients(const problem *p, const gru_framework_weights_out *framework, gradients *g) {
    const size_t H = (size_t)p->shape.H, shared = p->config.reset_mode == GRU_RESET_BEFORE ? 3 * H : 2 * H;
    gru_framework_weights source = GRU_INIT;
    source.order = framework->order;
    source.reset_mode = framework->reset_mode;
    for (int i = 0; i < 3; i++)
        source.arrays[i] = framework->arrays[i], source.counts[i] = framework->counts[i];
    const gru_native_weights target = {g->data[GRAD_W], g->data[GRAD_R], g->data[GRAD_BW], g->data[GRAD_BR],
                                       GRU_F32};
    REQUIRE(gru_import(&source, &p->config, &target) == GRU_OK, "%s", gru_last_error());
    memcpy(target.bR, target.bW, shared * sizeof(float));
}

/* ---- descriptions -------------------------------------------------------------------------------------- */

static void describe_tensors(const problem *p, layer *l, float *y, float *hT) {
    const int64_t T = p->shape.T, N = p->shape.N, I = p->shape.I, H = p->shape.H;
    const int64_t biases = p->config.reset_mode == GRU_RESET_BEFORE ? 3 : 4;
    const tensor forward[FORWARD] = {
        [X] = {DNNL_ARG_SRC_LAYER, (float *)p->run.x.data, 3, {T, N, I}, dnnl_tnc},
        [H0] = {DNNL_ARG_SRC_ITER, (float *)p->run.h0, 4, {1, 1, N, H}, dnnl_ldnc},
        [ATTENTION] = {DNNL_ARG_AUGRU_ATTENTION, (float *)p->run.attention.data, 3, {T, N, 1}, dnnl_tnc},
        [W] = {DNNL_ARG_WEIGHTS_LAYER, NULL, 5, {1, 1, I, 3, H}, dnnl_ldigo},
        [R] = {DNNL_ARG_WEIGHTS_ITER, NULL, 5, {1, 1, H, 3, H}, dnnl_ldigo},
        [B] = {DNNL_ARG_BIAS, NULL, 4, {1, 1, biases, H}, dnnl_ldgo},
        [Y] = {DNNL_ARG_DST_LAYER, y, 3, {T, N, H}, dnnl_tnc},
        [HT] = {DNNL_ARG_DST_ITER, hT, 4, {1, 1, N, H}, dnnl_ldnc}};
    static const int gradient_arguments[FORWARD] = {
        DNNL_ARG_DIFF_SRC_LAYER,     DNNL_ARG_DIFF_SRC_ITER,     0,
        DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS,
        DNNL_ARG_DIFF_DST_LAYER,     DNNL_ARG_DIFF_DST_ITER};
    for (int i = 0; i < FORWARD; i++) {
        l->tensors[i] = l->tensors[FORWARD + i] = forward[i];
        l->tensors[FORWARD + i].argument = gradient_arguments[i];
        l->tensors[FORWARD + i].data = NULL;
    }
}

static void name_gradients(const problem *p, layer *l, const gradients *g) {
    REQUIRE(!p->run.attention.data, "oneDNN's own AUGRU gradients are not to be had: %s", p->text);
    l->tensors[DX].data = g->data[GRAD_X];
    l->tensors[DH0].data = g->data[GRAD_H0];
    l->tensors[DY].data = (float *)p->dy.data;
    l->tensors[DHT].data = (float *)p->dhT;
}

/* oneDNN chooses the layout of the weights that it reads; what is not there keeps the zero description. */
static void describe(layer *l) {
    for (int i = 0; i < l->used; i++) {
        const tensor *t = &l->tensors[i];
        const dnnl_format_tag_t tag = i == W || i == R ? dnnl_format_tag_any : t->tag;
        if (t->data) DNNL(dnnl_memory_desc_init_by_tag(&l->descs[i], t->rank, t->dims, dnnl_f32, tag));
    }
}

static dnnl_rnn_direction_t direction_of(const problem *p) {
    return p->config.direction == GRU_REVERSE ? dnnl_unidirectional_right2left
                                              : dnnl_unidirectional_left2right;
}

static dnnl_primitive_desc_t forward_descriptor(const problem *p, const layer *l) {
    const dnnl_prop_kind_t kind = l->used == FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    const dnnl_memory_desc_t *d = l->descs;
    const int after = p->config.reset_mode == GRU_RESET_AFTER;
    dnnl_rnn_desc_t rnn;
    dnnl_primitive_desc_t descriptor;
    if (p->run.attention.data)
        DNNL((after ? dnnl_lbr_augru_forward_desc_init
                    : dnnl_augru_forward_desc_init)(&rnn, kind, direction_of(p), &d[X], &d[H0], &d[ATTENTION],
                                                    &d[W], &d[R], &d[B], &d[Y], &d[HT], 0));
    else
        DNNL((after ? dnnl_lbr_gru_forward_desc_init : dnnl_gru_forward_desc_init)(
            &rnn, kind, direction_of(p), &d[X], &d[H0], &d[W], &d[R], &d[B], &d[Y], &d[HT], 0));
    DNNL(dnnl_primitive_desc_create(&descriptor, &rnn, NULL, l->engine, NULL));
    return descriptor;
}

static dnnl_primitive_desc_t backward_descriptor(const problem *p, const layer *l,
                                                 dnnl_primitive_desc_t forward) {
    const dnnl_memory_desc_t *d = l->descs;
    const int after = p->config.reset_mode == GRU_RESET_AFTER;
    dnnl_rnn_desc_t rnn;
    dnnl_primitive_desc_t descriptor;
    DNNL((after ? dnnl_lbr_gru_backward_desc_init : dnnl_gru_backward_desc_init)(
        &rnn, dnnl_backward, direction_of(p), &d[X], &d[H0], &d[W], &d[R], &d[B], &d[Y], &d[HT], &d[DX],
        &d[DH0], &d[DW], &d[DR], &d[DB], &d[DY], &d[DHT], 0));
    DNNL(dnnl_primitive_desc_create(&descriptor, &rnn, NULL, l->engine, forward));
    return descriptor;
}

/* ---- execution ----------------------------------------------------------------------------------------- */

static void execute(const layer *l, dnnl_primitive_desc_t descriptor, int count,
                    const dnnl_exec_arg_t *arguments) {
    dnnl_primitive_t primitive;
    DNNL(dnnl_primitive_create(&primitive, descriptor));
    DNNL(dnnl_primitive_execute(primitive, l->stream, count, arguments));
    DNNL(dnnl_stream_wait(l->stream));
    DNNL(dnnl_primitive_destroy(primitive));
}

/* The tensor as the primitive wants it: the caller's numbers themselves, or a copy in another layout. */
static dnnl_memory_t memory_of(const layer *l, const tensor *t, dnnl_primitive_desc_t descriptor) {
    const dnnl_memory_desc_t *wanted =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_exec_arg_md, t->argument);
    dnnl_memory_desc_t plain;
    dnnl_memory_t from, to;
    dnnl_primitive_desc_t reorder;
    REQUIRE(wanted, "the primitive has no argument %d", t->argument);
    DNNL(dnnl_memory_desc_init_by_tag(&plain, t->rank, t->dims, dnnl_f32, t->tag));
    DNNL(dnnl_memory_create(&from, &plain, l->engine, t->data));
    if (dnnl_memory_desc_equal(&plain, wanted)) return from;
    DNNL(dnnl_memory_create(&to, wanted, l->engine, DNNL_MEMORY_ALLOCATE));
    DNNL(dnnl_reorder_primitive_desc_create(&reorder, &plain, l->engine, wanted, l->engine, NULL));
    execute(l, reorder, 2, (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    DNNL(dnnl_primitive_desc_destroy(reorder));
    DNNL(dnnl_memory_destroy(from));
    return to;
}

/* workspace: what training forward leaves for backward; NULL: none. */
static void run_primitive(const layer *l, dnnl_primitive_desc_t descriptor, int used,
                          dnnl_memory_t workspace) {
    dnnl_exec_arg_t arguments[TENSORS + 1];
    int count = 0;
    for (int i = 0; i < used; i++)
        if (l->tensors[i].data)
            arguments[count++] =
                (dnnl_exec_arg_t){l->tensors[i].argument, memory_of(l, &l->tensors[i], descriptor)};
    const int own = count;
    if (workspace) arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_WORKSPACE, workspace};
    execute(l, descriptor, count, arguments);
    for (int i = 0; i < own; i++) DNNL(dnnl_memory_destroy(arguments[i].memory));
}

static void run_training(const problem *p, const layer *l, dnnl_primitive_desc_t forward) {
    dnnl_primitive_desc_t backward = backward_descriptor(p, l, forward);
    dnnl_memory_t workspace;
    DNNL(dnnl_memory_create(&workspace, dnnl_primitive_desc_query_md(forward, dnnl_query_workspace_md, 0),
                            l->engine, DNNL_MEMORY_ALLOCATE));
    run_primitive(l, forward, FORWARD, workspace);
    run_primitive(l, backward, TENSORS, workspace);
    DNNL(dnnl_memory_destroy(workspace));
    DNNL(dnnl_primitive_desc_destroy(backward));
}

void onednn_run(const problem *p, float *y, float *hT, gradients *g) {
    layer l = {.used = g ? TENSORS : FORWARD};
    gru_framework_weights_out weights = GRU_INIT, weight_gradients = GRU_INIT;
    describe_tensors(p, &l, y, hT);
    make_weights(p, &l, W, &weights);
    make_weights(p, &l, DW, &weight_gradients);
    REQUIRE(gru_export(&p->weights, &p->config, &weights) == GRU_OK, "%s", gru_last_error());
    if (g) name_gradients(p, &l, g);
    describe(&l);
    DNNL(dnnl_engine_create(&l.engine, dnnl_cpu, 0));
    DNNL(dnnl_stream_create(&l.stream, l.engine, dnnl_stream_default_flags));
    dnnl_primitive_desc_t forward = forward_descriptor(p, &l);
    if (g) {
        run_training(p, &l, forward);
        take_gradients(p, &weight_gradients, g);
    } else
        run_primitive(&l, forward, FORWARD, NULL);
    DNNL(dnnl_primitive_desc_destroy(forward));
    DNNL(dnnl_stream_destroy(l.stream));
    DNNL(dnnl_engine_destroy(l.engine));
    for (int i = 0; i < 3; i++) tester_free(weights.arrays[i]), tester_free(weight_gradients.arrays[i]);
}
