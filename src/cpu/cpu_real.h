/* cpu_real.h: the type of number in which the fast CPU engines compute.
 *
 * The engines' files are compiled twice: as they stand for layers of f32 and 16 bits, and with GRU_CPU_F64 for layers of f64
 * (CMakeLists.txt lists them). The second time real is double, and the names of other files' functions end in _f64. Int8
 * weights and streaming steps exist in f32 alone. */
#ifndef GRU_CPU_REAL_H
#define GRU_CPU_REAL_H

#include "core/number.h"

#ifdef GRU_CPU_F64

typedef double real;
#define REAL_TYPE GRU_F64
#define REAL(constant) constant

#define gru_cpu_kernels gru_cpu_kernels_f64
#define gru_cpu_kernels_scalar gru_cpu_kernels_scalar_f64
#define gru_cpu_kernels_avx2 gru_cpu_kernels_avx2_f64
#define gru_cpu_kernels_avx512 gru_cpu_kernels_avx512_f64
#define gru_cpu_kernels_neon gru_cpu_kernels_neon_f64

#define gru_cpu_operands_of gru_cpu_operands_of_f64
#define gru_cpu_load_projected gru_cpu_load_projected_f64

#define gru_cpu_forward gru_cpu_forward_f64
#define gru_cpu_forward_workspace gru_cpu_forward_workspace_f64
#define gru_cpu_load_states gru_cpu_load_states_f64
#define gru_cpu_start_rows gru_cpu_start_rows_f64
#define gru_cpu_fill_absent_rows gru_cpu_fill_absent_rows_f64
#define gru_cpu_project_chunk gru_cpu_project_chunk_f64
#define gru_cpu_begin_step gru_cpu_begin_step_f64
#define gru_cpu_end_step gru_cpu_end_step_f64
#define gru_cpu_widen_inputs gru_cpu_widen_inputs_f64
#define gru_cpu_narrow_inputs gru_cpu_narrow_inputs_f64
#define gru_cpu_narrow_states gru_cpu_narrow_states_f64
#define gru_cpu_narrow_reset_states gru_cpu_narrow_reset_states_f64

#define gru_cpu_backward gru_cpu_backward_f64
#define gru_cpu_backward_workspace gru_cpu_backward_workspace_f64
#define gru_cpu_load_dh gru_cpu_load_dh_f64
#define gru_cpu_store_dh gru_cpu_store_dh_f64
#define gru_cpu_backward_steps_of_rows gru_cpu_backward_steps_of_rows_f64
#define gru_cpu_backward_steps_by_units gru_cpu_backward_steps_by_units_f64
#define gru_cpu_recompute gru_cpu_recompute_f64
#define gru_cpu_recompute_candidate gru_cpu_recompute_candidate_f64
#define gru_cpu_transpose_weights gru_cpu_transpose_weights_f64
#define gru_cpu_output_blocks gru_cpu_output_blocks_f64
#define gru_cpu_transposed_panel gru_cpu_transposed_panel_f64
#define gru_cpu_place_weight_sums gru_cpu_place_weight_sums_f64
#define gru_cpu_input_gradients gru_cpu_input_gradients_f64
#define gru_cpu_zero_absent gru_cpu_zero_absent_f64
#define gru_cpu_weight_gradients gru_cpu_weight_gradients_f64
#define gru_cpu_add_weight_gradients gru_cpu_add_weight_gradients_f64

#else

typedef float real;
#define REAL_TYPE GRU_F32
#define REAL(constant) constant##f

#endif

/* Numbers of any type that the engine's layers have, as reals, and back. f64 goes with f64 alone. */
static inline void gru_load_reals(const void *data, int32_t type, size_t first, real *row, size_t count) {
#ifdef GRU_CPU_F64
    (void)type;
    memcpy(row, (const double *)data + first, count * sizeof *row);
#else
    gru_load_floats(data, type, first, row, count);
#endif
}

static inline void gru_store_reals(void *data, int32_t type, size_t first, const real *row, size_t count) {
#ifdef GRU_CPU_F64
    (void)type;
    memcpy((double *)data + first, row, count * sizeof *row);
#else
    gru_store_floats(data, type, first, row, count);
#endif
}

#endif
