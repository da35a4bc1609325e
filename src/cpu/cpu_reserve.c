/* cpu_reserve.c: sizes, header and checks of a training run's reserve on the CPU. */
#include "cpu_reserve.h"

#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/reserve.h"
#include "cpu_kernels.h"

static uint64_t weights_sum(const gru_layer *layer, const gru_run *run) {
    const uint32_t *words = gru_run_packed(layer, run);
    uint64_t sum = 0;
    for (size_t i = 0; i < layer->packed_bytes / sizeof *words; i++) sum += gru_checksum_term(words[i], i);
    return gru_checksum_finish(sum);
}

static int checks_weights(const gru_layer *layer) {
    return (layer->context->config.flags & GRU_CHECK_WEIGHTS) != 0;
}

/* Of one row of one step. */
static size_t saved_bytes(const gru_layer_config *config) {
    const size_t number = config->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    return gru_cpu_panel_count(config->hidden) * PANEL * SAVED * number;
}

enum { LINE = 64 };

/* A line is added instead of the states rounded up, so that the size is A + B T N. */
size_t gru_cpu_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N, int32_t mode) {
    if (mode == GRU_TRAIN_RECOMPUTE) return gru_reserve_bytes(config, T, N);
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    return gru_size_plus(gru_size_plus(gru_reserve_bytes(config, T, N), LINE),
                         gru_size_times(rows, saved_bytes(config)));
}

/* Zeros what lies between states and activations, and behind them: no byte of the reserve stays unwritten for that. */
static void write_gaps(const gru_layer *layer, const gru_run *run) {
    char *const bytes = run->reserve;
    const size_t states = gru_reserve_bytes(&layer->config, run->T, run->N);
    const size_t behind = gru_size_lines(states),
                 all = gru_cpu_reserve_bytes(&layer->config, run->T, run->N, GRU_TRAIN);
    memset(bytes + states, 0, behind - states);
    memset(bytes + all - (LINE - (behind - states)), 0, LINE - (behind - states));
}

void *gru_cpu_reserve_saved(const gru_layer *layer, const gru_run *run, int64_t s, int64_t n) {
    const size_t behind = gru_size_lines(gru_reserve_bytes(&layer->config, run->T, run->N));
    const size_t row = (size_t)s * (size_t)run->N + (size_t)n;
    return (char *)run->reserve + behind + row * saved_bytes(&layer->config);
}

void gru_cpu_reserve_write_header(const gru_layer *layer, const gru_run *run, int saved) {
    if (run->mode == GRU_INFERENCE) return;
    gru_reserve_header header = gru_reserve_header_of(&layer->config, run);
    header.has_saved = saved ? 1 : 0;
    if (checks_weights(layer)) header.weights = weights_sum(layer, run), header.backend = GRU_BACKEND_CPU;
    memcpy(run->reserve, &header, sizeof header);
    if (run->mode == GRU_TRAIN) write_gaps(layer, run);
}

int gru_cpu_reserve_has_saved(const gru_run *run) {
    gru_reserve_header header;
    memcpy(&header, run->reserve, sizeof header);
    return header.has_saved == 1 && run->mode == GRU_TRAIN;
}

gru_status gru_cpu_reserve_check(const gru_layer *layer, const gru_run *run) {
    gru_reserve_header header;
    memcpy(&header, run->reserve, sizeof header);
    if (header.magic != gru_reserve_magic(&layer->config))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.reserve was not written by a training run of a layer like this one");
    if (header.T != run->T || header.N != run->N)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.reserve was written with T %lld and N %lld, but run has T %lld and N %lld",
                        (long long)header.T, (long long)header.N, (long long)run->T, (long long)run->N);
    if (checks_weights(layer) && header.weights && /* else no need to read them */
        gru_checksums_differ(header.weights, header.backend, weights_sum(layer, run), GRU_BACKEND_CPU))
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.reserve was made with other weights: the layer was updated, or run.packed changed, "
            "between forward and backward");
    return GRU_OK;
}
