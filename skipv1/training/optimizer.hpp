// How a training step ends: the gradients' norm, clipping, AdamW.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>

#include "skipv1/distributed/communicator.hpp"
#include "skipv1/ops/adamw.hpp"

namespace skipv1 {

/// n parameters that are updated together with those of other groups, (n) each: what they are, in float besides where they are
/// bfloat16 (else `master` is `parameters`), their moments and gradients; the first `decayed` of them decay.
template <class T, class Space = Cpu>
struct ParameterGroup {
  View<T, Space> parameters;
  View<Sum<T>, Space> master, m, v;
  View<T, Space> gradients;
  std::size_t decayed = 0;

  /// Its k-th of `count` pieces, which may be empty.
  ParameterGroup piece(std::size_t count, std::size_t k) const {
    const Elements range = shard(parameters.size(), count, k);
    const auto part = [&](auto x) { return x.empty() ? x : decltype(x)(x.data() + range.begin, {range.size()}); };
    return {part(parameters), part(master),    part(m),
            part(v),          part(gradients), std::clamp(decayed, range.begin, range.end) - range.begin};
  }
};

/// AdamW on groups clipped by the norm over all of them. `place` says what differs from step to step, `run` is the same work each
/// time. The device's form (optimizer.cuh) leaves nothing for the host in it. Where other processes have other groups, `combine`
/// makes of the gradients' squared norm (1) here that of all. Each group is updated in `pieces`; `updated(k)` is told when all
/// groups' k-th ones are.
template <class T, class Space = Cpu>
class Optimizer {
 public:
  using Combine = std::function<void(View<double, Space> square)>;
  using Updated = std::function<void(std::size_t piece)>;

  void place(const AdamW& settings, std::size_t step) { settings_ = settings, step_ = step; }
  void run(std::initializer_list<ParameterGroup<T, Space>> groups, double clip, const Combine& combine = {},
           std::size_t pieces = 1, const Updated& updated = {}) {
    static_assert(std::is_same_v<Space, Cpu>, "include skipv1/training/optimizer.cuh");
    norm_ = 0;
    for (const ParameterGroup<T, Space>& g : groups) norm_ = std::hypot(norm_, skipv1::norm(g.gradients));
    if (combine) {
      double square = norm_ * norm_;
      combine(View<double>(&square, {1}));
      norm_ = std::sqrt(square);
    }
    for (std::size_t k = 0; k < pieces; ++k) {
      for (const ParameterGroup<T, Space>& group : groups) {
        const ParameterGroup<T, Space> g = group.piece(pieces, k);
        adamw<T>(g.parameters, g.master, g.m, g.v, g.gradients, settings_, step_, g.decayed, clip_scale(norm_, clip));
      }
      if (updated) updated(k);
    }
  }
  /// The gradients' norm before clipping.
  double norm() const { return norm_; }

 private:
  AdamW settings_;
  std::size_t step_ = 0;
  double norm_ = 0;
};

}  // namespace skipv1
