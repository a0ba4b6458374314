// The version, for `--version`, CMake (which reads the first line) and whoever needs to know at compile time.
#pragma once

#define SKIPV1_VERSION "0.1.0"
#define SKIPV1_VERSION_MAJOR 0
#define SKIPV1_VERSION_MINOR 1
#define SKIPV1_VERSION_PATCH 0
