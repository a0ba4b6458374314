// The key/value cache: every layer's owned heads and nothing else.
#pragma once

#include <vector>

#include "skipv1/core/head.hpp"
#include "skipv1/routing/routing.hpp"

namespace skipv1 {

/// Keys and values of `batch` sequences with room for `capacity` positions each. What a layer does not own it does not hold:
/// readers go to the owner's memory. In training it holds one batch's keys and values; a second one of the same shape, their
/// gradients.
template <class T, class Space = Cpu>
class Cache {
 public:
  Cache(const Routing& routing, std::size_t batch, std::size_t capacity)
      : lengths_(batch, 0), capacity_(capacity), key_width_(routing.key_width), value_width_(routing.value_width) {
    for (std::size_t l = 0; l < routing.layers; ++l) {
      keys_.push_back(zeros<T, Space>({batch, capacity, routing.owned_keys[l] * key_width_}));
      values_.push_back(zeros<T, Space>({batch, capacity, routing.owned_values[l] * value_width_}));
    }
  }

  std::size_t batch() const { return lengths_.size(); }
  std::size_t capacity() const { return capacity_; }
  /// Positions held of each sequence (B).
  const std::vector<std::size_t>& lengths() const { return lengths_; }
  /// Counts `added[b]` more positions of each sequence as held. Throws, with nothing counted, if there is no room for them.
  void grow(const std::vector<std::size_t>& added) {
    require(added.size() == batch(), "cache of ", batch(), " sequences: ", added.size(), " to grow");
    for (std::size_t b = 0; b < lengths_.size(); ++b)
      require(added[b] <= capacity_ - lengths_[b], "cache: ", added[b], " positions behind ", lengths_[b], " of sequence ", b,
              ", room for ", capacity_);
    for (std::size_t b = 0; b < lengths_.size(); ++b) lengths_[b] += added[b];
  }
  /// Forgets positions `length …` of sequence b (throws if there is none); `reset()` forgets everything.
  void truncate(std::size_t b, std::size_t length) {
    require(b < batch(), "cache of ", batch(), " sequences has no sequence ", b);
    lengths_[b] = std::min(lengths_[b], length);
  }
  void reset() { lengths_.assign(lengths_.size(), 0); }

  /// What layer l owns: (B, capacity, owned heads * width); the last extent may be 0.
  View<T, Space> keys(std::size_t l) const { return keys_[l]; }
  View<T, Space> values(std::size_t l) const { return values_[l]; }
  /// One head where it lies.
  Head<T, Space> key(const HeadName& name) const { return head(keys_[name.layer], name.head, key_width_); }
  Head<T, Space> value(const HeadName& name) const { return head(values_[name.layer], name.head, value_width_); }

  /// Elements held for one token, counted from the memory itself.
  std::size_t elements_per_token() const {
    std::size_t elements = 0;
    for (const auto& x : keys_) elements += x.size();
    for (const auto& x : values_) elements += x.size();
    return elements / std::max<std::size_t>(batch() * capacity_, 1);
  }
  std::size_t bytes_per_token() const { return elements_per_token() * sizeof(T); }

 private:
  Head<T, Space> head(View<T, Space> owned, std::size_t head, std::size_t width) const {
    return {owned.data() + head * width, capacity_ * owned.width(), owned.width()};
  }
  std::vector<std::size_t> lengths_;
  std::size_t capacity_, key_width_, value_width_;
  std::vector<Tensor<T, Space>> keys_, values_;
};

}  // namespace skipv1
