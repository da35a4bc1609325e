# One program over the tests that need neither files nor another library, for an emulator, a sanitizer or a machine where
# Criterion cannot run. Static where it can be, so that an emulator needs no libraries.
file(GLOB candidates CONFIGURE_DEPENDS test_*.c)
set(plain_sources tester.c plain.c)
foreach(source ${candidates})
    file(STRINGS ${source} needs_more REGEX "TEST_DATA|gru/import\\.h|criterion/|dnnl\\.h")
    if(NOT needs_more)
        list(APPEND plain_sources ${source})
    endif()
endforeach()

add_executable(test_plain ${plain_sources})
target_compile_definitions(test_plain PRIVATE GRU_TEST_PLAIN)
target_include_directories(test_plain PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(test_plain PRIVATE gru::static m)
if(NOT GRU_SANITIZE)
    target_link_options(test_plain PRIVATE -static)
endif()
add_test(NAME test_plain COMMAND test_plain)
