// What tutorial 04 computes, and its figure.
#pragma once

#include <filesystem>

#include "skipv1/mesa/theorem.hpp"

namespace skipv1::mesa {

/// What is asked for.
struct Question {
  std::size_t dim = 4, context = 16, restarts = 4;  ///< d, n, random starts of each minimisation
  std::size_t evaluations = 4000;                   ///< of the loss, at most, in one minimisation
  double noise = 0.1, mean_scale = 0;               ///< s, deviation of the entries of W_0
  std::uint64_t seed = 1;
};

/// All losses that are printed and drawn.
struct Results {
  Task task;
  double zero = 0, one_step = 0, linear = 0;
  std::vector<std::size_t> steps = {1, 2, 4, 8, 16};
  std::vector<Estimate> after_steps;
  Estimate ridge = {};
  std::vector<LeastLoss> mha, skip;

  bool has_closed_form() const { return task.mean_square() == 0; }
};

/// Computes them; shows its progress on standard error. Throws as `check(Task)`.
Results compute(const Question& question);

/// The losses of a model for `a = 0 … d`.
std::vector<double> losses(const std::vector<LeastLoss>& curve);
/// Draws both models' into curves.png in a folder, which is made if it is not there.
void draw_curves(const Results& r, const std::filesystem::path& folder);

}  // namespace skipv1::mesa
