// The processes of one job and what they exchange: data parallelism needs no more than a sum, a broadcast and a barrier.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/view.hpp"

namespace skipv1 {

/// The scalars that are summed.
enum class Element { f32, f64, bf16 };
template <class T>
constexpr Element element_of() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16>);
  return std::is_same_v<T, float> ? Element::f32 : std::is_same_v<T, double> ? Element::f64 : Element::bf16;
}
constexpr std::size_t bytes_of(Element element) { return element == Element::f64 ? 8 : element == Element::f32 ? 4 : 2; }

/// A process among `size()` of one job. Every process makes the same calls in the same order; a sum is the same to the bit on
/// every process, and in the next run of as many processes.
///
/// `begin_…` return at once: the work is done in the order of the calls, beside whatever the caller computes, and the memory is
/// the communicator's until `wait`. That memory is the host's or, for NCCL, the device's: there the work runs after what the
/// current stream was given before it, and before what the stream is given after `wait`.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual std::size_t rank() const = 0;
  virtual std::size_t size() const = 0;
  /// Whether all are GPUs of one machine, whose links are fast.
  virtual bool on_one_machine() const { return false; }
  bool first() const { return rank() == 0; }  ///< the one that writes: log, checkpoints, standard output

  /// The sum over all processes goes to `root`; what the others have there is no longer defined.
  virtual void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) = 0;
  virtual void begin_all_reduce(void* data, std::size_t count, Element element) = 0;
  virtual void begin_broadcast(void* data, std::size_t bytes, std::size_t root) = 0;
  virtual void wait() = 0;
  /// Calls between the two are one piece of work where that is cheaper: NCCL then goes through the chains of several roots at
  /// once.
  virtual void begin_group() {}
  virtual void end_group() {}

  /// Host memory in any form of communicator; done when the call returns.
  virtual void broadcast(void* data, std::size_t bytes, std::size_t root) = 0;
  virtual void all_reduce(double* data, std::size_t count) = 0;
  void barrier() {
    double nothing = 0;
    all_reduce(&nothing, 1);
  }

  template <class T, class Space>
  void begin_reduce(View<T, Space> x, std::size_t root) {
    if (!x.empty()) begin_reduce(x.data(), x.size(), element_of<T>(), root);
  }
  template <class T, class Space>
  void begin_all_reduce(View<T, Space> x) {
    if (!x.empty()) begin_all_reduce(x.data(), x.size(), element_of<T>());
  }
  template <class T, class Space>
  void begin_broadcast(View<T, Space> x, std::size_t root) {
    if (!x.empty()) begin_broadcast(x.data(), x.size() * sizeof(T), root);
  }
  /// `text` of `root`, on every process.
  void broadcast(std::string& text, std::size_t root = 0) {
    std::uint64_t size = text.size();
    broadcast(&size, sizeof size, root);
    text.resize(size);
    if (size) broadcast(text.data(), size, root);
  }
};

/// One process: everything is there already.
class OneProcess final : public Communicator {
 public:
  using Communicator::begin_all_reduce;
  using Communicator::begin_broadcast;
  using Communicator::begin_reduce;
  using Communicator::broadcast;

  std::size_t rank() const override { return 0; }
  std::size_t size() const override { return 1; }
  void begin_reduce(void*, std::size_t, Element, std::size_t) override {}
  void begin_all_reduce(void*, std::size_t, Element) override {}
  void begin_broadcast(void*, std::size_t, std::size_t) override {}
  void wait() override {}
  void broadcast(void*, std::size_t, std::size_t) override {}
  void all_reduce(double*, std::size_t) override {}
};
/// The communicator of whoever works alone.
inline Communicator& one_process() {
  static OneProcess one;
  return one;
}

/// Consecutive elements.
struct Elements {
  std::size_t begin = 0, end = 0;

  std::size_t size() const { return end - begin; }
  friend bool operator==(const Elements&, const Elements&) = default;
};

/// The part of `count` elements that process `rank` of `size` updates (ZeRO stage 1: Rajbhandari et al. 2020). Parts are equal
/// but for the last ones and begin at multiples of 64 elements, so that the device's wide loads stay aligned. May be empty.
inline Elements shard(std::size_t count, std::size_t size, std::size_t rank) {
  require(rank < size, "shard: process ", rank, " of ", size, ": they are counted from 0");
  const std::size_t part = ((count + size - 1) / size + 63) / 64 * 64;
  return {std::min(count, part * rank), std::min(count, part * (rank + 1))};
}

/// Calls `visit(part, owner)` for the parts of `range` that different processes update.
template <class Visit>
void each_owner(const Elements& range, std::size_t count, std::size_t size, const Visit& visit) {
  for (std::size_t owner = 0; owner < size; ++owner) {
    const Elements own = shard(count, size, owner);
    const Elements part{std::max(own.begin, range.begin), std::min(own.end, range.end)};
    if (part.begin < part.end) visit(part, owner);
  }
}

}  // namespace skipv1
