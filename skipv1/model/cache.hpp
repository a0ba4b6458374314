// The key/value cache: every layer's owned heads and nothing else.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "skipv1/core/lifetime.hpp"
#include "skipv1/ops/head.hpp"
#include "skipv1/routing/routing.hpp"

namespace skipv1 {

/// What a cache holds: keys and values, or their gradients during a backward pass. Among gradients, layers whose heads no later
/// layer reads share the memory of one, except layer 0, whose values others may mix in.
enum class Holds { heads, gradients };

/// Keys and values of `batch` sequences with room for `capacity` positions each. What a layer does not own it does not hold:
/// readers go to the owner's memory. In training it holds one batch's keys and values; a second one, their gradients.
template <class T, class Space = Cpu>
class Cache {
 public:
  /// Throws on a table that was not counted, and more sequences or positions than 32 bits count.
  SKIPV1_COLD Cache(const Routing& routing, std::size_t batch, std::size_t capacity, Holds holds = Holds::heads)
      : lengths_((check(routing, batch, capacity), batch), 0),
        capacity_(capacity),
        key_width_(routing.key_width),
        value_width_(routing.value_width) {
    std::vector<std::size_t> keys_turn(routing.layers, 0), values_turn(routing.layers, 0);  // whether a layer may share memory
    for (std::size_t l = 0; l < routing.layers; ++l) {
      keys_.columns.push_back(routing.key_columns(l)), values_.columns.push_back(routing.value_columns(l));
      if (holds == Holds::heads || l == 0) continue;
      keys_turn[l] = routing.last_key_reader(l) == l, values_turn[l] = routing.last_value_reader(l) == l;
    }
    allocate(keys_, keys_turn), allocate(values_, values_turn);
    part_width_ = routing.latent.part_width;
  }

  /// Throws unless each layer caches as much here as `routing` has it cache: another variant's cache has its heads elsewhere.
  SKIPV1_NOINLINE void require_routing(const Routing& routing) const {
    require_counted(routing);
    require(keys_.columns.size() == routing.layers, "a cache of ", keys_.columns.size(), " layers for a model of ",
            routing.layers);
    for (std::size_t l = 0; l < routing.layers; ++l)
      require(keys_.columns[l] == routing.key_columns(l) && values_.columns[l] == routing.value_columns(l),
              "a cache whose layer ", l, " holds ", keys_.columns[l], " and ", values_.columns[l],
              " elements per token of keys and values, for a model whose layer holds ", routing.key_columns(l), " and ",
              routing.value_columns(l));
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

  /// What layer l owns: (B, capacity, owned heads * width), for MLA its rotary key and latent; the last extent may be 0.
  /// Throws, as the functions below, where there is no such layer or head.
  View<T, Space> keys(std::size_t l) const { return piece(keys_, l); }
  View<T, Space> values(std::size_t l) const { return piece(values_, l); }
  /// One head where it lies.
  Head<T, Space> key(const HeadName& name) const { return head(keys(name.layer), name.head, key_width_); }
  Head<T, Space> value(const HeadName& name) const { return head(values(name.layer), name.head, value_width_); }
  /// MLA: layer l's rotary key, and one part of a latent.
  Head<T, Space> rotary_key(std::size_t l) const { return head(keys(l), 0, keys(l).width()); }
  Head<T, Space> part(const PartName& name) const { return head(values(name.layer), name.part, part_width_); }

  /// Elements held for one token, counted from the memory itself.
  std::size_t elements_per_token() const {
    std::size_t elements = 0;
    for (const auto& x : keys_.pieces) elements += x.size();
    for (const auto& x : values_.pieces) elements += x.size();
    return elements / std::max<std::size_t>(batch() * capacity_, 1);
  }
  const Lifetime& lifetime() const { return lifetime_; }
  std::size_t bytes_per_token() const { return elements_per_token() * sizeof(T); }

 private:
  struct Memory {
    std::vector<Tensor<T, Space>> pieces;  ///< (L): empty where a layer shares an earlier one's
    std::vector<std::size_t> at, columns;  ///< (L): which of them; how wide it is
  };
  SKIPV1_COLD void allocate(Memory& memory, const std::vector<std::size_t>& takes_turns) const {
    const std::vector<std::size_t>& columns = memory.columns;
    memory.pieces = std::vector<Tensor<T, Space>>(columns.size());
    for (std::size_t l = 0; l < columns.size(); ++l) {
      std::size_t with = 0;
      while (with < l && !(takes_turns[l] && takes_turns[with] && columns[with] == columns[l])) ++with;
      memory.at.push_back(with < l ? memory.at[with] : l);
      if (with == l) memory.pieces[l] = zeros<T, Space>({batch(), capacity_, columns[l]});
    }
  }
  static void check(const Routing& routing, std::size_t batch, std::size_t capacity) {
    constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
    require(batch <= most && capacity <= most, "a cache of ", batch, " sequences of ", capacity, " positions: must be at most ",
            most, " each");
    require_counted(routing);
  }
  static View<T, Space> piece(const Memory& memory, std::size_t l) {
    require(l < memory.at.size(), "a cache of ", memory.at.size(), " layers has no layer ", l);
    return memory.pieces[memory.at[l]];
  }
  Head<T, Space> head(View<T, Space> owned, std::size_t head, std::size_t width) const {
    require(width > 0 && head < owned.width() / width, "a cache's layer holds ", owned.width(), " elements per token: no head ",
            head, " of width ", width);
    return {owned.data() + head * width, capacity_ * owned.width(), owned.width()};
  }
  std::vector<std::size_t> lengths_;
  std::size_t capacity_, key_width_, value_width_, part_width_ = 0;
  Memory keys_, values_;
  Lifetime lifetime_;
};

}  // namespace skipv1
