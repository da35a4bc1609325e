# Finds cJSON, which reads the headers of safetensors files, as the target gru::cjson: for the build, and for programs that
# link the installed static library.
if(NOT TARGET gru::cjson)
    find_path(CJSON_INCLUDE cjson/cJSON.h)
    find_library(CJSON_LIBRARY cjson)
    if(CJSON_INCLUDE AND CJSON_LIBRARY)
        add_library(gru::cjson UNKNOWN IMPORTED GLOBAL)
        set_target_properties(gru::cjson PROPERTIES IMPORTED_LOCATION ${CJSON_LIBRARY}
                                                    INTERFACE_INCLUDE_DIRECTORIES ${CJSON_INCLUDE})
    endif()
    mark_as_advanced(CJSON_INCLUDE CJSON_LIBRARY)
endif()
