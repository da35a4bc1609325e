/* problem_run.c: runs a problem on an engine in guarded memory and collects what came out. */
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "device_mirror.h"
#include "problem.h"

enum { WORKSPACE, RESERVE, PACKED, Y, HT, BACKWARD_WORKSPACE };

static int64_t slot_rows(const problem *p) {
    return p->options & PROBLEM_SLOTS ? p->run.slot_count : p->shape.N;
}

static size_t state_bytes(const problem *p) {
    const int64_t stride = p->run.hT_stride ? p->run.hT_stride : p->shape.H;
    return (size_t)(slot_rows(p) * stride) * gru_type_bytes(p->config.state_type);
}

/* Outputs have the strides that inputs would have with such rows. */
static gru_view make_view(const problem *p, int64_t row, int32_t type, size_t *bytes) {
    const int64_t T = p->shape.T, N = p->shape.N;
    const size_t element = gru_type_bytes(type);
    gru_view view = {NULL, 0, 0};
    *bytes = (size_t)(T * N * row) * element;
    if (p->options & PROBLEM_STRIDES) {
        view.time_stride = row + 3;
        view.batch_stride = T * view.time_stride + 5;
        *bytes = (size_t)(N * view.batch_stride) * element;
    }
    return view;
}

static gru_view make_y(const problem *p, size_t *bytes) {
    return make_view(p, p->shape.H, p->config.io_type, bytes);
}

static gru_status open_layer(const problem *p, gru_context *context, result *out) {
    gru_weights weights = p->weights;
    gru_status status;
    if (p->options & PROBLEM_PACKED) weights.bW = NULL; /* the run must not use the layer's own */
    status = gru_layer_create(context, &p->config, &weights, &out->layer);
    if (status == GRU_OK) status = gru_layer_sizes(out->layer, p->shape.T, p->shape.N, &out->sizes);
    if (status != GRU_OK || !(p->options & PROBLEM_PACKED)) return status;
    out->run.packed = out->buffers[PACKED] = tester_allocate(out->sizes.packed);
    return device_mirror_pack(out->layer, &p->weights, out->buffers[PACKED]);
}

gru_status problem_open(const problem *p, gru_context *context, result *out) {
    memset(out, 0, sizeof *out);
    out->run = p->run;
    const gru_status status = open_layer(p, context, out);
    if (status != GRU_OK) {
        result_free(out);
        return status;
    }
    out->run.workspace = out->buffers[WORKSPACE] = tester_allocate(out->sizes.workspace);
    out->run.workspace_size = out->sizes.workspace;
    if (p->run.mode != GRU_INFERENCE) {
        out->run.reserve_size = p->run.mode == GRU_TRAIN ? out->sizes.reserve : out->sizes.reserve_recompute;
        out->run.reserve = out->buffers[RESERVE] = tester_allocate(out->run.reserve_size);
    }
    return GRU_OK;
}

void problem_renew_outputs(const problem *p, result *out) {
    for (int i = Y; i <= HT; i++) {
        tester_free(out->buffers[i]);
        out->buffers[i] = NULL;
    }
    out->run.y.data = NULL;
    if (!(p->options & PROBLEM_NO_Y)) {
        const size_t element = p->options & PROBLEM_STRIDES ? gru_type_bytes(p->config.io_type) : 0;
        size_t bytes;
        out->run.y = make_y(p, &bytes);
        out->buffers[Y] = tester_allocate(bytes + element);
        out->run.y.data = (char *)out->buffers[Y] + element; /* strided: misaligned by one element */
    }
    if (p->options & PROBLEM_NO_HT) return;
    out->run.hT = out->buffers[HT] = tester_allocate(state_bytes(p));
    if (!(p->options & PROBLEM_IN_PLACE)) return;
    memcpy(out->buffers[HT], p->run.h0, state_bytes(p));
    out->run.h0 = out->run.hT;
}

static uint64_t hash_inputs(const problem *p) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < p->buffer_count; i++)
        hash = tester_hash(hash, p->buffers[i].data, p->buffers[i].bytes);
    return hash;
}

/* Takes the rows of H out of a strided buffer and leaves NaN in their place, so that padding is what is left. */
static void take_row(void *dense, char *row, size_t bytes) {
    memcpy(dense, row, bytes);
    memset(row, 0xFF, bytes);
}

static void collect_y(const problem *p, result *out) {
    const int64_t T = p->shape.T, N = p->shape.N, H = p->shape.H;
    const size_t element = gru_type_bytes(p->config.io_type), row = (size_t)H * element;
    gru_view view = out->run.y;
    size_t bytes;
    int zeros = 1;
    (void)make_y(p, &bytes);
    char *kept = tester_copy(out->run.y.data, bytes); /* a later call compares it again */
    if (!view.batch_stride) view.batch_stride = H;
    if (!view.time_stride) view.time_stride = N * H;
    tester_free(out->y);
    out->y = tester_allocate((size_t)(T * N) * row);
    for (int64_t t = 0; t < T; t++)
        for (int64_t n = 0; n < N; n++) {
            char *dense = (char *)out->y + (size_t)(t * N + n) * row;
            take_row(dense, kept + GRU_ROW(view, t, n) * element, row);
            for (size_t i = 0; i < row; i++) zeros &= gru_run_has_step(&p->run, t, n) || dense[i] == 0;
        }
    CHECK(zeros, "y is not zero past a length: %s", p->text);
    CHECK(tester_untouched(kept, bytes), "the padding of y was written: %s", p->text);
    tester_free(kept);
}

static void collect_hT(const problem *p, result *out) {
    const int64_t stride = p->run.hT_stride ? p->run.hT_stride : p->shape.H;
    const size_t element = gru_type_bytes(p->config.state_type), row = (size_t)p->shape.H * element;
    char *kept = tester_copy(out->run.hT, state_bytes(p));
    tester_free(out->hT);
    out->hT = tester_allocate((size_t)p->shape.N * row);
    for (int64_t n = 0; n < p->shape.N; n++)
        take_row((char *)out->hT + (size_t)n * row,
                 kept + (size_t)(gru_hT_row(&p->run, n) * stride) * element, row);
    if (p->options & PROBLEM_IN_PLACE && p->options & PROBLEM_SLOTS)
        for (int64_t n = 0; n < p->shape.N;
             n++) /* slots that were read, if not written, hold what they held */
            memset(kept + (size_t)(p->run.h0_slots[n] * stride) * element, 0xFF, row);
    CHECK(tester_untouched(kept, state_bytes(p)), "hT was written outside its rows: %s", p->text);
    tester_free(kept);
}

gru_status problem_call(const problem *p, result *out) {
    const uint64_t before = hash_inputs(p);
    problem_renew_outputs(p, out);
    const gru_status status = device_mirror_forward(out->layer, &out->run);
    if (status != GRU_OK) return status;
    CHECK(hash_inputs(p) == before, "an input was written: %s", p->text);
    for (int i = 0; i < (int)(sizeof out->buffers / sizeof *out->buffers); i++)
        CHECK(!out->buffers[i] || tester_intact(out->buffers[i]),
              "something was written outside buffer %d: %s", i, p->text);
    if (out->run.y.data) collect_y(p, out);
    if (out->run.hT) collect_hT(p, out);
    return GRU_OK;
}

void problem_run(const problem *p, gru_context *context, result *out) {
    REQUIRE(problem_open(p, context, out) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    REQUIRE(problem_call(p, out) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

void problem_run_exact(const problem *p, result *out) {
    gru_context *context = tester_context("cpu_reference", 1);
    problem *exact = problem_exact(p);
    problem_run(exact, context, out);
    problem_free(exact);
    gru_context_release(context);
}

void result_free(result *r) {
    for (size_t i = 0; i < sizeof r->buffers / sizeof *r->buffers; i++) tester_free(r->buffers[i]);
    tester_free(r->y);
    tester_free(r->hT);
    gru_layer_release(r->layer);
    memset(r, 0, sizeof *r);
}

/* ---- backward ---- */

const char *const gradient_names[GRADS] = {"dx", "dprojected", "dattention", "dh0", "dh_restart",
                                           "dW", "dR",         "dbW",        "dbR"};

void gradients_make(const problem *p, gradients *g) {
    const size_t rows = (size_t)(p->shape.T * p->shape.N), H = (size_t)p->shape.H, I = (size_t)p->shape.I;
    const size_t states = (size_t)p->shape.N * H;
    const int32_t io = p->config.io_type, state = p->config.state_type,
                  exact = io == GRU_F64 ? GRU_F64 : GRU_F32;
    const int from_x = p->run.x.data != NULL;
    const struct {
        int wanted;
        size_t count;
        int32_t type;
    } each[GRADS] = {
        {from_x, rows * I, io},
        {!from_x, rows * GATES * H, io},
        {p->run.attention.data != NULL, rows, exact},
        {p->run.h0 != NULL, states, state},
        {p->run.h_restart != NULL, states, state},
        {from_x, GATES * H * I, exact},
        {1, GATES * H * H, exact},
        {from_x, GATES * H, exact},
        {1, GATES * H, exact},
    };
    for (int i = 0; i < GRADS; i++) {
        const size_t bytes = each[i].count * gru_type_bytes(each[i].type);
        g->count[i] = each[i].count;
        g->type[i] = each[i].type;
        g->data[i] = each[i].wanted ? tester_allocate(bytes) : NULL;
        if (g->data[i] && i >= GRAD_W) memset(g->data[i], 0, bytes);
    }
}

void gradients_free(gradients *g) {
    for (int i = 0; i < GRADS; i++) tester_free(g->data[i]);
    memset(g, 0, sizeof *g);
}

void problem_backward_call(const problem *p, result *r, uint32_t parts, const gradients *g, gru_run *run,
                           gru_gradients *wanted) {
    if (!r->buffers[BACKWARD_WORKSPACE])
        r->buffers[BACKWARD_WORKSPACE] = tester_allocate(r->sizes.backward_workspace);
    *run = r->run;
    run->workspace = r->buffers[BACKWARD_WORKSPACE];
    run->workspace_size = r->sizes.backward_workspace;
    memset(wanted, 0, sizeof *wanted);
    wanted->parts = parts;
    wanted->dy = p->dy;
    wanted->dhT = p->dhT;
    wanted->loss_scale = p->loss_scale;
    wanted->dx.data = g->data[GRAD_X];
    wanted->dprojected.data = g->data[GRAD_PROJECTED];
    wanted->dattention.data = g->data[GRAD_ATTENTION];
    wanted->dh0 = g->data[GRAD_H0];
    wanted->dh_restart = g->data[GRAD_H_RESET];
    wanted->dW = g->data[GRAD_W];
    wanted->dR = g->data[GRAD_R];
    wanted->dbW = g->data[GRAD_BW];
    wanted->dbR = g->data[GRAD_BR];
}

/* ---- gradients of inputs with strides ---- */

enum { VIEWS = 3 }; /* dx, dprojected, dattention, in the order of gradients */

static int64_t row_of(const problem *p, int i) {
    return i == GRAD_X ? p->shape.I : i == GRAD_PROJECTED ? GATES * (int64_t)p->shape.H : 1;
}

/* Dense they are the buffers themselves; with strides, others, misaligned by one element. */
static void lend_views(const problem *p, const gradients *g, gru_view views[VIEWS], char *lent[VIEWS]) {
    for (int i = 0; i < VIEWS; i++) {
        const size_t element = gru_type_bytes(g->type[i]);
        size_t bytes;
        lent[i] = NULL;
        views[i] = make_view(p, row_of(p, i), g->type[i], &bytes);
        views[i].data = g->data[i];
        if (!g->data[i] || !(p->options & PROBLEM_STRIDES)) continue;
        lent[i] = tester_allocate(bytes + element);
        views[i].data = lent[i] + element;
    }
}

/* written: what lies between the rows must be untouched, and what lies in them goes into the dense buffers. */
static void collect_views(const problem *p, const gradients *g, const gru_view views[VIEWS],
                          char *lent[VIEWS], int written) {
    for (int i = 0; i < VIEWS; i++) {
        const size_t element = gru_type_bytes(g->type[i]), row = (size_t)row_of(p, i) * element;
        size_t bytes;
        if (!lent[i]) continue;
        (void)make_view(p, row_of(p, i), g->type[i], &bytes);
        for (int64_t k = 0; written && k < p->shape.T * p->shape.N; k++)
            take_row((char *)g->data[i] + (size_t)k * row,
                     (char *)views[i].data + GRU_ROW(views[i], k / p->shape.N, k % p->shape.N) * element,
                     row);
        CHECK(tester_untouched(lent[i], bytes + element), "the padding of %s was written: %s",
              gradient_names[i], p->text);
        tester_free(lent[i]);
    }
}

gru_status problem_backward(const problem *p, result *r, uint32_t parts, gradients *g) {
    const int data = (parts & (GRU_GRAD_DATA | GRU_GRAD_WEIGHTS)) != GRU_GRAD_WEIGHTS;
    gru_view views[VIEWS];
    char *lent[VIEWS];
    gru_gradients wanted;
    gru_run run;
    problem_backward_call(p, r, parts, g, &run, &wanted);
    lend_views(p, g, views, lent);
    wanted.dx = views[GRAD_X], wanted.dprojected = views[GRAD_PROJECTED];
    wanted.dattention = views[GRAD_ATTENTION];
    const uint64_t inputs = hash_inputs(p), reserve = tester_hash(0, run.reserve, run.reserve_size);
    const gru_status status = device_mirror_backward(r->layer, &run, &wanted);
    collect_views(p, g, views, lent, data && status == GRU_OK);
    CHECK(tester_intact(run.workspace), "backward wrote outside its workspace: %s", p->text);
    CHECK(hash_inputs(p) == inputs, "backward wrote an input: %s", p->text);
    CHECK(tester_hash(0, run.reserve, run.reserve_size) == reserve, "backward wrote the reserve: %s",
          p->text);
    return status;
}
