"""A Conan 2 recipe: `conan create .cmake` at the top of a checkout. Dependencies are the system's (docs/portability.md)."""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load


class SkipV1(ConanFile):
    name = "skipv1"
    description = "SkipV1Former and its relatives: a reference implementation"
    license = "MIT"
    package_type = "static-library"
    settings = "os", "compiler", "build_type", "arch"
    options = {"fPIC": [True, False]}
    default_options = {"fPIC": True}

    def _top(self):
        return os.path.join(self.recipe_folder, os.pardir)

    def set_version(self):
        text = load(self, os.path.join(self._top(), "skipv1", "core", "version.hpp"))
        self.version = re.search(r'define SKIPV1_VERSION "([0-9.]+)"', text).group(1)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", ".cmake/*", "skipv1/*"):
            copy(self, pattern, self._top(), self.export_sources_folder)

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update(SKIPV1_TESTS=False, SKIPV1_TUTORIALS=False, SKIPV1_COMPILED=True, SKIPV1_FETCH=False)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        # The package's own skipv1Config.cmake finds BLAS, OpenMP and headers where it is used.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "skipv1")]
        self.cpp_info.libs = ["skipv1_compiled"]
