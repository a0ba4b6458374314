// How a training step ends: the gradients' norm, clipping, AdamW.
#pragma once

#include <cmath>
#include <initializer_list>

#include "skipv1/core/function.hpp"
#include "skipv1/ops/adamw.hpp"

namespace skipv1 {

/// A group of n parameters, (n) each: the parameters, their float master weights (for other types than bfloat16 `master` is
/// `parameters`), moments and gradients. The first `decayed` of them decay.
template <class T, class Space = Cpu>
struct ParameterGroup {
  View<T, Space> parameters;
  View<Sum<T>, Space> master, m, v;
  View<T, Space> gradients;
  std::size_t decayed = 0;
};

/// AdamW on groups, clipped by the norm over all of them. `place` uploads what differs from step to step; `run` is the same work
/// in every step, on the device without the host (optimizer.cuh), so that a graph can replay it. Where processes have different
/// groups, `combine` turns this process's squared norm of gradients (1) into the sum over all processes.
template <class T, class Space = Cpu>
class Optimizer {
 public:
  using Combine = Function<void(View<double, Space> square)>;

  void place(const AdamW& settings, std::size_t step) { settings_ = settings, step_ = step; }
  void run(std::initializer_list<ParameterGroup<T, Space>> groups, double clip, const Combine& combine = {}) {
    static_assert(std::is_same_v<Space, Cpu>, "include skipv1/training/optimizer.cuh");
    norm_ = 0;
    for (const ParameterGroup<T, Space>& g : groups) norm_ = std::hypot(norm_, skipv1::norm(g.gradients));
    if (combine) {
      double square = norm_ * norm_;
      combine(View<double>(&square, {1}));
      norm_ = std::sqrt(square);
    }
    for (const ParameterGroup<T, Space>& g : groups)
      adamw<T>(g.parameters, g.master, g.m, g.v, g.gradients, settings_, step_, g.decayed, clip_scale(norm_, clip));
  }
  /// The gradients' norm before clipping.
  double norm() const { return norm_; }

 private:
  AdamW settings_;
  std::size_t step_ = 0;
  double norm_ = 0;
};

}  // namespace skipv1
