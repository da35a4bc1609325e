# Faults planted into copies of the kernels, each of which the checker build must find with the first seed: that a test passes
# says something only of what it would have found.

# add_fault(NAME KERNELS FILE FROM TO WORDS [SOURCE TEST]): the first FROM in FILE becomes TO, and cuda_KERNELS.cu is compiled with
# it; the covering array, or the test of the source, must then fail with the words.
function(add_fault name kernels file from to words)
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/faults/${name})
    file(GLOB kernel_files ${PROJECT_SOURCE_DIR}/src/cuda/kernels/*)
    file(COPY ${kernel_files} DESTINATION ${copy}/cuda/kernels)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_files})
    file(READ ${PROJECT_SOURCE_DIR}/src/cuda/kernels/${file} text)
    string(FIND "${text}" "${from}" place)
    if(place EQUAL -1)
        message(FATAL_ERROR "planted fault ${name}: ${file} has no longer \"${from}\"")
    endif()
    string(LENGTH "${from}" length)
    math(EXPR end "${place} + ${length}")
    string(SUBSTRING "${text}" 0 ${place} before)
    string(SUBSTRING "${text}" ${end} -1 after)
    file(WRITE ${copy}/cuda/kernels/${file} "${before}${to}${after}")

    set(program fault_${name})
    emu_kernels(${program}_kernels checker ${copy}/cuda/kernels/cuda_${kernels}.cu)
    target_include_directories(${program}_kernels BEFORE PRIVATE ${copy} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_compile_options(${program}_kernels PRIVATE -Wno-unused)
    set(others "$<FILTER:$<TARGET_OBJECTS:emulated_kernels_checker>,EXCLUDE,cuda_${kernels}\\.cu>")
    set(test test_cuda_engines.c every_pair)
    if(ARGN)
        set(test ${ARGN})
    endif()
    list(POP_FRONT test source)
    link_emulated(${program} checker ${source} ${others} $<TARGET_OBJECTS:${program}_kernels>)
    add_test(NAME ${program} COMMAND ${program} ${test})
    set_tests_properties(${program} PROPERTIES PASS_REGULAR_EXPRESSION "${words}" ENVIRONMENT GRU_EMU_SEED=1 LABELS faults)
endfunction()

foreach(kernels step step_fused step_large)
    add_fault(${kernels}_wait ${kernels} cuda_${kernels}.cu "dependency_wait();" "" "before griddepcontrol.wait")
endforeach()
add_fault(stepwise_slices step cuda_step.cu "__syncthreads(); /* the slices of all warps are there */" "" "data race")
add_fault(stepwise_exchange step cuda_output.cuh "(step.s + 1) % 2" "step.s % 2" "budget|data race")
add_fault(stepwise_lengths step cuda_output.cuh "return length < 0 ? 0 : length > q.T ? q.T : length;" "return length;"
    "the machine found|differ" test_cuda_runs.c lengths_out_of_range)
add_fault(hop_arrives_early step_fused cuda_block_exchange.cuh
    "__syncthreads(); /* what every thread published comes before the block's arrival */" "" "data race")
add_fault(hop_target step_fused cuda_block_exchange.cuh "uint32_t(steps)" "1u" "data race")
add_fault(hop_sums step_fused cuda_step_fused.cu "__syncthreads(); /* they are read: the next product may overwrite them */" "" "data race")
add_fault(tile_stages step_large cuda_mainloop_large.cuh "__syncthreads(); /* the stages have been read: the sums take their place */" ""
    "data race")
add_fault(tile_leaves_early step_large cuda_mainloop_large.cuh "cluster_arrive();
    cluster_wait(); /* no block leaves" "/* no block leaves" "may still use its shared memory")
add_fault(tile_cluster_sums step_large cuda_mainloop_large.cuh "cluster_wait(); /* the partial sums" "/* the partial sums" "without a wait|data race")
add_fault(weights_sums checksum cuda_checksum.cu "__syncthreads();" "" "data race" test_cuda_weight_checksum.c an_updated_layer_is_found)

# ---- the sweep ----
add_fault(sweep_wait backward_step cuda_backward_step.cu "dependency_wait();" "" "before griddepcontrol.wait" test_cuda_backward_step.c reset_after)
add_fault(sweep_slices backward_step cuda_backward_step.cu "__syncthreads(); /* the slices of all warps are there */" "" "data race"
    test_cuda_backward_step.c reset_after)
add_fault(sweep_exchange backward_step cuda_epilogue_backward.cuh "part == GRU_CUDA_GATES ? 0 : 1" "0" "expected|data race"
    test_cuda_backward_step.c reset_after)
add_fault(sweep_segments backward_step cuda_epilogue_backward.cuh "return starts ? 0.0f : carried" "return carried" "expected"
    test_cuda_backward_step.c reset_after)
add_fault(sweep_tails backward_step cuda_backward_step.cu "blocks_for(q.octets, tile.unit_octets)" "blocks_for(q.H, tile.unit_octets * 8)"
    "rows.*expected 0" test_cuda_backward_step.c reset_all)
add_fault(sweep_attention backward_step cuda_cell.cuh "dz * (1.0f - w)" "dz" "rows.*expected" test_cuda_backward_step.c reset_all)
add_fault(sweep_hop_target backward_step_fused cuda_backward_step_fused.cu "w.forward.T - step.s" "1" "data race" test_cuda_backward_step.c one_launch)
add_fault(sweep_hop_sums backward_step_fused cuda_backward_step_fused.cu
    "__syncthreads(); /* they are read: the next product may overwrite them */" "" "data race" test_cuda_backward_step.c one_launch)
add_fault(sweep_tile_wait backward_step_large cuda_backward_step_large.cu "dependency_wait();" "" "before griddepcontrol.wait" test_cuda_backward_step.c large)
