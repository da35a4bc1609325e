/* cpu_schedule.c: chooses threads and chunks by estimated time. */
#include "cpu_schedule.h"

#include "cpu_layout.h"

/* Rough speeds of one core: enough to tell layers that gain from a second thread from those that do not. */
static const double US_PER_FLOP = 1 / 80e3;
static const double US_PER_WEIGHT_BYTE = 1 / 60e3;

/* Below these a second thread costs more than it gains. To wake it takes the caller some 5 us, and the thread some 25 us to
 * come, in which the caller works alone; the end of a step takes some 0.5 us. */
static const double LEAST_CALL_US = 60;
static const double LEAST_STEP_US = 4;

/* Rows of a product below which its weights are read too often for too little work. */
enum { ROWS_PER_THREAD = 8, LEAST_CHUNK_ROWS = 32, MOST_CHUNK_ROWS = 256 };

/* Projected input that stays in a level 2 cache beside a panel of weights. */
enum { CHUNK_BYTES = 384 * 1024 };

static size_t chunk_rows(int32_t hidden) {
    const size_t rows = CHUNK_BYTES / (gru_cpu_panel_count(hidden) * PANEL * GATES * sizeof(float));
    return rows < LEAST_CHUNK_ROWS ? LEAST_CHUNK_ROWS : rows > MOST_CHUNK_ROWS ? MOST_CHUNK_ROWS : rows;
}

size_t gru_cpu_schedule_rows(int64_t T, int64_t N, int32_t hidden) {
    const size_t all = gru_size_times((size_t)T, (size_t)N);
    if (all <= LEAST_CHUNK_ROWS) return all; /* spares a streaming step the division */
    const size_t most = (size_t)N > chunk_rows(hidden) ? (size_t)N : chunk_rows(hidden);
    return all < most ? all : most;
}

/* Time of the recurrent product of one step on one core: of its arithmetic or of reading the weights, whichever is longer. */
static double step_us(int64_t N, double hidden) {
    const double arithmetic = 6 * hidden * hidden * (double)N * US_PER_FLOP;
    const double reading = 12 * hidden * hidden * US_PER_WEIGHT_BYTE;
    return arithmetic > reading ? arithmetic : reading;
}

int gru_cpu_worth_thread(int64_t T, int64_t N, int32_t inputs, int32_t hidden) {
    const double projection = 6.0 * hidden * inputs * (double)N * US_PER_FLOP;
    return (double)T * (step_us(N, hidden) + projection) >= LEAST_CALL_US;
}

int gru_cpu_worth_jobs(const gru_job *jobs, int32_t count) {
    if (count < 2 || count > jobs[0].layer->context->config.threads) return 0;
    for (int32_t i = 0; i < count; i++) {
        const gru_layer_config *config = &jobs[i].layer->config;
        if (!gru_cpu_worth_thread(jobs[i].run->T, jobs[i].run->N, config->inputs, config->hidden)) return 0;
    }
    return 1;
}

gru_cpu_schedule gru_cpu_schedule_for(int64_t T, int64_t N, int32_t inputs, int32_t hidden, int32_t threads) {
    gru_cpu_schedule schedule = {.threads = 1, .by_rows = 1, .chunk = 1};
    if (T == 0 || N == 0) return schedule;
    const size_t rows = gru_cpu_schedule_rows(T, N, hidden);
    const int whole = rows == gru_size_times((size_t)T, (size_t)N);
    schedule.chunk = whole ? T : (int64_t)(rows / (size_t)N);
    if (threads == 1 || !gru_cpu_worth_thread(T, N, inputs, hidden)) return schedule;
    if (N >= 2 * ROWS_PER_THREAD) {
        const int64_t most = N / ROWS_PER_THREAD;
        schedule.threads = most < threads ? (int32_t)most : threads;
        return schedule;
    }
    const int64_t panels = (int64_t)gru_cpu_panel_count(hidden);
    const double step = step_us(N, hidden);
    if (step < LEAST_STEP_US || panels < 2) return schedule;
    const double useful = step / (LEAST_STEP_US / 2);
    schedule.threads = useful < threads ? (int32_t)useful : threads;
    if (schedule.threads > panels) schedule.threads = (int32_t)panels;
    schedule.by_rows = 0;
    return schedule;
}
