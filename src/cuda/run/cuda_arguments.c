/* cuda_arguments.c: turns a checked run into the arguments of launches, and decides how its input reaches the projection. */
#include "cuda_arguments.h"

#include "core/reserve.h"
#include "cuda/layer/cuda_gemm.h"
#include "cuda_absent_steps.h"
#include "cuda_cost_model.h"

static const void *packed_part(const gru_job *job, size_t offset) {
    return (const char *)gru_run_packed(job->layer, job->run) + offset;
}

gru_cuda_sequence gru_cuda_sequence_of(const gru_job *job, size_t timeline) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(config);
    gru_cuda_sequence seq = {.T = run->T, .N = (int32_t)run->N, .H = config->hidden};
    seq.octets = gru_cuda_unit_octets(config->hidden);
    seq.groups = gru_cuda_groups(config->hidden, config->weight_type);
    seq.reset_mode = config->reset_mode, seq.update = config->update, seq.gate = config->gate;
    seq.candidate = config->candidate, seq.direction = config->direction;
    seq.clip = config->clip, seq.hard_slope = config->hard_slope;
    seq.f = gru_gate_of(config), seq.g = gru_candidate_of(config);
    seq.R = packed_part(job, layout.R);
    seq.bR = packed_part(job, layout.bR);
    seq.io_type = config->io_type, seq.state_type = config->state_type;
    seq.lengths = run->lengths;
    gru_cuda_use_timeline(run, gru_cuda_workspace_ptr(run, timeline), &seq);
    seq.restart = run->restart, seq.attention = run->attention, seq.h_restart = run->h_restart;
    seq.y = run->y;
    seq.hT = run->hT, seq.hT_stride = run->hT_stride, seq.hT_slots = run->hT_slots,
    seq.slot_count = run->slot_count;
    seq.reserve = run->mode == GRU_INFERENCE ? NULL : gru_reserve_states(run);
    return seq;
}

/* ---- x as the projection can read it ---- */

/* Numbers from one row (t, n) to the next where all rows lie evenly in time order; 0: they do not. */
static int64_t even_stride(const gru_run *run) {
    if (run->N == 1 || gru_run_is_ragged(run)) return run->x.time_stride;
    return run->T == 1 || run->x.time_stride == run->N * run->x.batch_stride ? run->x.batch_stride : 0;
}

int gru_cuda_projects_ragged(const gru_job *job, int64_t steps) {
    const gru_cuda_gemm *projection = gru_cuda_layer_of(job->layer)->gemms[GRU_CUDA_GEMM_A];
    const gru_run *run = job->run;
    const int64_t whole = run->T < steps ? run->T : steps, last = whole ? run->T % whole : 0;
    if (!gru_run_is_ragged(run) || !run->x.data || !projection || run->ragged_rows == 0) return 0;
    return run->ragged_rows <= whole * run->N &&
           gru_cuda_gemm_sums_alike(projection, whole * run->N, (last ? last : whole) * run->N);
}

/* Strides or sizes that cuBLASLt does not read, another type, rows that a reverse layer visits at different times, a table of
 * times, or a projection of a fixed number of rows. In a sum over rows, which backward makes, rows of x must stand in the order of
 * the steps, and where a row of the batch has ended may stand anything but NaN. */
int gru_cuda_must_gather(const gru_job *job, int ragged) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const int64_t element = (int64_t)gru_type_bytes(config->io_type), stride = even_stride(run);
    const int reverse = config->direction == GRU_REVERSE;
    if (!run->x.data || config->inputs == 0) return 0;
    if (gru_cuda_layer_of(job->layer)->fixed_rows || config->io_type != config->weight_type) return 1;
    if (gru_cuda_has_timeline(run) && !ragged) return 1;
    if (job->gradients ? reverse || run->lengths : reverse && run->lengths) return 1;
    return stride < config->inputs || stride * element % 16 != 0 || config->inputs * element % 16 != 0 ||
           (uintptr_t)run->x.data % 16 != 0;
}

void gru_cuda_gather(gru_cuda_prologue *prologue, int32_t d, const gru_job *job, void *rows) {
    const gru_layer_config *config = &job->layer->config;
    prologue->x[d] = job->run->x;
    prologue->inputs[d] = config->inputs;
    prologue->pitch[d] = gru_cuda_input_pitch(config->inputs, config->weight_type);
    prologue->rows[d] = rows;
}

gru_cuda_x_rows gru_cuda_x_of(const gru_job *job, const void *gathered, int64_t s, int64_t steps) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const int64_t first = config->direction == GRU_REVERSE ? run->T - s - steps : s;
    if (gathered)
        return (gru_cuda_x_rows){gathered, gru_cuda_input_pitch(config->inputs, config->weight_type)};
    return (gru_cuda_x_rows){(const char *)run->x.data +
                                 (size_t)(first * run->x.time_stride) * gru_type_bytes(config->io_type),
                             even_stride(run)};
}

/* ---- projected input ---- */

gru_status gru_cuda_project(const gru_job *job, gru_cuda_x_rows x, int64_t rows, int64_t sums_of, float *out,
                            void *workspace) {
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(&job->layer->config);
    const gru_cuda_gemm_args factors = {.in = x.data,
                                        .in_stride = x.stride,
                                        .weights = packed_part(job, layout.W),
                                        .bias = packed_part(job, layout.bW),
                                        .rows = rows,
                                        .sums_of = sums_of,
                                        .out = out,
                                        .workspace = workspace};
    return gru_cuda_gemm_run(gru_cuda_device_of(job->layer->context),
                             gru_cuda_layer_of(job->layer)->gemms[GRU_CUDA_GEMM_A], &factors,
                             gru_cuda_stream(job->run->stream));
}

gru_cuda_input gru_cuda_projected_input(const gru_job *job, const float *projected) {
    const gru_layer_config *config = &job->layer->config;
    gru_cuda_input input = {.data = projected, .type = GRU_F32};
    input.batch_stride = gru_cuda_projected_row(config->hidden);
    if (!gru_cuda_gemm_adds_bias(gru_cuda_layer_of(job->layer)->gemms[GRU_CUDA_GEMM_A]))
        input.bias = packed_part(job, gru_cuda_packed_layout_of(config).bW);
    return input;
}

gru_cuda_input gru_cuda_given_input(const gru_job *job) {
    const gru_const_view *projected = &job->run->projected;
    const gru_cuda_input input = {.data = projected->data,
                                  .time_stride = projected->time_stride,
                                  .batch_stride = projected->batch_stride,
                                  .type = job->layer->config.io_type,
                                  .gate_stride = job->layer->config.hidden};
    return input;
}

int gru_cuda_takes_default_path(const gru_cuda_sequence *seq, const gru_cuda_input *input) {
    return !gru_cuda_override.general_path && seq->reset_mode != GRU_RESET_BEFORE &&
           seq->gate == GRU_GATE_SIGMOID && seq->candidate == GRU_CANDIDATE_TANH && seq->clip == 0 &&
           !seq->lengths && !seq->restart.data && !seq->attention.data && input->type == GRU_F32 &&
           !input->gate_stride && !input->time_stride;
}
