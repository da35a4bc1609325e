# Faults planted into copies of the kernels, each of which the checker build must find with the first seed: that a test passes
# says something only of what it would have found.

# add_fault(NAME KERNELS FILE FROM TO WORDS [SOURCE TEST]): the first FROM in FILE becomes TO, and cuda_KERNELS.cu is compiled with
# it; the covering array, or the test of the source, must then fail with the words.
function(add_fault name kernels file from to words)
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/faults/${name})
    file(GLOB common ${PROJECT_SOURCE_DIR}/src/*.h)
    file(GLOB cuda ${PROJECT_SOURCE_DIR}/src/cuda/*.cu ${PROJECT_SOURCE_DIR}/src/cuda/*.cuh ${PROJECT_SOURCE_DIR}/src/cuda/*.h)
    file(COPY ${common} DESTINATION ${copy})
    file(COPY ${cuda} DESTINATION ${copy}/cuda)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${common} ${cuda})
    file(READ ${PROJECT_SOURCE_DIR}/src/cuda/${file} text)
    string(FIND "${text}" "${from}" place)
    if(place EQUAL -1)
        message(FATAL_ERROR "planted fault ${name}: ${file} has no longer \"${from}\"")
    endif()
    string(LENGTH "${from}" length)
    math(EXPR end "${place} + ${length}")
    string(SUBSTRING "${text}" 0 ${place} before)
    string(SUBSTRING "${text}" ${end} -1 after)
    file(WRITE ${copy}/cuda/${file} "${before}${to}${after}")

    set(program fault_${name})
    emu_kernels(${program}_kernels checker ${copy}/cuda/cuda_${kernels}.cu)
    target_include_directories(${program}_kernels BEFORE PRIVATE ${copy}/cuda ${PROJECT_SOURCE_DIR}/include)
    target_compile_options(${program}_kernels PRIVATE -Wno-unused)
    set(others "$<FILTER:$<TARGET_OBJECTS:emulated_kernels_checker>,EXCLUDE,cuda_${kernels}\\.cu>")
    set(test test_cuda_engines.c every_pair)
    if(ARGN)
        set(test ${ARGN})
    endif()
    list(POP_FRONT test source)
    link_emulated(${program} checker ${source} ${others} $<TARGET_OBJECTS:${program}_kernels>)
    add_test(NAME ${program} COMMAND ${program} ${test})
    set_tests_properties(${program} PROPERTIES PASS_REGULAR_EXPRESSION "${words}" ENVIRONMENT GRU_EMU_SEED=1)
endfunction()

foreach(kernels stepwise hop tile)
    add_fault(${kernels}_wait ${kernels} cuda_${kernels}.cu "dependency_wait();" "" "before griddepcontrol.wait")
endforeach()
add_fault(stepwise_slices stepwise cuda_stepwise.cu "__syncthreads(); /* the slices of all warps are there */" "" "data race")
add_fault(stepwise_exchange stepwise cuda_rows.cuh "(step.s + 1) % 2" "step.s % 2" "budget|data race")
add_fault(stepwise_lengths stepwise cuda_rows.cuh "return length < 0 ? 0 : length > q.T ? q.T : length;" "return length;"
    "the machine found|differ" test_cuda_runs.c lengths_out_of_range)
add_fault(hop_arrives_early hop cuda_hop.cuh
    "__syncthreads(); /* what every thread published comes before the block's arrival */" "" "data race")
add_fault(hop_target hop cuda_hop.cuh "uint32_t(steps)" "1u" "data race")
add_fault(hop_sums hop cuda_hop.cu "__syncthreads(); /* they are read: the next product may overwrite them */" "" "data race")
add_fault(tile_stages tile cuda_tile_product.cuh "__syncthreads(); /* the stages have been read: the sums take their place */" ""
    "data race")
add_fault(tile_leaves_early tile cuda_tile_product.cuh "cluster_arrive();
    cluster_wait(); /* no block leaves" "/* no block leaves" "may still use its shared memory")
add_fault(tile_cluster_sums tile cuda_tile_product.cuh "cluster_wait(); /* the partial sums" "/* the partial sums" "without a wait|data race")
add_fault(weights_sums weights cuda_weights.cu "__syncthreads();" "" "data race" test_cuda_weights.c an_updated_layer_is_found)

# ---- the sweep ----
add_fault(sweep_wait sweep cuda_sweep.cu "dependency_wait();" "" "before griddepcontrol.wait" test_cuda_sweep.c reset_after)
add_fault(sweep_slices sweep cuda_sweep.cu "__syncthreads(); /* the slices of all warps are there */" "" "data race"
    test_cuda_sweep.c reset_after)
add_fault(sweep_exchange sweep cuda_sweep_finish.cuh "part == GRU_CUDA_GATES ? 0 : 1" "0" "expected|data race"
    test_cuda_sweep.c reset_after)
add_fault(sweep_segments sweep cuda_sweep_finish.cuh "return starts ? 0.0f : carried" "return carried" "expected"
    test_cuda_sweep.c reset_after)
add_fault(sweep_tails sweep cuda_sweep.cu "blocks_for(q.octets, tile.unit_octets)" "blocks_for(q.H, tile.unit_octets * 8)"
    "rows.*expected 0" test_cuda_sweep.c reset_all)
add_fault(sweep_attention sweep cuda_cell.cuh "dz * (1.0f - w)" "dz" "rows.*expected" test_cuda_sweep.c reset_all)
add_fault(sweep_hop_target sweep_hop cuda_sweep_hop.cu "w.forward.T - step.s" "1" "data race" test_cuda_sweep.c one_launch)
add_fault(sweep_hop_sums sweep_hop cuda_sweep_hop.cu
    "__syncthreads(); /* they are read: the next product may overwrite them */" "" "data race" test_cuda_sweep.c one_launch)
add_fault(sweep_tile_wait sweep_tile cuda_sweep_tile.cu "dependency_wait();" "" "before griddepcontrol.wait" test_cuda_sweep.c large)
