// What a training step exchanges with the other processes: gradients are summed while the backward pass still runs, each process
// updates its part of the parameters, and all get them, piece by piece.
//
// A process sends and receives 2 (N - 1) / N times the parameters' bytes in a step, as for one all-reduce, and keeps 1 / N of the
// optimizer's state (docs/distributed.md).
#pragma once

#include <string>
#include <vector>

#include "skipv1/core/repeat.hpp"
#include "skipv1/distributed/communicator.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

template <class T, class Space = Cpu>
class DataParallel {
 public:
  /// `world` outlives it.
  DataParallel(const ParameterLayout& layout, Communicator& world)
      : world_(world), count_(layout.size()), own_(shard(count_, world.size(), world.rank())) {
    std::size_t layers = 0;
    while (layout.find(layer_name(layers) + "input_layernorm.weight")) ++layers;
    for (std::size_t l = 0; l < layers; ++l) ready_.push_back(matrices(layout, layer_name(l)));
    ready_.push_back(matrices(layout, "lm_head."));
    const std::size_t begin = layers ? ready_[0].begin : layout.decayed();
    rest_ = {Elements{0, begin}, Elements{layout.decayed(), count_}};  // embeddings; all vectors, which are few
  }

  const Elements& own() const { return own_; }  ///< the elements that this process updates

  /// The gradients of layer l are complete; of an output head, for l = the number of layers: `Decoder::run_loss_backward`.
  void begin_sum(View<T, Space> gradients, std::size_t l) { reduce(gradients, ready_.at(l)); }
  /// The backward pass is over: once this has returned, the own part of `gradients` is the sum over all processes.
  void finish_sum(View<T, Space> gradients) {
    for (const Elements& range : rest_) reduce(gradients, range);
    also([this] { world_.wait(); });
  }
  /// `square` and `loss` (1) become the sums over all processes.
  void sum(View<double, Space> square, View<double, Space> loss) {
    also([this, square, loss] {
      world_.begin_group();
      world_.begin_all_reduce(square);
      world_.begin_all_reduce(loss);
      world_.end_group();
      world_.wait();
    });
  }
  /// Into how many pieces each process cuts its part, so that some are sent while the next are updated.
  std::size_t pieces() const { return world_.size() == 1 ? 1 : 4; }
  /// The k-th piece of the own part is updated. Once `finish_share` has returned, every process has everyone's.
  void begin_share(View<T, Space> parameters, std::size_t k) {
    also([this, parameters, k] {
      world_.begin_group();
      for (std::size_t owner = 0; owner < world_.size(); ++owner) {
        const Elements all = shard(count_, world_.size(), owner), piece = shard(all.size(), pieces(), k);
        world_.begin_broadcast(View<T, Space>(parameters.data() + all.begin + piece.begin, {piece.size()}), owner);
      }
      world_.end_group();
    });
  }
  void finish_share() {
    also([this] { world_.wait(); });
  }

 private:
  static std::string layer_name(std::size_t l) { return "model.layers." + std::to_string(l) + "."; }
  /// Where the matrices lie whose names begin so: next to each other, as `ParameterLayout` has them.
  static Elements matrices(const ParameterLayout& layout, const std::string& prefix) {
    Elements range;
    bool any = false;
    for (std::size_t i = 0; i < layout.entries().size(); ++i) {
      const ParameterLayout::Entry& entry = layout.entries()[i];
      if (entry.shape.rank() != 2 || !entry.name.starts_with(prefix)) continue;
      const std::size_t end = i + 1 < layout.entries().size() ? layout.entries()[i + 1].offset : layout.size();
      require(!any || entry.offset == range.end, "data parallelism: the matrices of ", prefix, " do not lie next to each other");
      range = {any ? range.begin : entry.offset, end};
      any = true;
    }
    return range;
  }
  static void also(const std::function<void()>& call) { Repeat<Space>::also(call); }

  void reduce(View<T, Space> gradients, const Elements& range) {
    also([this, gradients, range] {
      world_.begin_group();
      each_owner(range, count_, world_.size(), [&](const Elements& part, std::size_t owner) {
        world_.begin_reduce(View<T, Space>(gradients.data() + part.begin, {part.size()}), owner);
      });
      world_.end_group();
    });
  }

  Communicator& world_;
  std::size_t count_;
  Elements own_;
  std::vector<Elements> ready_, rest_;  ///< of layers and head, in this order; and of what is complete at the end
};

}  // namespace skipv1
