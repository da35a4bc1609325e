# What `cmake --install` writes: headers, both libraries, a CMake package (find_package(gru)) and a pkg-config file.
include(CMakePackageConfigHelpers)

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)
install(DIRECTORY include/gru DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING REGEX "\\.h(pp)?$")
install(TARGETS gru EXPORT gruTargets LIBRARY COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS gru_static EXPORT gruStaticTargets)

# Two sets, because only the static library makes its user look for the CUDA toolkit.
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/gru)
install(EXPORT gruTargets NAMESPACE gru:: DESTINATION ${package_folder})
install(EXPORT gruStaticTargets NAMESPACE gru:: DESTINATION ${package_folder})
configure_package_config_file(cmake/gruConfig.cmake.in ${PROJECT_BINARY_DIR}/gruConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gruConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gruConfig.cmake ${PROJECT_BINARY_DIR}/gruConfigVersion.cmake
        DESTINATION ${package_folder})

# The prefix is found from the place of the file, so that an installed tree can be moved.
set(pc_folder ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix ${pc_folder} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
file(RELATIVE_PATH pc_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
set(pc_private "-lm ${CMAKE_THREAD_LIBS_INIT}")
if(GRU_CUDA)
    string(PREPEND pc_private "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt -ldl ")
endif()
string(STRIP "${pc_private}" pc_private)
configure_file(cmake/gru.pc.in ${PROJECT_BINARY_DIR}/gru.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gru.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(PROJECT_IS_TOP_LEVEL)
    include(cmake/packages.cmake)
endif()
