// The figures of tutorial 05.
#pragma once

#include <filesystem>

#include "skipv1/io/json.hpp"
#include "skipv1/programs/mesa/experiment.hpp"

namespace skipv1::mesa {

/// Throws, naming the key and the rule, unless `numbers` are such as the program writes by `--json`, with something to draw.
void check_numbers(const Json& numbers);

/// Draws all figures of the numbers that the program writes by `--json` into a folder, which is made if it is not there. What the
/// numbers lack (a kind of attention, depth 4) is left out.
void draw_figures(const Json& numbers, const std::filesystem::path& folder);

}  // namespace skipv1::mesa
