// What a training step exchanges with the other processes: gradients are summed while the backward pass still runs, each process
// updates its part of the parameters, and all get them.
//
// A process sends and receives 2 (N - 1) / N times the parameters' bytes in a step, as for one all-reduce, and keeps 1 / N of the
// optimizer's state (docs/distributed.md).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "skipv1/core/repeat.hpp"
#include "skipv1/distributed/communicator.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

template <class T, class Space = Cpu>
class DataParallel {
 public:
  /// `world` outlives it.
  SKIPV1_COLD DataParallel(const ParameterLayout& layout, Communicator& world)
      : world_(world), count_(layout.size()), own_(shard(count_, world.size(), world.rank())) {
    std::size_t layers = 0;
    while (layout.find(layer_name(layers) + "input_layernorm.weight")) ++layers;
    ready_ = std::vector<Elements>(layers + 1);
    for (std::size_t l = 0; l < layers; ++l) ready_[l] = matrices(layout, layer_name(l));
    ready_[layers] = matrices(layout, "lm_head.");
    const std::size_t begin = layers ? ready_[0].begin : layout.decayed();
    rest_[0] = {0, begin}, rest_[1] = {layout.decayed(), count_};  // embeddings; all vectors, which are few
  }

  const Elements& own() const { return own_; }  ///< the elements that this process updates

  /// The gradients of layer l are complete; of an output head, for l = the number of layers: `Decoder::run_loss_backward`.
  /// On GPUs of one machine they wait for the end: sums beside the backward pass slow it down by more than they take
  /// (docs/distributed.md, "Two H200s: measured").
  void begin_sum(View<T, Space> gradients, std::size_t l) {
    complete_.push_back(ready_.at(l));
    if (!world_.on_one_machine()) reduce(gradients);
  }
  /// The backward pass is over: once this has returned, the own part of `gradients` is the sum over all processes.
  void finish_sum(View<T, Space> gradients) {
    for (const Elements& range : rest_) complete_.push_back(range);
    reduce(gradients);
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
  /// Every process gets the parts of `parameters` that others have updated.
  void share(View<T, Space> parameters) {
    also([this, parameters] {
      world_.begin_group();
      each_owner({0, count_}, count_, world_.size(), [&](const Elements& part, std::size_t owner) {
        world_.begin_broadcast(View<T, Space>(parameters.data() + part.begin, {part.size()}), owner);
      });
      world_.end_group();
      world_.wait();
    });
  }

 private:
  static std::string layer_name(std::size_t l) { return "model.layers." + std::to_string(l) + "."; }
  /// Where the matrices lie whose names begin so: next to each other, as `ParameterLayout` has them.
  SKIPV1_COLD static Elements matrices(const ParameterLayout& layout, const std::string& prefix) {
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
  template <class Call>
  static void also(const Call& call) {
    Repeat<Space>::also(call);
  }

  /// Of what is complete and not summed yet.
  void reduce(View<T, Space> gradients) {
    also([this, gradients, ranges = std::exchange(complete_, {})] {
      world_.begin_group();
      for (const Elements& range : ranges)
        each_owner(range, count_, world_.size(), [&](const Elements& part, std::size_t owner) {
          world_.begin_reduce(View<T, Space>(gradients.data() + part.begin, {part.size()}), owner);
        });
      world_.end_group();
    });
  }

  Communicator& world_;
  std::size_t count_;
  Elements own_;
  std::vector<Elements> ready_;  ///< of layers and head, in this order
  Elements rest_[2];             ///< the elements that are complete only at the end
  std::vector<Elements> complete_;
};

}  // namespace skipv1
