# Copies of sources in which errors are planted; README.md says how to add one.
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
set(mutate ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/mutate.py)
file(GLOB runner CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.py)

# mutated_sources(LIST): sets copies to the mutated sources of LIST.txt and names.c, and faults to its lines about faults.
# Places are looked for when the copies are built, not here.
function(mutated_sources list)
    set(patches ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${list}.txt)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${list})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${patches} ${runner})
    execute_process(COMMAND ${mutate} plan ${patches} OUTPUT_VARIABLE plan COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "source [^\n]+" sources "${plan}")
    string(REGEX MATCHALL "fault [^\n]+" faults "${plan}")
    list(TRANSFORM sources REPLACE ".*/" "${folder}/")
    set(copies ${folder}/names.c ${sources})
    add_custom_command(OUTPUT ${copies} COMMAND ${mutate} write ${patches} ${PROJECT_SOURCE_DIR} ${folder}
                       DEPENDS ${patches} ${runner} DEPFILE ${folder}/depends.d COMMENT "Mutating by ${list}.txt")
    set(copies ${copies} PARENT_SCOPE)
    set(faults ${faults} PARENT_SCOPE)
endfunction()
