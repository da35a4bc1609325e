# Every term of the backward equations, left out, with the other sign or with another factor, one at a time. test_mutations runs
# the backward pass with each, and the gradients must then be found to be wrong: those of cpu_reference by differences, those of
# the engines in f32 by cpu_reference. All are in one program: each expression of the lists becomes a choice, which the test
# makes. The program's copies take the place of the library's files: the linker takes from an archive only what is missing.

set(mutations "")
set(mutated_folder ${CMAKE_CURRENT_BINARY_DIR}/mutated)

# open_file(NAME), which is in src/cpu, and close_file() behind its last mutation.
macro(open_file name)
    set(mutated_name ${name})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cpu/${name})
    file(READ ${PROJECT_SOURCE_DIR}/src/cpu/${name} original)
    set(mutated "extern int gru_mutation;\n")
    set(cursor 0)
endmacro()

macro(close_file)
    string(SUBSTRING "${original}" ${cursor} -1 rest)
    file(CONFIGURE OUTPUT ${mutated_folder}/${mutated_name} CONTENT "${mutated}${rest}" @ONLY)
endmacro()

# find_behind(RESULT TEXT): where it stands in the file, from the cursor on.
macro(find_behind result text)
    string(SUBSTRING "${original}" ${cursor} -1 rest)
    string(FIND "${rest}" "${text}" found)
    if(found EQUAL -1)
        message(FATAL_ERROR "mutations.cmake: ${mutated_name} has no longer \"${text}\" there")
    endif()
    math(EXPR ${result} "${cursor} + ${found}")
endmacro()

# inside(TEXT): goes on to this place of the file.
macro(inside text)
    find_behind(place "${text}")
    string(SUBSTRING "${original}" ${cursor} "${found}" before)
    string(APPEND mutated "${before}")
    set(cursor ${place})
endmacro()

# mutate(FROM NAME TO [NAME TO]...): the next expression FROM may be each TO.
function(mutate from)
    inside("${from}")
    set(choice "(${from})")
    set(alternatives ${ARGN})
    while(alternatives)
        list(POP_FRONT alternatives name to)
        list(LENGTH mutations number)
        list(APPEND mutations ${name})
        string(PREPEND choice "(gru_mutation == ${number} ? (${to}) : ")
        string(APPEND choice ")")
    endwhile()
    string(LENGTH "${from}" length)
    math(EXPR cursor "${cursor} + ${length}")
    set(mutated "${mutated}${choice}" PARENT_SCOPE)
    set(cursor ${cursor} PARENT_SCOPE)
    set(mutations ${mutations} PARENT_SCOPE)
endfunction()

# ---- cpu_reference ----

open_file(cpu_reference_backward.c)
inside("static double clip_slope(")
mutate("v > limit || v < -limit" clip_passes_everything "0")

inside("static double gate_slope(")
mutate("outer * value * (1 - value)"
       sigmoid_without_clip "value * (1 - value)"        sigmoid_without_value "outer * (1 - value)"
       sigmoid_without_complement "outer * value"        sigmoid_with_the_other_sign "-outer * value * (1 - value)")
mutate("line > 1 || line < 0" hard_sigmoid_without_ends "0")
mutate("outer * (double)config->hard_slope"
       hard_sigmoid_without_clip "(double)config->hard_slope"   hard_sigmoid_without_slope "outer"
       hard_sigmoid_with_the_other_sign "-outer * (double)config->hard_slope")

inside("static double candidate_slope(")
mutate("outer * (1 - value * value)"
       tanh_without_clip "1 - value * value"             tanh_without_square "outer"
       tanh_with_the_other_sign "-outer * (1 - value * value)")
mutate("v < 0 ? 0 : outer"
       relu_without_kink "outer"   relu_without_clip "v < 0 ? 0 : 1"   relu_with_the_other_sign "v < 0 ? 0 : -outer")
inside("return outer")
mutate("outer" linear_without_clip "1" linear_with_the_other_sign "-outer")

inside("static void add_transposed_R(")
mutate("gru_reference_R(f, g, j, k) * dc[j]"
       recurrent_product_not_transposed "gru_reference_R(f, g, k, j) * dc[j]"
       recurrent_product_with_the_other_sign "-gru_reference_R(f, g, j, k) * dc[j]")

inside("static double through_candidate(")
inside("d[DA_N * H + j] = ")
mutate("dv" after_without_input_side "0" after_with_the_other_input_sign "-dv")
mutate("dv * f->r[j]"
       after_without_recurrent_side "0"   after_recurrent_side_without_r "dv"   after_with_the_other_recurrent_sign "-dv * f->r[j]")
mutate("dv * c" after_without_reset_gate "0" after_reset_gate_without_c "dv" after_reset_gate_with_a "dv * (a + c)"
       after_with_the_other_reset_sign "-dv * c")
mutate("dv * f->r[j]" all_without_candidate "0" all_candidate_without_r "dv" all_with_the_other_sign "-dv * f->r[j]")
mutate("dv * (a + c)" all_without_reset_gate "0" all_reset_gate_without_a "dv * c" all_reset_gate_without_c "dv * a"
       all_with_the_other_reset_sign "-dv * (a + c)")
inside("d[DA_N * H + j] = dv")
mutate("dv" before_without_candidate "0" before_with_the_other_sign "-dv")
mutate("f->r[j] * f->h[j]" before_product_without_r "f->h[j]" before_product_without_h "f->r[j]")

inside("recurrent_gradient(const sweep")
mutate("extra ? EXTRA : g" recurrent_side_is_input_side "g")

inside("static double sweep_step(")
mutate("dh * (1 - z)" keep_without_candidate "0" keep_candidate_without_gate "dh"
       keep_candidate_with_the_other_sign "-dh * (1 - z)")
mutate("dh * z" write_without_candidate "0" write_candidate_without_gate "dh"
       write_candidate_with_the_other_sign "-dh * z")
mutate("dh * (f->h[j] - f->n[j])"
       keep_without_update_gate "0"           keep_update_gate_without_h "-dh * f->n[j]"
       keep_update_gate_without_n "dh * f->h[j]"   keep_update_gate_with_the_other_sign "dh * (f->n[j] - f->h[j])")
mutate("dh * (f->n[j] - f->h[j])"
       write_without_update_gate "0"          write_update_gate_without_h "dh * f->n[j]"
       write_update_gate_without_n "-dh * f->h[j]" write_update_gate_with_the_other_sign "dh * (f->h[j] - f->n[j])")
mutate("dh * z" keep_without_direct_part "0" keep_direct_part_without_gate "dh" keep_direct_part_with_the_other_sign "-dh * z")
mutate("dh * (1 - z)" write_without_direct_part "0" write_direct_part_without_gate "dh"
       write_direct_part_with_the_other_sign "-dh * (1 - z)")
mutate("-dz * f->z[j]" keep_without_attention "0" keep_attention_without_gate "-dz"
       keep_attention_with_the_other_sign "dz * f->z[j]")
mutate("dz * (1 - f->z[j])" write_without_attention "0" write_attention_without_gate "dz"
       write_attention_with_the_other_sign "-dz * (1 - f->z[j])")
mutate("dz * (1 - w)" update_gate_without_attention "dz" update_gate_with_the_other_sign "-dz * (1 - w)")
mutate("gate_slope(config, f->v[GATE_Z * H + j], f->z[j])" update_gate_without_slope "1")
mutate("dn * candidate_slope(config, f->v[GATE_N * H + j], f->n[j])"
       candidate_without_gradient "0"         candidate_without_slope "dn")
mutate("add_transposed_R(f, GATE_N, d + DA_N * H, p->drh)" before_without_product "(void)0")
mutate("p->drh[j] * f->h[j]" before_without_reset_gate "0" before_reset_gate_without_h "p->drh[j]"
       before_with_the_other_reset_sign "-p->drh[j] * f->h[j]")
mutate("p->drh[j] * f->r[j]" before_without_state "0" before_state_without_r "p->drh[j]"
       before_with_the_other_state_sign "-p->drh[j] * f->r[j]")
mutate("add_transposed_R(f, GATE_N, recurrent_gradient(p, d, GATE_N), p->dh)" state_without_candidate "(void)0")
mutate("gate_slope(config, f->v[GATE_R * H + j], f->r[j])" reset_gate_without_slope "1" reset_gate_with_the_other_sign
       "-gate_slope(config, f->v[GATE_R * H + j], f->r[j])")
mutate("add_transposed_R(f, GATE_R, d + DA_R * H, p->dh)" state_without_reset_gate "(void)0")
mutate("add_transposed_R(f, GATE_Z, d + DA_Z * H, p->dh)" state_without_update_gate "(void)0")

inside("static void write_input_gradients(")
inside("GRU_ROW(g->dattention, t, n), dw")
inside("dw")
mutate("dw" attention_gradient_missing "0")
inside("d ? d[i]")
mutate("d[i]" projected_gradient_missing "0" projected_gradient_with_the_other_sign "-d[i]")
mutate("gru_reference_W(f, q, j, i) * d[(size_t)q * f->H + j]"
       input_gradient_of_one_gate "(q ? 0 : gru_reference_W(f, q, j, i) * d[(size_t)q * f->H + j])"
       input_gradient_with_the_other_sign "-gru_reference_W(f, q, j, i) * d[(size_t)q * f->H + j]")

inside("static void sweep_row(")
mutate("gru_load_double(g->dhT, state, (size_t)n * f->H + j)" final_state_missing "0" final_state_with_the_other_sign
       "-gru_load_double(g->dhT, state, (size_t)n * f->H + j)")
mutate("gru_step_time(direction, length, s)" times_without_direction "s")
mutate("gru_load_double(g->dy.data, io, GRU_ROW(g->dy, t, n) + j)" outputs_missing "0" outputs_with_the_other_sign
       "-gru_load_double(g->dy.data, io, GRU_ROW(g->dy, t, n) + j)")
mutate("!gru_segment_starts(f->run, direction, length, s, n)" segments_missing "1" segments_a_step_early
       "!gru_segment_starts(f->run, direction, length, s + 1 < length ? s + 1 : s, n)")
inside("dh_restart[j] += ")
mutate("p->dh[j]" reset_state_missing "0" reset_state_with_the_other_sign "-p->dh[j]")
inside("p->dh[j] = 0")
mutate("0" gradient_flows_past_a_segment "p->dh[j]")
inside("gru_store_double(g->dh0")
mutate("p->dh[j]" first_state_missing "0" first_state_with_the_other_sign "-p->dh[j]")
inside("j, dh_restart[j]")
mutate("dh_restart[j]" reset_state_not_written "0")

inside("static double recurrent_input(")
mutate("step_vectors(p, s, n)[EXTRA * f->H + k]" candidate_weights_without_r
       "gru_load_double(states, f->state_type, gru_reserve_index(layer, f->run, s, n) + k)")
inside("return gru_load_double(states")
mutate("gru_reserve_index(layer, f->run, s, n) + k" recurrent_weights_a_step_late
       "gru_reserve_index(layer, f->run, s + 1 < f->run->T ? s + 1 : s, n) + k")

inside("static double weight_gradient(")
inside("int64_t s = 0")
mutate("0" weights_without_first_step "1")
mutate("recurrent ? recurrent_gradient(p, d, g)[j] : d[(size_t)g * f->H + j]"
       recurrent_weights_as_of_input "d[(size_t)g * f->H + j]")
mutate("gru_step_time(f->config->direction, length, s)" weights_times_without_direction "s")
inside("sum += ")
mutate("gradient" biases_missing "0" biases_with_the_other_sign "-gradient")
mutate("gradient * recurrent_input(p, layer, g, (size_t)k, s, n)" recurrent_weights_missing "0"
       recurrent_weights_without_state "gradient" recurrent_weights_with_the_other_sign
       "-gradient * recurrent_input(p, layer, g, (size_t)k, s, n)")
inside("sum += gradient *")
mutate("gradient" input_weights_missing "0" input_weights_with_the_other_sign "-gradient")

inside("static void add_weight_gradients(")
inside("const double before = overwrite ? 0 : ")
mutate("gru_load_double(out, p->f.state_type, at)" weights_not_added "0")
mutate("scale * sum" loss_scale_missing "sum" loss_scale_twice "scale * scale * sum")

close_file()
list(LENGTH mutations reference_count)

# ---- the engines in f32: the cell ----

open_file(cpu_backward_step.inl)
inside("INLINE vec clip_slope(")
mutate("vec_if_less(vec_set1(cell->clip), v, vec_set1(0.0f), slope)" upper_clip_passes_everything "slope")
mutate("vec_if_less(v, vec_set1(-cell->clip), vec_set1(0.0f), slope)" lower_clip_passes_everything "slope")
inside("INLINE vec gate_slope(")
mutate("vec_mul(value, vec_sub(one, value))"
       f32_sigmoid_without_value "vec_sub(one, value)"      f32_sigmoid_without_complement "value"
       f32_sigmoid_with_the_other_sign "vec_mul(value, vec_sub(value, one))")
mutate("vec_if_less(one, line, zero, vec_if_less(line, zero, zero, vec_set1(cell->slope)))"
       f32_hard_sigmoid_without_ends "vec_set1(cell->slope)"
       f32_hard_sigmoid_without_upper_end "vec_if_less(line, zero, zero, vec_set1(cell->slope))"
       f32_hard_sigmoid_without_lower_end "vec_if_less(one, line, zero, vec_set1(cell->slope))"
       f32_hard_sigmoid_without_slope "vec_if_less(one, line, zero, vec_if_less(line, zero, zero, one))")
inside("INLINE vec candidate_slope(")
mutate("vec_fnma(value, value, one)" f32_tanh_without_square "one" f32_tanh_with_the_other_square "vec_fma(value, value, one)")
mutate("vec_if_less(kept, vec_set1(0.0f), vec_set1(0.0f), one)" f32_relu_without_kink "one")
inside("INLINE vec sweep_vector(")
mutate("vec_add(dh, vec_load(p->dy + i))" f32_outputs_missing "dh" f32_outputs_with_the_other_sign
       "vec_sub(dh, vec_load(p->dy + i))")
mutate("keep ? vec_sub(h, n) : vec_sub(n, h)"
       f32_update_gate_with_the_other_sign "keep ? vec_sub(n, h) : vec_sub(h, n)"
       f32_update_gate_without_h "keep ? vec_sub(vec_set1(0.0f), n) : n"
       f32_update_gate_without_n "keep ? h : vec_sub(vec_set1(0.0f), h)")
mutate("keep ? vec_mul(rest, z) : vec_sub(one, vec_mul(rest, vec_sub(one, z)))" f32_attention_not_applied "z")
mutate("keep ? vec_mul(dz, vec_sub(vec_set1(0.0f), z)) : vec_mul(dz, vec_sub(one, z))"
       f32_without_attention "vec_set1(0.0f)"               f32_attention_without_gate "keep ? vec_sub(vec_set1(0.0f), dz) : dz"
       f32_attention_with_the_other_sign "keep ? vec_mul(dz, z) : vec_mul(dz, vec_sub(z, one))")
mutate("vec_mul(dz, rest)" f32_update_gate_without_attention "dz")
mutate("keep ? others : attended" f32_candidate_without_gate "one" f32_candidate_with_the_other_gate "keep ? attended : others")
mutate("vec_mul(dn, candidate_slope(cell, kept_n, n))" f32_without_candidate "vec_set1(0.0f)" f32_candidate_without_slope "dn")
mutate("keep ? attended : others" f32_without_direct_part "vec_set1(0.0f)" f32_direct_part_without_gate "one"
       f32_direct_part_with_the_other_gate "keep ? others : attended")
mutate("vec_mul(dz, gate_slope(cell, kept_z, z))" f32_without_update_gate "vec_set1(0.0f)" f32_update_gate_without_slope "dz")
inside("vec_store(p->d[D_N] + i, dv)")
mutate("dv" f32_before_without_candidate "vec_set1(0.0f)")
mutate("extra" f32_before_product_missing "vec_set1(0.0f)")
mutate("vec_mul(dv, r)" f32_recurrent_side_without_r "dv")
mutate("vec_mul(dv, extra)" f32_without_reset_gate "vec_set1(0.0f)" f32_reset_gate_without_product "dv"
       f32_reset_gate_with_the_other_sign "vec_sub(vec_set1(0.0f), vec_mul(dv, extra))")
mutate("cell->reset_mode == GRU_RESET_AFTER ? dv : inner" f32_after_with_r "inner" f32_all_without_r "dv")
mutate("vec_mul(dr, gate_slope(cell, kept_r, r))" f32_reset_gate_without_slope "dr")
inside("sum += dattention[i]")
mutate("dattention[i]" f32_attention_not_summed "0.0f")
inside("static void sweep_reset(")
mutate("vec_mul(drh, vec_load(p.h + i))" f32_before_without_reset_gate "vec_set1(0.0f)" f32_before_reset_gate_without_h "drh")
mutate("vec_mul(dr, gate_slope(cell, kept, r))" f32_before_reset_gate_without_slope "dr")
mutate("vec_fma(drh, r, vec_load(p.dh + i))"
       f32_before_without_state "vec_load(p.dh + i)"        f32_before_state_without_r "vec_add(drh, vec_load(p.dh + i))")
close_file()

# ---- the engines in f32: from step to step ----

open_file(cpu_backward_step.c)
inside("if (f->gradients->dhT)")
mutate("f->gradients->dhT" f32_final_state_missing "0")
inside("static void gather_rows(")
mutate("gru_step_time(f->layer->config.direction, length, s)" f32_times_without_direction "s")
inside("static void end_segments(")
mutate("!gru_segment_starts(f->run, direction, gru_run_length(f->run, n), s, n)" f32_segments_missing "1")
inside("dh_restart[j] += ")
mutate("dh[j]" f32_reset_state_missing "0.0f")
inside("dh[j] = 0.0f")
mutate("0.0f" f32_gradient_flows_past_a_segment "dh[j]")
mutate("multiply(p, D_N, 0, H, f->drh, 1)" f32_before_without_product "(void)0")
mutate("multiply(p, D_R, H, 2 * H, f->dh, 0)" f32_before_state_without_gates "(void)0")
mutate("multiply(p, D_RECURRENT, 0, GATES * H, f->dh, 0)"
       f32_state_without_product "(void)0"                  f32_state_without_candidate "multiply(p, D_R, H, 2 * H, f->dh, 0)")
close_file()

# ---- the engines in f32: sums over steps ----

open_file(cpu_weight_gradients.c)
inside("static slots slots_of(")
mutate("(slots){D_N, before ? 1 : 0}" f32_candidate_weights_missing "(slots){D_N, 0}")
mutate("(slots){before ? D_R : D_RECURRENT, before ? 2 : GATES}"
       f32_recurrent_weights_as_of_input "(slots){D_R, before ? 2 : GATES}")
mutate("gru_cpu_d_row(p, place->s, place->n) + D_RECURRENT * f->H"
       f32_candidate_weights_without_r "gru_cpu_h_row(p, place->s, place->n)")
mutate("sums[i] * factor" f32_loss_scale_missing "sums[i]" f32_loss_scale_twice "sums[i] * factor * factor")
mutate("to[i] + sum" f32_weights_not_added "sum")
mutate("f->terms.cell.reset_mode == GRU_RESET_AFTER ? D_RECURRENT : D_N" f32_recurrent_bias_as_of_input "D_N")
close_file()

# ---- the program ----

list(LENGTH mutations count)
list(JOIN mutations "\",\n    \"" names)
file(CONFIGURE OUTPUT ${mutated_folder}/mutations.c @ONLY CONTENT "const char *const gru_mutations[] = {
    \"@names@\"};
const int gru_reference_mutations = @reference_count@, gru_mutation_count = @count@;
")
set(copied cpu_kernels_scalar.c cpu_kernels.inl cpu_streaming.inl) # which include each other by quoted names
list(TRANSFORM copied PREPEND ${PROJECT_SOURCE_DIR}/src/cpu/)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${copied})
file(COPY ${copied} DESTINATION ${mutated_folder})
foreach(name cpu_reference_backward cpu_kernels_scalar cpu_backward_step cpu_weight_gradients mutations)
    target_sources(test_mutations PRIVATE ${mutated_folder}/${name}.c)
    set_source_files_properties(${mutated_folder}/${name}.c PROPERTIES COMPILE_OPTIONS "-w;-O1")
endforeach()
target_include_directories(test_mutations PRIVATE ${PROJECT_SOURCE_DIR}/src/cpu)
