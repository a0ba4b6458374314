// Lower bounds of the bytes that a model's passes and its training take, known before anything is allocated. They are doubles, so
// that no size overflows.
#pragma once

#include "skipv1/model/activations.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

/// Bytes of a pass over `rows` rows, in scalars of `width` bytes: activations, keys and values, and the logits of `logits` rows.
inline double pass_bytes(const Config& c, double rows, std::size_t width, Keep keep, double logits) {
  const Routing table = make_routing(c);
  const auto number = [](std::size_t x) { return static_cast<double>(x); };
  const double d = number(c.hidden_size), layers = number(c.num_hidden_layers), kept = keep == Keep::for_backward ? layers : 1;
  const double heads = number(table.heads) * number(table.key_width + table.value_width);
  const double layer = d + heads + (c.gpt2() ? 2 : 3) * number(c.intermediate_size);
  const double stream = d * (keep == Keep::for_backward ? layers + 2 : 3);
  return number(width) *
         (rows * (kept * layer + stream + number(cache_elements_per_token(table))) + logits * number(c.vocab_size));
}

/// Bytes of `copies` numbers of `width` bytes per parameter.
inline double parameter_bytes(const Config& c, std::size_t copies, std::size_t width) {
  return static_cast<double>(ParameterLayout(c).count()) * static_cast<double>(copies * width);
}

/// Bytes of one of `processes` that train together in scalars `T`: parameters, gradients and its share of the moments; and of a
/// step of `batch` windows of `length` tokens.
template <class T>
double trainer_bytes(const Config& c, std::size_t processes = 1) {
  return parameter_bytes(c, 2, sizeof(T)) + parameter_bytes(c, 2, sizeof(Sum<T>)) / static_cast<double>(processes);
}
template <class T>
double step_bytes(const Config& c, std::size_t batch, std::size_t length) {
  return pass_bytes(c, static_cast<double>(batch) * static_cast<double>(length), sizeof(T), Keep::for_backward, 0);
}

}  // namespace skipv1
