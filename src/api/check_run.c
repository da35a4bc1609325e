/* check_run.c: the checks of runs and gradients, argument by argument. */
#include "check_run.h"

#include <float.h>
#include <math.h>

#include "check_steps.h"
#include "check_streaming.h"
#include "check_view.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/layout.h"
#include "selection.h"

/* What the checks of one run share. */
typedef struct run_check {
    const gru_layer *layer;
    gru_run *run; /* the copy whose strides are filled in */
    gru_regions regions;
} run_check;

/* A dense array, or NULL. */
static gru_status check_array(run_check *check, const char *name, const void *data, size_t count,
                              size_t element, int written) {
    if (!data) return GRU_OK;
    const size_t bytes = gru_size_times(count, element);
    GRU_TRY(gru_check_aligned(name, data, element));
    if (bytes > PTRDIFF_MAX)
        return gru_fail(GRU_BAD_ARGUMENT, "%s has %zu numbers with N %lld, which reach further than memory",
                        name, count, (long long)check->run->N);
    gru_regions_add(&check->regions, name, data, bytes, written);
    return GRU_OK;
}

/* ---- views ---- */

#define CHECK_VIEW(check, name, field, row, element, written) \
    GRU_CHECK_VIEW((check)->run, &(check)->regions, name, field, row, element, written)

/* ---- states, steps, slots ---- */

static gru_status check_state(run_check *check, const char *name, const void *data, int64_t *stride,
                              const int32_t *slots, int written) {
    const int64_t H = check->layer->config.hidden;
    const int64_t rows = slots ? check->run->slot_count : check->run->N;
    if (*stride != 0 && *stride < H)
        return gru_fail(GRU_BAD_ARGUMENT, "%s_stride is %lld, expected 0 or at least H, which is %lld", name,
                        (long long)*stride, (long long)H);
    if (*stride == 0) *stride = H;
    if (!data)
        return slots ? gru_fail(GRU_BAD_ARGUMENT, "%s_slots is given, but %s is NULL", name, name) : GRU_OK;
    if (rows == 0) return GRU_OK;
    const size_t element = gru_type_bytes(check->layer->config.state_type);
    const size_t last = gru_size_times((size_t)(rows - 1), (size_t)*stride);
    const size_t bytes = gru_size_times(gru_size_plus(last, (size_t)H), element);
    if (bytes > PTRDIFF_MAX)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s_stride is %lld, which reaches further than memory with %lld rows", name,
                        (long long)*stride, (long long)rows);
    GRU_TRY(gru_check_aligned(name, data, element));
    gru_region *region = gru_regions_add(&check->regions, name, data, bytes, written);
    if (!region) return GRU_OK;
    region->state = 1;
    region->row_bytes = (size_t)H * element;
    region->batch_stride = (size_t)*stride * element;
    return GRU_OK;
}

/* Lengths, offsets and slots in device memory are checked by the kernels; gru_context_check tells what they found. */
static int on_host(const run_check *check) {
    return check->layer->context->backend->host_memory;
}

static gru_status check_steps(const run_check *check) {
    return on_host(check) ? gru_check_steps(check->run) : GRU_OK;
}

/* A count without slots is most often a pool of states whose slots were forgotten. */
static gru_status check_slot_count(const gru_run *run) {
    const int slots = run->h0_slots || run->hT_slots;
    if (run->slot_count == 0 || (run->slot_count > 0 && slots)) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "run.slot_count is %d, expected %s", run->slot_count,
                    slots ? "0 or more" : "0, as h0_slots and hT_slots are NULL");
}

static gru_status check_slot_range(const run_check *check, const char *name, const int32_t *slots) {
    const gru_run *run = check->run;
    if (!slots || !on_host(check)) return GRU_OK;
    for (int64_t n = 0; n < run->N; n++)
        if (slots[n] < 0 || slots[n] >= run->slot_count)
            return gru_fail(GRU_BAD_DATA, "%s[%lld] is %d, expected 0 or more, below slot_count, which is %d",
                            name, (long long)n, slots[n], run->slot_count);
    return GRU_OK;
}

static void sift_down(int32_t *heap, int64_t count, int64_t root) {
    for (int64_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child]) child++;
        if (heap[root] >= heap[child]) return;
        const int32_t larger = heap[child];
        heap[child] = heap[root];
        heap[root] = larger;
        root = child;
    }
}

/* Two rows must not store their final state in one slot. Heapsort in the workspace, which has room for a state of every
 * row: it neither allocates, as qsort of the C library may, nor has a slow worst case. */
static gru_status check_slots_distinct(const run_check *check) {
    const gru_run *run = check->run;
    const int64_t N = run->N;
    int32_t *sorted = run->workspace;
    if (!run->hT_slots || N < 2 || !on_host(check)) return GRU_OK;
    for (int64_t n = 0; n < N; n++) sorted[n] = run->hT_slots[n];
    for (int64_t root = N / 2 - 1; root >= 0; root--) sift_down(sorted, N, root);
    for (int64_t count = N - 1; count > 0; count--) {
        const int32_t largest = sorted[0];
        sorted[0] = sorted[count];
        sorted[count] = largest;
        sift_down(sorted, count, 0);
        if (count + 1 < N && sorted[count + 1] == largest)
            return gru_fail(GRU_BAD_DATA, "run.hT_slots has %d twice, expected distinct slots", largest);
    }
    return sorted[0] == sorted[1]
               ? gru_fail(GRU_BAD_DATA, "run.hT_slots has %d twice, expected distinct slots", sorted[0])
               : GRU_OK;
}

/* ---- the call ---- */

gru_status gru_check_run_fields(const gru_run *run) {
    if (run->T < 0) return gru_fail(GRU_BAD_ARGUMENT, "run.T is %lld, expected 0 or more", (long long)run->T);
    if (run->N < 0) return gru_fail(GRU_BAD_ARGUMENT, "run.N is %lld, expected 0 or more", (long long)run->N);
    if (run->mode < GRU_INFERENCE || run->mode > GRU_TRAIN_RECOMPUTE)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.mode is %d, expected GRU_INFERENCE, GRU_TRAIN or GRU_TRAIN_RECOMPUTE",
                        run->mode);
    GRU_TRY(gru_check_steps_fields(run));
    return gru_check_reserved("run", run->reserved, 8);
}

static int has_rows(const gru_run *run) {
    return gru_run_is_ragged(run) ? run->ragged_rows > 0 : run->T > 0 && run->N > 0;
}

/* What says which steps there are. */
static gru_status check_step_arrays(run_check *check) {
    gru_run *run = check->run;
    const size_t N = (size_t)run->N;
    CHECK_VIEW(check, "run.mask", run->mask, 1, 1, 0);
    GRU_TRY(check_array(check, "run.lengths", run->lengths, N, sizeof(int32_t), 0));
    GRU_TRY(check_array(check, "run.offsets", run->offsets, gru_size_plus(N, 1), sizeof(int64_t), 0));
    GRU_TRY(check_array(check, "run.batch_sizes", run->batch_sizes, (size_t)run->T, sizeof(int64_t), 0));
    return check_array(check, "run.batch_order", run->batch_order, N, sizeof(int64_t), 0);
}

static gru_status check_input(run_check *check) {
    gru_run *run = check->run;
    const gru_layer_config *config = &check->layer->config;
    const size_t io = gru_type_bytes(config->io_type), H = (size_t)config->hidden;
    if (run->x.data && run->projected.data)
        return gru_fail(GRU_BAD_ARGUMENT, "run.x and run.projected are both given, expected one of them");
    if (!run->x.data && !run->projected.data && has_rows(run))
        return gru_fail(GRU_BAD_ARGUMENT, "run.x is NULL, expected [%lld][%lld][%d], or projected input",
                        (long long)run->T, (long long)run->N, config->inputs);
    if (run->x.data && config->inputs == 0)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.x is given, but the layer has 0 inputs and runs on projected input only");
    CHECK_VIEW(check, "run.x", run->x, (size_t)config->inputs, io, 0);
    CHECK_VIEW(check, "run.projected", run->projected, GATES * H, io, 0);
    CHECK_VIEW(check, "run.restart", run->restart, 1, 1, 0);
    const size_t w = config->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    CHECK_VIEW(check, "run.attention", run->attention, 1, w, 0);
    GRU_TRY(check_step_arrays(check));
    GRU_TRY(check_array(check, "run.h0_slots", run->h0_slots, (size_t)run->N, sizeof(int32_t), 0));
    GRU_TRY(check_array(check, "run.hT_slots", run->hT_slots, (size_t)run->N, sizeof(int32_t), 0));
    return check_array(check, "run.h_restart", run->h_restart, gru_size_times((size_t)run->N, H),
                       gru_type_bytes(config->state_type), 0);
}

static gru_status check_stream(const run_check *check) {
    if (check->layer->context->config.backend == GRU_BACKEND_CPU && check->run->stream)
        return gru_fail(GRU_BAD_ARGUMENT, "run.stream is %p, but the context is a CPU, which has none: NULL",
                        check->run->stream);
    return GRU_OK;
}

static gru_status check_buffer(run_check *check, const char *name, void *data, size_t size, size_t needed) {
    if (size < needed)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s_size is %zu, expected at least %zu for T %lld and N %lld: gru_layer_sizes tells",
                        name, size, needed, (long long)check->run->T, (long long)check->run->N);
    if (!data && needed > 0)
        return gru_fail(GRU_BAD_ARGUMENT, "%s is NULL, expected %zu bytes", name, needed);
    GRU_TRY(gru_check_aligned(name, data, 64));
    gru_regions_add(&check->regions, name, data, needed, 1);
    return GRU_OK;
}

static gru_status check_mode(const run_check *check) {
    if (check->run->mode == GRU_INFERENCE || check->layer->config.weight_type != GRU_INT8) return GRU_OK;
    return gru_fail(GRU_UNSUPPORTED,
                    "run.mode is %d, expected GRU_INFERENCE: a layer of int8 weights is not trained",
                    check->run->mode);
}

static gru_status check_memory(run_check *check, gru_pass pass) {
    const gru_layer *layer = check->layer;
    gru_run *run = check->run;
    GRU_TRY(check_buffer(check, "run.workspace", run->workspace, run->workspace_size,
                         gru_layer_workspace(layer, run->T, run->N, pass)));
    if (run->mode != GRU_INFERENCE)
        GRU_TRY(
            check_buffer(check, "run.reserve", run->reserve, run->reserve_size,
                         layer->context->backend->reserve_bytes(&layer->config, run->T, run->N, run->mode)));
    if (!run->packed && !layer->packed)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.packed is NULL, expected weights from gru_layer_pack: the layer was created without");
    if (!run->packed) return GRU_OK;
    GRU_TRY(gru_check_aligned("run.packed", run->packed, 64));
    gru_regions_add(&check->regions, "run.packed", run->packed, layer->packed_bytes, 0);
    return GRU_OK;
}

static gru_status check_reserve(const run_check *check) {
    const gru_backend *backend = check->layer->context->backend;
    return backend->check_reserve ? backend->check_reserve(check->layer, check->run) : GRU_OK;
}

static gru_status check_reachable(const run_check *check) {
    const gru_backend *backend = check->layer->context->backend;
    return backend->check_run ? backend->check_run(check->layer, check->run) : GRU_OK;
}

gru_status gru_check_forward(const gru_layer *layer, const gru_run *run, gru_run *checked) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!run) return gru_fail(GRU_BAD_ARGUMENT, "run is NULL");
    memcpy(checked, run,
           sizeof *checked); /* not an assignment: gcc would copy with a slow string instruction */
    if (gru_check_streaming(layer, checked)) return GRU_OK;
    run_check check;
    check.layer = layer;
    check.run = checked;
    check.regions.count = 0;
    GRU_TRY(gru_check_run_fields(run));
    GRU_TRY(check_mode(&check));
    GRU_TRY(check_stream(&check));
    GRU_TRY(check_input(&check));
    CHECK_VIEW(&check, "run.y", checked->y, (size_t)layer->config.hidden,
               gru_type_bytes(layer->config.io_type), 1);
    GRU_TRY(check_slot_count(run));
    GRU_TRY(check_slot_range(&check, "run.h0_slots", run->h0_slots));
    GRU_TRY(check_slot_range(&check, "run.hT_slots", run->hT_slots));
    GRU_TRY(check_state(&check, "run.h0", run->h0, &checked->h0_stride, run->h0_slots, 0));
    GRU_TRY(check_state(&check, "run.hT", run->hT, &checked->hT_stride, run->hT_slots, 1));
    GRU_TRY(check_memory(&check, GRU_PASS_FORWARD));
    GRU_TRY(gru_regions_check(&check.regions));
    GRU_TRY(check_steps(&check));
    GRU_TRY(check_slots_distinct(&check));
    return check_reachable(&check);
}

/* ---- gradients ---- */

static gru_status check_parts(const run_check *check, const gru_gradients *g) {
    const uint32_t known = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;
    if (g->parts & ~known)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "gradients.parts is 0x%x, expected GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE at most",
            g->parts);
    if (check->run->projected.data && (g->dx.data || g->dW || g->dbW))
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "gradients.%s is given, but the run's input is projected: its W and x are the caller's",
            g->dx.data ? "dx"
            : g->dW    ? "dW"
                       : "dbW");
    if (!check->run->projected.data && g->dprojected.data)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "gradients.dprojected is given, but the run has no projected input");
    if (!check->run->attention.data && g->dattention.data)
        return gru_fail(GRU_BAD_ARGUMENT, "gradients.dattention is given, but the run has no attention");
    return gru_check_reserved("gradients", g->reserved, 8);
}

/* The inverse of a subnormal number may be infinite. In device memory it is not checked: a wrong one shows in the weight
 * gradients. */
static gru_status check_loss_scale(const run_check *check, const gru_gradients *g) {
    if (!g->loss_scale || !on_host(check) || (*g->loss_scale >= FLT_MIN && isfinite(*g->loss_scale)))
        return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "gradients.loss_scale[0] is %g, expected a finite number, %g or more",
                    (double)*g->loss_scale, (double)FLT_MIN);
}

static gru_status check_gradients(run_check *check, gru_gradients *g) {
    const gru_layer_config *config = &check->layer->config;
    const size_t H = (size_t)config->hidden, I = (size_t)config->inputs;
    const size_t io = gru_type_bytes(config->io_type), state = gru_type_bytes(config->state_type);
    const size_t exact = config->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    const size_t states = gru_size_times((size_t)check->run->N, H);
    GRU_TRY(check_parts(check, g));
    CHECK_VIEW(check, "gradients.dy", g->dy, H, io, 0);
    CHECK_VIEW(check, "gradients.dx", g->dx, I, io, 1);
    CHECK_VIEW(check, "gradients.dprojected", g->dprojected, GATES * H, io, 1);
    CHECK_VIEW(check, "gradients.dattention", g->dattention, 1, exact, 1);
    GRU_TRY(check_array(check, "gradients.dhT", g->dhT, states, state, 0));
    GRU_TRY(check_array(check, "gradients.loss_scale", g->loss_scale, 1, sizeof(float), 0));
    GRU_TRY(check_array(check, "gradients.dh0", g->dh0, states, state, 1));
    GRU_TRY(check_array(check, "gradients.dh_restart", g->dh_restart, states, state, 1));
    GRU_TRY(check_array(check, "gradients.dW", g->dW, GATES * H * I, exact, 1));
    GRU_TRY(check_array(check, "gradients.dR", g->dR, GATES * H * H, exact, 1));
    GRU_TRY(check_array(check, "gradients.dbW", g->dbW, GATES * H, exact, 1));
    return check_array(check, "gradients.dbR", g->dbR, GATES * H, exact, 1);
}

/* Whether the device can reach the buffers. */
static gru_status check_gradient_buffers(const run_check *check, const gru_gradients *g) {
    gru_context *context = check->layer->context;
    const struct {
        const char *name;
        const void *data;
    } buffers[] = {
        {"gradients.dy", g->dy.data},
        {"gradients.dhT", g->dhT},
        {"gradients.loss_scale", g->loss_scale},
        {"gradients.dx", g->dx.data},
        {"gradients.dprojected", g->dprojected.data},
        {"gradients.dattention", g->dattention.data},
        {"gradients.dh0", g->dh0},
        {"gradients.dh_restart", g->dh_restart},
        {"gradients.dW", g->dW},
        {"gradients.dR", g->dR},
        {"gradients.dbW", g->dbW},
        {"gradients.dbR", g->dbR},
    };
    for (size_t i = 0; context->backend->check_buffer && i < sizeof buffers / sizeof *buffers; i++)
        GRU_TRY(context->backend->check_buffer(context, buffers[i].name, buffers[i].data));
    return GRU_OK;
}

gru_status gru_check_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients,
                              gru_run *checked, gru_gradients *checked_gradients) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!run) return gru_fail(GRU_BAD_ARGUMENT, "run is NULL");
    if (!gradients) return gru_fail(GRU_BAD_ARGUMENT, "gradients is NULL");
    *checked = *run;
    *checked_gradients = *gradients;
    checked->y.data = checked->hT = NULL;
    checked->h0 = checked->h0_slots = checked->hT_slots = NULL;
    run_check check;
    check.layer = layer;
    check.run = checked;
    check.regions.count = 0;
    GRU_TRY(gru_check_run_fields(run));
    if (run->mode == GRU_INFERENCE)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.mode is GRU_INFERENCE, which saves nothing for backward; expected a training mode");
    GRU_TRY(check_mode(&check));
    GRU_TRY(check_stream(&check));
    GRU_TRY(check_input(&check));
    GRU_TRY(check_gradients(&check, checked_gradients));
    GRU_TRY(check_memory(&check, GRU_PASS_BACKWARD));
    GRU_TRY(gru_regions_check(&check.regions));
    GRU_TRY(check_steps(&check));
    GRU_TRY(check_loss_scale(&check, checked_gradients));
    GRU_TRY(check_reserve(&check));
    GRU_TRY(check_reachable(&check));
    return check_gradient_buffers(&check, checked_gradients);
}
