/* cuda_first_state.cuh: the state with which a call begins, and the checks of the numbers that lead to it. */
#ifndef GRU_CUDA_FIRST_STATE_CUH
#define GRU_CUDA_FIRST_STATE_CUH

#include "cuda_device_error.cuh"
#include "cuda_output.cuh"

namespace {

/* Records a length or slot of row n that is out of range. */
GRU_DEVICE void check_row(gru_cuda_device_error *error, const gru_cuda_sequence &seq, const int32_t *h0_slots,
                          int n) {
    const auto outside = [](int64_t value, int64_t limit) { return value < 0 || value > limit; };
    if (seq.lengths && !seq.times && outside(seq.lengths[n], seq.T))
        record_error(error, GRU_CUDA_BAD_LENGTH, n, seq.lengths[n], seq.T);
    const int64_t last = int64_t(seq.slot_count) - 1;
    if (h0_slots && outside(h0_slots[n], last))
        record_error(error, GRU_CUDA_BAD_H0_SLOT, n, h0_slots[n], last);
    if (seq.hT_slots && outside(seq.hT_slots[n], last))
        record_error(error, GRU_CUDA_BAD_HT_SLOT, n, seq.hT_slots[n], last);
}

/* A row of states, of the sequence's state_type. */
struct StateRow {
    const void *data; /* NULL: zeros */
    int64_t first;    /* index of unit 0 */
};

/* The row that enters the first step of row n: of h_restart where a segment starts there, else of h0. */
GRU_DEVICE StateRow first_state(const gru_cuda_sequence &seq, const void *h0, int64_t h0_stride,
                                const int32_t *h0_slots, int n) {
    if (segment_starts(seq, row_length(seq, n), 0, n)) return {seq.h_restart, int64_t(n) * seq.H};
    const int64_t row = h0_slots ? h0_slots[n] : n;
    if (h0_slots && (row < 0 || row >= seq.slot_count)) return {nullptr, 0};
    return {h0, row * h0_stride};
}

GRU_DEVICE float state_at(const gru_cuda_sequence &seq, const StateRow &row, int unit) {
    return row.data ? load_number(row.data, seq.state_type, row.first + unit) : 0.0f;
}

} // namespace
#endif
