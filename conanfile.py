"""The recipe of Conan 2: `conan create .` builds the library for CPUs, shared and static, with its CMake and pkg-config files."""
import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Gru(ConanFile):
    name = "libgru"
    description = "Gated recurrent units with the same bits in every batch, for inference and training"
    license = "Apache-2.0"
    package_type = "shared-library"    # what gru::gru is; gru::static is beside it
    settings = "os", "arch", "compiler", "build_type"
    languages = "C"
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"

    def set_version(self) -> None:
        header = (Path(self.recipe_folder) / "include" / "gru" / "gru.h").read_text()
        self.version = ".".join(re.findall(r"^#define GRU_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header, re.MULTILINE))

    def validate(self) -> None:
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration(f"libgru runs on Linux, and this is {self.settings.os}")

    def layout(self) -> None:
        cmake_layout(self)

    def generate(self) -> None:
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update({f"GRU_{part}": "OFF" for part in ("CUDA", "TESTS", "BENCH", "EXAMPLES")})
        toolchain.generate()

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, str(Path(self.package_folder) / "licenses"))

    def package_info(self) -> None:
        """find_package(gru) finds the files that the library installs itself."""
        self.cpp_info.libs = ["gru"]
        self.cpp_info.system_libs = ["m", "pthread"]
        self.cpp_info.builddirs = ["lib/cmake/gru"]
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.set_property("pkg_config_name", "gru")
