/* cuda_bad_data.c: a sentence for each kind of record. Kernels report what ran, so a sentence says what a number was. */
#include "cuda_bad_data.h"

static gru_status report_offsets(const gru_cuda_device_error *error) {
    const long long row = error->row, value = error->value, limit = error->limit;
    if (error->kind == GRU_CUDA_BAD_FIRST_OFFSET)
        return gru_fail(GRU_BAD_DATA, "run.offsets[0] was %lld, expected 0", value);
    if (error->kind == GRU_CUDA_BAD_LAST_OFFSET)
        return gru_fail(GRU_BAD_DATA, "run.offsets[%lld] was %lld, expected ragged_rows, which was %lld", row,
                        value, limit);
    return gru_fail(GRU_BAD_DATA,
                    "run.offsets[%lld] was %lld, expected at least offsets[%lld], which was %lld, at most T "
                    "more, and at most ragged_rows",
                    row, value, row - 1, limit);
}

static gru_status report_batch_sizes(const gru_cuda_device_error *error) {
    const long long row = error->row, value = error->value, limit = error->limit;
    switch (error->kind) {
    case GRU_CUDA_BAD_BATCH_SIZE:
        return gru_fail(GRU_BAD_DATA,
                        "run.batch_sizes[%lld] was %lld, expected 0 to %lld, the number before it or N", row,
                        value, limit);
    case GRU_CUDA_BAD_RAGGED_ROWS:
        return gru_fail(GRU_BAD_DATA,
                        "run.batch_sizes had %lld rows in all, expected ragged_rows, which was %lld", value,
                        limit);
    case GRU_CUDA_BAD_BATCH_ORDER:
        return gru_fail(GRU_BAD_DATA, "run.batch_order[%lld] was %lld, expected 0 to %lld, below N", row,
                        value, limit);
    default:
        return gru_fail(GRU_BAD_DATA, "run.batch_order had %lld twice, expected each sequence once", value);
    }
}

static gru_status report_slot(const gru_cuda_device_error *error, const char *name) {
    return gru_fail(GRU_BAD_DATA, "%s[%d] was %lld, expected 0 to %lld, below slot_count", name, error->row,
                    (long long)error->value, (long long)error->limit);
}

gru_status gru_cuda_bad_data(const gru_cuda_device_error *error) {
    switch (error->kind) {
    case GRU_CUDA_BAD_LENGTH:
        return gru_fail(GRU_BAD_DATA, "run.lengths[%d] was %lld, expected 0 to T, which was %lld", error->row,
                        (long long)error->value, (long long)error->limit);
    case GRU_CUDA_BAD_H0_SLOT:
        return report_slot(error, "run.h0_slots");
    case GRU_CUDA_BAD_HT_SLOT:
        return report_slot(error, "run.hT_slots");
    case GRU_CUDA_BAD_FIRST_OFFSET:
    case GRU_CUDA_BAD_OFFSET:
    case GRU_CUDA_BAD_LAST_OFFSET:
        return report_offsets(error);
    case GRU_CUDA_BAD_RESERVE:
        return gru_fail(
            GRU_BAD_DATA,
            "run.reserve was not written by a training run of a layer like this one with these T and N");
    case GRU_CUDA_OTHER_WEIGHTS:
        return gru_fail(
            GRU_BAD_DATA,
            "run.reserve was made with other weights: the layer was updated, or run.packed changed, "
            "between forward and backward");
    default:
        return report_batch_sizes(error);
    }
}
