# Every public header alone, in every language it promises, with all warnings as errors.
find_program(NVCC nvcc PATHS /usr/local/cuda/bin)
set(strict -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -fsyntax-only -I${PROJECT_SOURCE_DIR}/include)
foreach(header gru stack stream import)
    set(file ${PROJECT_SOURCE_DIR}/include/gru/${header}.h)
    foreach(standard c99 c11 c17)
        add_test(NAME header_${header}_${standard}
                 COMMAND ${CMAKE_C_COMPILER} -std=${standard} ${strict} -Wstrict-prototypes -x c ${file})
    endforeach()
    foreach(standard c++11 c++17 c++20)
        add_test(NAME header_${header}_${standard}
                 COMMAND ${CMAKE_CXX_COMPILER} -std=${standard} ${strict} -x c++ ${file})
    endforeach()
    if(NVCC)
        add_test(NAME header_${header}_cuda
                 COMMAND ${NVCC} -x cu -std=c++17 -Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror
                         -I${PROJECT_SOURCE_DIR}/include -c ${file} -o ${CMAKE_CURRENT_BINARY_DIR}/header_${header}.o)
    endif()
endforeach()
foreach(standard c++17 c++20)
    add_test(NAME header_wrapper_${standard}
             COMMAND ${CMAKE_CXX_COMPILER} -std=${standard} ${strict} -x c++ ${PROJECT_SOURCE_DIR}/include/gru/gru.hpp)
endforeach()
if(NOT NVCC)
    message(STATUS "header tests: no nvcc here, headers are not compiled as CUDA")
endif()

# Modes and platforms on which results would be wrong are refused by every file of the library.
function(add_refused name words)
    add_test(NAME refused_${name} COMMAND ${CMAKE_C_COMPILER} ${ARGN} -fsyntax-only -w -I${PROJECT_SOURCE_DIR}/include
                                          -I${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/core/error.c
                                          ${PROJECT_SOURCE_DIR}/src/cpu/cpu_kernels_scalar.c)
    set_tests_properties(refused_${name} PROPERTIES PASS_REGULAR_EXPRESSION "${words}.*${words}") # once for each file
endfunction()
add_refused(fast_math "must not be compiled with -ffast-math" -ffast-math)
add_refused(ofast "must not be compiled with -ffast-math" -Ofast)
add_refused(big_endian "little-endian platforms only" -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__)
