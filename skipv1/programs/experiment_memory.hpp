// How much memory a run of an experiment takes at least, known before it begins.
#pragma once

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/memory_limit.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/programs/experiment.hpp"

namespace skipv1 {

/// Bytes that a run takes at least in scalars `T`: of a training the model, its moments and a step; where there are contexts the
/// model, the cache of the longest, and a chunk on the way there (`generate_in`, experiment_run.hpp).
template <class T>
double least_bytes(const PlannedRun& run) {
  const TrainingOptions& t = run.training;
  if (run.contexts.empty()) return trainer_bytes<T>(run.config) + step_bytes<T>(run.config, t.batch, t.length);
  const auto number = [](std::size_t x) { return static_cast<double>(x); };
  const std::size_t longest = *std::max_element(run.contexts.begin(), run.contexts.end());
  const std::size_t chunk = std::min<std::size_t>(generated_chunk, longest);
  const double sequences = number(t.batch), kept = number(cache_elements_per_token(make_routing(run.config)) * sizeof(T));
  return parameter_bytes(run.config, 1, sizeof(T)) + sequences * number(longest - chunk) * kept +
         pass_bytes(run.config, sequences * number(chunk), sizeof(T), Keep::nothing, sequences);
}

/// Throws if fewer bytes are left on this machine than a run takes on its CPU, in `dtype`.
inline void require_memory_for(const PlannedRun& run, const std::string& dtype) {
  const TrainingOptions& t = run.training;
  const std::string what = run.contexts.empty()
                               ? std::to_string(t.batch) + " windows of " + std::to_string(t.length) + " tokens per step"
                               : std::to_string(t.batch) + " sequences";
  require_memory(run.label + ", " + std::to_string(ParameterLayout(run.config).count()) + " parameters, " + what + ": the run",
                 dtype == "bf16" ? least_bytes<bfloat16>(run) : least_bytes<float>(run));
}

}  // namespace skipv1
