/* check_view.c: the arithmetic of strides: how far a view extends, and whether its rows overlap. */
#include "check_view.h"

#include "core/layout.h"

/* Rows that are written must not overlap: the inner stride must hold a row, and the outer stride all rows of the inner. */
static int rows_are_apart(int64_t T, int64_t N, int64_t time_stride, int64_t batch_stride, int64_t row) {
    int64_t inner = batch_stride, outer = time_stride, inner_count = N, outer_count = T;
    if (outer < inner) {
        inner = time_stride, inner_count = T;
        outer = batch_stride, outer_count = N;
    }
    if (outer_count > 1 && inner_count > 1) return inner >= row && outer >= (inner_count - 1) * inner + row;
    const int64_t only = outer_count > 1 ? outer : inner; /* the stride that is used, if any */
    return (outer_count <= 1 && inner_count <= 1) || only >= row;
}

static gru_status fill_strides(int64_t N, const gru_checked_view *v) {
    const int64_t row = (int64_t)v->row;
    if (*v->time_stride < 0)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.time_stride is %lld, expected 0 (dense) or more", v->name,
                        (long long)*v->time_stride);
    if (*v->batch_stride < 0)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.batch_stride is %lld, expected 0 (dense) or more", v->name,
                        (long long)*v->batch_stride);
    if (*v->batch_stride == 0) *v->batch_stride = row;
    if (*v->time_stride == 0 && __builtin_mul_overflow(N, *v->batch_stride, v->time_stride))
        return gru_fail(GRU_BAD_ARGUMENT, "%s.batch_stride is %lld, which times N %lld is too large", v->name,
                        (long long)*v->batch_stride, (long long)N);
    return GRU_OK;
}

/* Bytes from the first to past the last row; SIZE_MAX if that overflows. */
static size_t view_extent(int64_t T, int64_t N, const gru_checked_view *v) {
    if (T == 1 && N == 1) return v->row * v->element; /* a streaming step: no product that could overflow */
    const size_t last_time = gru_size_times((size_t)(T - 1), (size_t)*v->time_stride);
    const size_t last_row = gru_size_times((size_t)(N - 1), (size_t)*v->batch_stride);
    return gru_size_times(gru_size_plus(gru_size_plus(last_time, last_row), v->row), v->element);
}

static gru_status check_view(int64_t T, int64_t N, const gru_checked_view *v, gru_regions *regions) {
    GRU_TRY(gru_check_aligned(v->name, v->data, v->element));
    GRU_TRY(fill_strides(N, v));
    if (T == 0 || N == 0 || v->row == 0) return GRU_OK;
    const size_t bytes = view_extent(T, N, v);
    if (bytes > PTRDIFF_MAX)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "%s: time_stride %lld and batch_stride %lld reach further than memory with T %lld, N %lld",
            v->name, (long long)*v->time_stride, (long long)*v->batch_stride, (long long)T, (long long)N);
    if (v->written && !rows_are_apart(T, N, *v->time_stride, *v->batch_stride, (int64_t)v->row))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s: time_stride %lld and batch_stride %lld make its rows of %zu elements overlap",
                        v->name, (long long)*v->time_stride, (long long)*v->batch_stride, v->row);
    gru_region *region = gru_regions_add(regions, v->name, v->data, bytes, v->written);
    if (!region) return GRU_OK;
    region->row_bytes = v->row * v->element;
    region->time_stride = T > 1 ? (size_t)*v->time_stride * v->element : 0;
    region->batch_stride = N > 1 ? (size_t)*v->batch_stride * v->element : 0;
    return GRU_OK;
}

/* One long sequence. */
static gru_status check_ragged_view(int64_t rows, const gru_checked_view *v, gru_regions *regions) {
    if (*v->batch_stride != 0)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.batch_stride is %lld, expected 0: the batch is ragged", v->name,
                        (long long)*v->batch_stride);
    GRU_TRY(check_view(rows, 1, v, regions));
    *v->batch_stride = 0;
    return GRU_OK;
}

gru_status gru_check_view(const gru_run *run, const gru_checked_view *v, gru_regions *regions) {
    return gru_run_is_ragged(run) ? check_ragged_view(run->ragged_rows, v, regions)
                                  : check_view(run->T, run->N, v, regions);
}

gru_status gru_check_reserved(const char *name, const uint64_t *words, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (words[i])
            return gru_fail(GRU_BAD_ARGUMENT,
                            "%s.reserved[%d] is %llu, expected 0: make the struct with GRU_INIT", name, i,
                            (unsigned long long)words[i]);
    return GRU_OK;
}
