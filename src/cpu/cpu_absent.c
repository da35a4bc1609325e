/* cpu_absent.c: fills in y where lengths or a mask leave a step out: zeros, or the output before. */
#include "cpu_absent.h"

#include <string.h>

void gru_cpu_fill_absent(const gru_layer *layer, const gru_run *run, int64_t n, gru_cpu_range units) {
    const size_t element = gru_type_bytes(layer->config.io_type), bytes = (units.end - units.begin) * element;
    const char *latest = NULL; /* the latest output; NULL: zeros */
    if (!run->y.data || !(run->lengths || run->mask.data)) return;
    for (int64_t visit = 0; visit < run->T; visit++) {
        const int64_t t = gru_step_time(layer->config.direction, run->T, visit);
        char *y = (char *)run->y.data + (GRU_ROW(run->y, t, n) + units.begin) * element;
        if (gru_run_has_step(run, t, n))
            latest = run->absent_output == GRU_ABSENT_LAST ? y : NULL;
        else if (latest)
            memcpy(y, latest, bytes);
        else
            memset(y, 0, bytes);
    }
}
