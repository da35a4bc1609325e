# Every public header alone, in every language it promises, with all warnings as errors.
find_program(NVCC nvcc PATHS /usr/local/cuda/bin)
set(strict -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -fsyntax-only -I${PROJECT_SOURCE_DIR}/include)
foreach(header gru stack import)
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
if(NOT NVCC)
    message(STATUS "header tests: no nvcc here, headers are not compiled as CUDA")
endif()
