# Finds oneDNN 2, a peer that tests and benchmark compare with, as the target gru::onednn. The C API of oneDNN 3 is another.
if(NOT TARGET gru::onednn)
    find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.h)
    find_library(DNNL_LIBRARY dnnl)
    mark_as_advanced(DNNL_INCLUDE DNNL_LIBRARY)
    if(DNNL_INCLUDE AND DNNL_LIBRARY)
        file(STRINGS ${DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h dnnl_major REGEX "define DNNL_VERSION_MAJOR +2$")
        if(dnnl_major)
            add_library(gru::onednn UNKNOWN IMPORTED GLOBAL)
            set_target_properties(gru::onednn PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
                                                         INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE})
        endif()
    endif()
endif()
