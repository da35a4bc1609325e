# Kernels as nvcc made them: their PTX, translated to C++ and compiled for the emulator; and the tests of the translation.
find_package(Python3 3.9 COMPONENTS Interpreter)
set(GRU_PTX_FOLDER ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "")
set(GRU_PTX_PYTHON ${Python3_EXECUTABLE} CACHE INTERNAL "")
file(GLOB scripts CONFIGURE_DEPENDS ${GRU_PTX_FOLDER}/*.py)
set(GRU_PTX_SCRIPTS ${scripts} ${GRU_PTX_FOLDER}/opcodes.txt CACHE INTERNAL "")
set(GRU_PTX "" CACHE STRING "PTX that the emulator runs, of 90a, 80 (under the checker), 90a-plain and 80-plain")
set(GRU_PTX_BUILDS "" CACHE INTERNAL "")
if(NOT Python3_FOUND)
    message(STATUS "PTX in the emulator: left out, there is no Python 3.9 here")
    return()
endif()
if(GRU_NVCC)
    set(GRU_PTX_BUILDS ${GRU_PTX} CACHE INTERNAL "")
endif()

# emu_compile_ptx(NAME CPP...): translated modules as an object library, for the plain and for the checker build.
function(emu_compile_ptx name)
    add_library(${name} OBJECT ${ARGN})
    set_target_properties(${name} PROPERTIES COMPILE_OPTIONS "-O0;-g1;-w;-fno-strict-aliasing;-ffp-contract=off"
                                             CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    target_include_directories(${name} PRIVATE ${GRU_PTX_FOLDER}/.. ${GRU_PTX_FOLDER}/../include)
endfunction()

# emu_translate(PTX CPP [FAULTS]): beside CPP lies a .json that lists kernels, opcodes and planted faults.
function(emu_translate ptx cpp)
    string(REGEX REPLACE "cpp$" "json" lists ${cpp})
    add_custom_command(OUTPUT ${cpp} ${lists}
                       COMMAND ${GRU_PTX_PYTHON} -B ${GRU_PTX_FOLDER}/translate.py ${ptx} ${cpp} ${ARGN}
                       DEPENDS ${ptx} ${GRU_PTX_SCRIPTS} ${ARGN} COMMENT "Translating ${ptx}")
endfunction()

# emu_ptx(NAME ARCHITECTURE FAULTS SOURCE...): kernels by nvcc with the library's flags. FAULTS: a list, or "". Sets
# NAME_lists to the .json files.
function(emu_ptx name architecture faults)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name})
    file(MAKE_DIRECTORY ${folder})
    foreach(source ${ARGN})
        get_filename_component(stem ${source} NAME_WE)
        set(ptx ${folder}/${stem}.ptx)
        add_custom_command(OUTPUT ${ptx}
                           COMMAND ${GRU_NVCC} -ptx -std=c++17 -arch=sm_${architecture} ${GRU_KERNEL_FLAGS} -DNDEBUG
                                   -I ${GRU_PTX_FOLDER}/.. -I ${PROJECT_SOURCE_DIR}/src -I ${PROJECT_SOURCE_DIR}/include
                                   -MD -MT ${ptx} -MF ${ptx}.d -o ${ptx} ${source}
                           DEPENDS ${source} DEPFILE ${ptx}.d COMMENT "Compiling ${ptx}")
        emu_translate(${ptx} ${folder}/${stem}.cpp ${faults})
        list(APPEND modules ${folder}/${stem}.cpp)
        list(APPEND lists ${folder}/${stem}.json)
    endforeach()
    emu_compile_ptx(${name} ${modules})
    set(${name}_lists ${lists} PARENT_SCOPE)
endfunction()

# ---- the translator, and every instruction of its table; without nvcc ----
add_test(NAME ptx_translator COMMAND ${GRU_PTX_PYTHON} -B ${GRU_PTX_FOLDER}/test_ptx.py)
set(folder ${CMAKE_CURRENT_BINARY_DIR}/opcodes)
file(MAKE_DIRECTORY ${folder})
add_custom_command(OUTPUT ${folder}/opcode_tests.ptx ${folder}/opcode_tests.inc
                   COMMAND ${GRU_PTX_PYTHON} -B ${GRU_PTX_FOLDER}/opcode_tests.py ${folder}/opcode_tests.ptx ${folder}/opcode_tests.inc
                   DEPENDS ${GRU_PTX_SCRIPTS})
emu_translate(${folder}/opcode_tests.ptx ${folder}/opcode_tests.cpp)
emu_compile_ptx(emu_opcode_kernels ${folder}/opcode_tests.cpp)
add_executable(emu_opcodes ${GRU_PTX_FOLDER}/self_opcodes.cpp ${folder}/opcode_tests.inc $<TARGET_OBJECTS:emu_opcode_kernels>)
target_include_directories(emu_opcodes PRIVATE ${folder})
target_compile_options(emu_opcodes PRIVATE -O1 -g1 ${emu_warnings})
target_link_libraries(emu_opcodes PRIVATE emu_checker)
add_test(NAME ptx_opcodes COMMAND emu_opcodes)

# ---- the emulator's own kernels by nvcc ----
if(NOT GRU_NVCC)
    message(STATUS "kernels as PTX in the emulator: left out, there is no nvcc here")
    return()
endif()
set(ptx_sources ${self_sources})
list(FILTER ptx_sources EXCLUDE REGEX "/self_untranslated\\.cu$")
emu_ptx(emu_self_ptx_kernels 90a "" ${ptx_sources})
add_executable(emu_self_ptx self_main.cpp $<FILTER:$<TARGET_OBJECTS:emu_self_plain_kernels>,EXCLUDE,/self_untranslated\\.cu>
                            $<TARGET_OBJECTS:emu_self_ptx_kernels>)
target_compile_definitions(emu_self_ptx PRIVATE CUDA_EMU)
target_include_directories(emu_self_ptx PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(emu_self_ptx PRIVATE -O1 -g1 ${emu_warnings})
target_link_libraries(emu_self_ptx PRIVATE emu_checker)
add_test(NAME emu_ptx COMMAND emu_self_ptx 4)
add_test(NAME ptx_opcodes_of_threads
         COMMAND ${GRU_PTX_PYTHON} -B ${GRU_PTX_FOLDER}/opcode_tests.py covered ${emu_self_ptx_kernels_lists})
