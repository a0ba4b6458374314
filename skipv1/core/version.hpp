// The version, for `--version`, CMake (which reads this line) and whoever needs to know at compile time.
#pragma once

#define SKIPV1_VERSION "0.1.0"
