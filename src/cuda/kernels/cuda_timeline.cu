/* cuda_timeline.cu: the table of times of a mask or a ragged batch (core/timeline.h), and outputs repeated at absent steps. */
#include "cuda_device_error.cuh"
#include "cuda_grid_stride.cuh"
#include "cuda_output.cuh"
#include "cuda_ragged.cuh"

namespace {

/* ---- the table: a thread lists the steps of one row ---- */

/* The time of a row's visit of so many. */
GRU_DEVICE int64_t visit_time(const gru_cuda_timeline &args, int64_t count, int64_t visit) {
    return args.direction == GRU_REVERSE ? count - 1 - visit : visit;
}

GRU_DEVICE void set_time(const gru_cuda_timeline &args, int64_t s, int64_t n, int64_t time) {
    args.times[s * args.N + n] = int32_t(time);
}

/* Present steps fill the column from its begin, absent ones from its end. The mask is read AHEAD steps at a time: each read
 * takes long, and the next would wait for the writes. */
GRU_DEVICE void list_mask(const gru_cuda_timeline &args, int n) {
    constexpr int AHEAD = 8;
    const uint8_t *mask = static_cast<const uint8_t *>(args.mask.data);
    int64_t present = 0;
    for (int64_t first = 0; first < args.T; first += AHEAD) {
        bool has[AHEAD] = {};
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) if (first + i < args.T) has[i] =
            mask[view_index(args.mask.time_stride, args.mask.batch_stride,
                            visit_time(args, args.T, first + i), n)] != 0;
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) {
            const int64_t visit = first + i, absent = visit - present;
            if (visit >= args.T) break;
            set_time(args, has[i] ? present : args.T - 1 - absent, n, visit_time(args, args.T, visit));
            present += has[i];
        }
    }
    args.counts[n] = int32_t(present);
}

/* Whether offset i is 0, or follows from the one before it: no row outside the tensors, no more than T steps. */
GRU_DEVICE bool is_right(const gru_cuda_timeline &args, int i) {
    const int64_t at = args.ragged.offsets[i], before = i > 0 ? args.ragged.offsets[i - 1] : 0;
    if (i == 0) return at == 0;
    return at >= before && at <= args.ragged.rows && uint64_t(at) - uint64_t(before) <= uint64_t(args.T);
}

/* The first wrong offset up to number `last`, or last + 1. All threads of a warp call it. */
GRU_DEVICE int first_wrong_offset(const gru_cuda_timeline &args, int last) {
    int wrong = last + 1;
    for (int i = int(threadIdx.x) % 32; i < wrong; i += 32)
        if (!is_right(args, i)) wrong = i;
    GRU_UNROLL for (int lane = 1; lane < 32; lane *= 2) wrong =
        min(wrong, __shfl_xor_sync(0xffffffffu, wrong, lane));
    return wrong;
}

GRU_DEVICE void report_offsets(const gru_cuda_timeline &args, int n, int wrong) {
    const int64_t *offsets = args.ragged.offsets;
    if (wrong == 0 && n == 0) record_error(args.device_error, GRU_CUDA_BAD_FIRST_OFFSET, 0, offsets[0], 0);
    if (wrong == n + 1)
        record_error(args.device_error, GRU_CUDA_BAD_OFFSET, wrong, offsets[wrong], offsets[n]);
    if (wrong > args.N && n == args.N - 1 && offsets[args.N] != args.ragged.rows)
        record_error(args.device_error, GRU_CUDA_BAD_LAST_OFFSET, args.N, offsets[args.N], args.ragged.rows);
}

/* Sequences from a wrong offset on have no steps: they could lie over each other. */
GRU_DEVICE void list_offsets(const gru_cuda_timeline &args, int n) {
    const int behind = n / 32 * 32 + 32; /* the rows of this warp */
    const int wrong = first_wrong_offset(args, behind < args.N ? behind : args.N);
    if (n >= args.N) return;
    report_offsets(args, n, wrong);
    const int64_t first = args.ragged.offsets[n];
    const int64_t count = n + 1 < wrong ? args.ragged.offsets[n + 1] - first : 0;
    for (int64_t s = 0; s < count; s++) set_time(args, s, n, first + visit_time(args, count, s));
    args.counts[n] = int32_t(count);
}

GRU_DEVICE void check_batch_sizes(const gru_cuda_timeline &args) {
    int64_t most = args.N, rows = 0;
    for (int64_t t = 0; t < args.T; t++) {
        const int64_t size = args.ragged.batch_sizes[t];
        if (size < 0 || size > most)
            record_error(args.device_error, GRU_CUDA_BAD_BATCH_SIZE, int(t), size, most);
        most = size;
        rows += clamped(size, 0, args.N);
    }
    if (rows != args.ragged.rows)
        record_error(args.device_error, GRU_CUDA_BAD_RAGGED_ROWS, 0, rows, args.ragged.rows);
}

/* How many steps sequence number `place` of the tensors has. */
GRU_DEVICE int64_t count_steps(const gru_cuda_timeline &args, int place) {
    BatchSizes at(args.N);
    for (; at.t < args.T; at.advance()) {
        at.read(args.ragged);
        if (place >= at.size) break;
    }
    return at.t;
}

/* Whether sequence n of batch_order exists and nobody else has it: its count was -1. */
GRU_DEVICE bool take_sequence(const gru_cuda_timeline &args, int place, int64_t n, int64_t count) {
    if (n < 0 || n >= args.N) {
        record_error(args.device_error, GRU_CUDA_BAD_BATCH_ORDER, place, n, args.N - 1);
        return false;
    }
    if (atomicCAS(reinterpret_cast<unsigned *>(args.counts + n), 0xffffffffu, unsigned(count)) == 0xffffffffu)
        return true;
    record_error(args.device_error, GRU_CUDA_TWICE_IN_BATCH_ORDER, place, n, args.N - 1);
    return false;
}

GRU_DEVICE void list_batch_sizes(const gru_cuda_timeline &args, int place) {
    const int64_t n = args.ragged.batch_order ? args.ragged.batch_order[place] : place;
    const int64_t count = count_steps(args, place);
    if (place == 0) check_batch_sizes(args);
    if (!take_sequence(args, place, n, count)) return;
    for (BatchSizes at(args.N); at.t < count; at.advance()) {
        at.read(args.ragged);
        set_time(args, visit_time(args, count, at.t), n, at.begin + place);
    }
}

GRU_DEVICE void make_timeline(const gru_cuda_timeline &args) {
    const int row = int(blockIdx.x * (WARPS * 32) + threadIdx.x);
    if (args.mask.data) {
        if (row < args.N) list_mask(args, row);
    } else if (args.ragged.offsets) {
        list_offsets(args, row);
    } else if (row < args.N) {
        list_batch_sizes(args, row);
    }
}

/* ---- repeated outputs ---- */

/* How many steps of row n are visited before the absent one that belongs to s and has time t. The table lists absent steps from
 * its end; lengths leave out the last times, which a reverse layer visits first. */
GRU_DEVICE int64_t steps_before(const gru_cuda_sequence &seq, int64_t length, int64_t s, int64_t t) {
    const bool reverse = seq.direction == GRU_REVERSE;
    if (!seq.times) return reverse ? 0 : length;
    const int64_t visit = reverse ? seq.T - 1 - t : t, absent = seq.T - 1 - s;
    return visit - absent;
}

GRU_DEVICE void repeat_outputs(const gru_cuda_sequence &seq) {
    const GridStride loop = grid_stride(seq.T * seq.N, seq.H);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, s = row / seq.N,
                      unit = i % loop.per_row * 32 + threadIdx.x % 32;
        const int n = int(row % seq.N);
        const int64_t length = row_length(seq, n);
        if (unit >= seq.H || s < length) continue;
        const int64_t t = row_time(seq, length, s, n), before = steps_before(seq, length, s, t);
        if (before == 0) continue; /* the steps have stored a zero */
        const auto y = [&](int64_t time) {
            return view_index(seq.y.time_stride, seq.y.batch_stride, time, n) + unit;
        };
        const float latest = load_number(seq.y.data, seq.io_type, y(row_time(seq, length, before - 1, n)));
        store_number(seq.y.data, seq.io_type, y(t), latest);
    }
}

/* Both in one kernel, because every kernel costs time to load, and these are small. */
struct TimelineArgs {
    gru_cuda_timeline line;
    gru_cuda_sequence seq;
    int32_t repeats;
};

__global__ void __launch_bounds__(WARPS * 32, 1) timeline_kernel(const __grid_constant__ TimelineArgs args) {
    if (args.repeats)
        repeat_outputs(args.seq);
    else
        make_timeline(args.line);
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_timeline(const gru_cuda_timeline *line, cudaStream_t stream) {
    Launch launch;
    launch.grid = dim3(blocks_for(line->N, WARPS * 32));
    launch.block = dim3(WARPS * 32);
    return start(timeline_kernel, launch, TimelineArgs{*line, {}, 0}, stream);
}

extern "C" cudaError_t gru_cuda_launch_repeat(const gru_cuda_sequence *seq, cudaStream_t stream) {
    return start(timeline_kernel, grid_stride_launch(seq->T * seq->N, seq->H, 1), TimelineArgs{{}, *seq, 1},
                 stream);
}

extern "C" cudaError_t gru_cuda_load_timeline(void) {
    return load(timeline_kernel, 0);
}
