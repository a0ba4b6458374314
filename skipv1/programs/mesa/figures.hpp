// The figures of tutorial 05.
#pragma once

#include <filesystem>

#include "skipv1/programs/mesa/experiment.hpp"

namespace skipv1::mesa {

/// Draws all figures of a plan into a folder, which is made if it is not there.
void draw_figures(const Plan& plan, const std::vector<Trained>& all, const Predictors& predictors,
                  const std::filesystem::path& folder);

}  // namespace skipv1::mesa
