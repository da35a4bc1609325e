/* check_steps.c: the checks of lengths, masks, offsets and batch sizes, field by field, then number by number. */
#include "check_steps.h"

#include <string.h>

#include "core/error.h"
#include "core/layout.h"

/* ---- fields ---- */

static gru_status check_only_one(const gru_run *run) {
    const struct {
        const char *name;
        const void *data;
    } given[] = {{"run.lengths", run->lengths},
                 {"run.mask", run->mask.data},
                 {"run.offsets", run->offsets},
                 {"run.batch_sizes", run->batch_sizes}};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        if (given[i].data && first)
            return gru_fail(GRU_BAD_ARGUMENT,
                            "%s and %s are both given, expected at most one of lengths, mask, offsets and "
                            "batch_sizes",
                            first, given[i].name);
        if (given[i].data) first = given[i].name;
    }
    return GRU_OK;
}

/* Tables of times count in 32 bits. */
static gru_status check_ragged_rows(const gru_run *run) {
    const long long rows = run->ragged_rows;
    int64_t most;
    if (!gru_run_is_ragged(run))
        return rows == 0 ? GRU_OK
                         : gru_fail(GRU_BAD_ARGUMENT,
                                    "run.ragged_rows is %lld, expected 0: neither offsets nor batch_sizes is "
                                    "given",
                                    rows);
    if (__builtin_mul_overflow(run->T, run->N, &most) || most > INT32_MAX) most = INT32_MAX;
    if (rows >= 0 && rows <= most) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "run.ragged_rows is %lld, expected 0 to %lld with T %lld and N %lld",
                    rows, (long long)most, (long long)run->T, (long long)run->N);
}

gru_status gru_check_steps_fields(const gru_run *run) {
    GRU_TRY(check_only_one(run));
    GRU_TRY(check_ragged_rows(run));
    if (run->batch_order && !run->batch_sizes)
        return gru_fail(GRU_BAD_ARGUMENT, "run.batch_order is given, but run.batch_sizes is NULL");
    if (run->mask.data && run->T > INT32_MAX)
        return gru_fail(GRU_BAD_ARGUMENT, "run.T is %lld, expected at most %d with a mask", (long long)run->T,
                        INT32_MAX);
    if (run->absent_output == GRU_ABSENT_ZERO || run->absent_output == GRU_ABSENT_LAST) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "run.absent_output is %d, expected GRU_ABSENT_ZERO or GRU_ABSENT_LAST",
                    run->absent_output);
}

/* ---- numbers ---- */

static gru_status check_lengths(const gru_run *run) {
    for (int64_t n = 0; n < run->N; n++)
        if (run->lengths[n] < 0 || run->lengths[n] > run->T)
            return gru_fail(GRU_BAD_DATA, "run.lengths[%lld] is %d, expected 0 to T, which is %lld",
                            (long long)n, run->lengths[n], (long long)run->T);
    return GRU_OK;
}

static gru_status check_offset(const gru_run *run, int64_t n) {
    const long long at = run->offsets[n], before = n ? run->offsets[n - 1] : 0;
    if (n == 0 && at != 0) return gru_fail(GRU_BAD_DATA, "run.offsets[0] is %lld, expected 0", at);
    if (at < before)
        return gru_fail(GRU_BAD_DATA,
                        "run.offsets[%lld] is %lld, expected at least offsets[%lld], which is %lld",
                        (long long)n, at, (long long)n - 1, before);
    if (at > run->ragged_rows)
        return gru_fail(GRU_BAD_DATA,
                        "run.offsets[%lld] is %lld, expected at most ragged_rows, which is %lld",
                        (long long)n, at, (long long)run->ragged_rows);
    if (at - before > run->T)
        return gru_fail(GRU_BAD_DATA,
                        "run.offsets[%lld] is %lld, expected at most offsets[%lld] + T, which is %lld",
                        (long long)n, at, (long long)n - 1, before + (long long)run->T);
    return GRU_OK;
}

static gru_status check_offsets(const gru_run *run) {
    for (int64_t n = 0; n <= run->N; n++) GRU_TRY(check_offset(run, n));
    if (run->offsets[run->N] == run->ragged_rows) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "run.offsets[%lld] is %lld, expected ragged_rows, which is %lld",
                    (long long)run->N, (long long)run->offsets[run->N], (long long)run->ragged_rows);
}

static gru_status check_batch_sizes(const gru_run *run) {
    int64_t rows = 0, before = run->N;
    for (int64_t t = 0; t < run->T; t++) {
        const long long size = run->batch_sizes[t];
        if (size < 0 || size > run->N)
            return gru_fail(GRU_BAD_DATA, "run.batch_sizes[%lld] is %lld, expected 0 to N, which is %lld",
                            (long long)t, size, (long long)run->N);
        if (size > before)
            return gru_fail(
                GRU_BAD_DATA,
                "run.batch_sizes[%lld] is %lld, expected at most batch_sizes[%lld], which is %lld: "
                "longer sequences come first",
                (long long)t, size, (long long)t - 1, (long long)before);
        before = size;
        rows += size;
    }
    if (rows == run->ragged_rows) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "run.batch_sizes has %lld rows in all, expected ragged_rows, which is %lld",
                    (long long)rows, (long long)run->ragged_rows);
}

static gru_status check_order_range(const gru_run *run) {
    for (int64_t i = 0; i < run->N; i++) {
        const long long n = run->batch_order[i];
        if (n < 0 || n >= run->N)
            return gru_fail(GRU_BAD_DATA, "run.batch_order[%lld] is %lld, expected 0 to %lld, below N",
                            (long long)i, n, (long long)run->N - 1);
    }
    return GRU_OK;
}

enum { WINDOW = 1 << 14 }; /* sequences that one reading of batch_order looks for */

/* Each of the sequences from `first` on, as many as a window has, at most once. */
static gru_status check_order_window(const gru_run *run, int64_t first) {
    uint8_t seen[WINDOW / 8];
    const int64_t count = run->N - first < WINDOW ? run->N - first : WINDOW;
    memset(seen, 0, (size_t)(count + 7) / 8);
    for (int64_t i = 0; i < run->N; i++) {
        const int64_t at = run->batch_order[i] - first;
        if (at < 0 || at >= count) continue;
        if (seen[at / 8] >> at % 8 & 1)
            return gru_fail(GRU_BAD_DATA, "run.batch_order has %lld twice, expected each sequence once",
                            (long long)run->batch_order[i]);
        seen[at / 8] |= (uint8_t)(1 << at % 8);
    }
    return GRU_OK;
}

/* In windows, as there is no memory to mark all sequences in: the workspace may hold the data part of a backward pass. */
static gru_status check_batch_order(const gru_run *run) {
    GRU_TRY(check_order_range(run));
    for (int64_t first = 0; first < run->N; first += WINDOW) GRU_TRY(check_order_window(run, first));
    return GRU_OK;
}

gru_status gru_check_steps(const gru_run *run) {
    if (run->lengths) return check_lengths(run);
    if (run->offsets) return check_offsets(run);
    if (!run->batch_sizes) return GRU_OK;
    GRU_TRY(check_batch_sizes(run));
    return run->batch_order ? check_batch_order(run) : GRU_OK;
}
