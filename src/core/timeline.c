/* timeline.c: makes the table of times of a mask or a ragged batch, on the host. */
#include "timeline.h"

#include <string.h>

size_t gru_timeline_bytes(int64_t T, int64_t N) {
    const size_t rows = gru_size_times(gru_size_plus((size_t)T, 1), (size_t)N);
    return gru_size_lines(gru_size_times(rows, sizeof(int32_t)));
}

int64_t gru_timeline_longest(const gru_timeline *line) {
    int64_t longest = 0;
    if (!line->counts) return line->N > 0 ? line->T : 0;
    for (int64_t n = 0; n < line->N; n++)
        if (line->counts[n] > longest) longest = line->counts[n];
    return longest;
}

/* Present steps fill a column from its begin, absent ones from its end. */
static void list_mask(const gru_run *run, int32_t direction, int32_t *counts, int32_t *times) {
    memset(counts, 0, (size_t)run->N * sizeof *counts);
    for (int64_t visit = 0; visit < run->T; visit++) {
        const int64_t t = gru_step_time(direction, run->T, visit);
        for (int64_t n = 0; n < run->N; n++) {
            const int64_t absent = visit - counts[n];
            const int64_t s = gru_run_has_step(run, t, n) ? counts[n]++ : run->T - 1 - absent;
            times[s * run->N + n] = (int32_t)t;
        }
    }
}

static void list_offsets(const gru_run *run, int32_t direction, int32_t *counts, int32_t *times) {
    for (int64_t n = 0; n < run->N; n++) {
        const int64_t count = run->offsets[n + 1] - run->offsets[n];
        counts[n] = (int32_t)count;
        for (int64_t s = 0; s < count; s++)
            times[s * run->N + n] = (int32_t)(run->offsets[n] + gru_step_time(direction, count, s));
    }
}

static void list_batch_sizes(const gru_run *run, int32_t direction, int32_t *counts, int32_t *times) {
    memset(counts, 0, (size_t)run->N * sizeof *counts);
    for (int64_t t = 0; t < run->T; t++)
        for (int64_t place = 0; place < run->batch_sizes[t]; place++) counts[gru_sequence_at(run, place)]++;
    for (int64_t t = 0, begin = 0; t < run->T; begin += run->batch_sizes[t], t++)
        for (int64_t place = 0; place < run->batch_sizes[t]; place++) {
            const int64_t n = gru_sequence_at(run, place);
            times[gru_step_time(direction, counts[n], t) * run->N + n] = (int32_t)(begin + place);
        }
}

gru_timeline gru_timeline_of(const gru_run *run, int32_t direction, void *memory) {
    gru_timeline line = {
        .T = run->T, .N = run->N, .direction = direction, .counts = run->lengths, .restart = run->restart};
    int32_t *counts = memory, *times = counts + run->N;
    if (!run->mask.data && !gru_run_is_ragged(run)) return line;
    if (gru_run_is_ragged(run)) memset(times, 0xFF, (size_t)(run->T * run->N) * sizeof *times); /* -1 */
    if (run->mask.data)
        list_mask(run, direction, counts, times);
    else if (run->offsets)
        list_offsets(run, direction, counts, times);
    else
        list_batch_sizes(run, direction, counts, times);
    line.counts = counts;
    line.times = times;
    return line;
}
