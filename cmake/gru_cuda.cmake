# Decides whether the CUDA backend is built (GRU_CUDA), and enables the language CUDA for it.
set(GRU_KERNEL_FLAGS --fmad=false)    # what changes the instructions of kernels, here and in emulator/ptx
if(DEFINED GRU_CUDA AND NOT GRU_CUDA)
    return()
endif()
find_program(GRU_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
mark_as_advanced(GRU_NVCC)
if(GRU_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${GRU_NVCC})    # CMake itself looks only into PATH
endif()
if(NOT CMAKE_CROSSCOMPILING)
    include(CheckLanguage)
    check_language(CUDA)
    find_package(CUDAToolkit QUIET)
    find_path(CUBLASLT_INCLUDE cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    mark_as_advanced(CUBLASLT_INCLUDE)
endif()
# 12.8 is the first that compiles for 10.0 and 12.0, and can tell the device of a stream.
if(CMAKE_CUDA_COMPILER AND CUBLASLT_INCLUDE AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    set(GRU_CUDA_FOUND ON)
else()
    set(GRU_CUDA_FOUND OFF)
endif()
set(GRU_CUDA_DEFAULT ${GRU_CUDA_FOUND})
if(GRU_SANITIZE)
    set(GRU_CUDA_DEFAULT OFF)    # nvcc knows no sanitizer
endif()
option(GRU_CUDA "Build the CUDA backend (needs nvcc 12.8 and cublasLt.h)" ${GRU_CUDA_DEFAULT})
option(GRU_CUDA_REPORT "Let nvcc print the registers and the memory of each kernel" OFF)
mark_as_advanced(GRU_CUDA_REPORT)
if(GRU_CUDA AND NOT GRU_CUDA_FOUND)
    message(FATAL_ERROR "GRU_CUDA is on, but there is no nvcc 12.8 that can compile here, or no cublasLt.h")
endif()
if(NOT GRU_CUDA)
    message(STATUS "CUDA: left out, there is no nvcc 12.8 with cublasLt.h here, or it is not for this build")
    return()
endif()

# Machine code for the architectures that have kernels of their own or are common, and PTX, from which the driver makes
# code for all others from 9.0 on. (Code for 9.0a runs nowhere else, and its PTX is no source for others.)
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 89-real 90a-real 100-real 120-real 90-virtual)
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_RUNTIME_LIBRARY None)    # linked by name below, also by C programs

# Sources of the backend, their flags and their runtime, into the objects that both libraries are made of.
function(gru_add_cuda objects)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.c ${PROJECT_SOURCE_DIR}/src/cuda/*/*.c
         ${PROJECT_SOURCE_DIR}/src/cuda/kernels/*.cu)
    target_sources(${objects} PRIVATE ${sources})
    target_compile_definitions(${objects} PRIVATE GRU_HAVE_CUDA)
    target_include_directories(${objects} SYSTEM PRIVATE ${CUBLASLT_INCLUDE} ${CUDAToolkit_INCLUDE_DIRS})
    # Two architectures at a time, or one after the other where each tells of its kernels. No contraction that the source does not ask for, as in C. Nothing of the C++ library, so
    # that C programs link without it: the only guarded statics are in stubs for <<<>>>, which nobody calls.
    set(flags ${GRU_KERNEL_FLAGS} -Xcompiler=-Wall,-Wextra,-ffp-contract=off
              -Xcompiler=-fno-exceptions,-fno-rtti,-fno-threadsafe-statics)
    if(GRU_CUDA_REPORT)
        list(APPEND flags "SHELL:-Xptxas -v")
    else()
        list(APPEND flags --threads=2)
    endif()
    if(GRU_WERROR)
        list(APPEND flags "SHELL:-Werror all-warnings" "SHELL:-Xptxas -warn-spills,-warn-lmem-usage,-Werror")
    endif()
    target_compile_options(${objects} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${flags}>)
endfunction()

# Into the shared library the runtime goes whole and unseen; users of the static one link it themselves.
function(gru_link_cuda library)
    target_link_libraries(${library} PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
    target_link_options(${library} PRIVATE LINKER:--exclude-libs,ALL)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
endfunction()
