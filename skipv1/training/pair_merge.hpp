// Byte-pair encoding's merging, which llama2.c's vocabularies and tokenizer.json share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <queue>
#include <vector>

namespace skipv1 {

/// What two neighbours become; the least `order` goes first.
template <class Order>
struct PairMerge {
  Order order;
  std::int32_t id;
};

/// Merges two neighbours of `ids` (all >= 0) as long as `find(left, right)`, an optional `PairMerge`, has one for any two: those
/// of the least order first, of equal orders the leftmost. A heap of candidates over a linked list takes n log n, where trying
/// all pairs again takes n * n.
template <class Order, class Find>
std::vector<std::int32_t> merge_pairs(std::vector<std::int32_t> ids, const Find& find) {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  struct Candidate {
    PairMerge<Order> merge;
    std::size_t left, right;
    std::int32_t left_id, right_id;                 // a candidate is stale once either id has changed
    bool operator<(const Candidate& other) const {  // the top of the heap is the largest
      return merge.order != other.merge.order ? merge.order > other.merge.order : left > other.left;
    }
  };
  std::vector<std::size_t> next(ids.size()), previous(ids.size());
  std::priority_queue<Candidate> heap;
  const auto consider = [&](std::size_t left, std::size_t right) {
    if (left == none || right == none) return;
    if (const std::optional<PairMerge<Order>> merge = find(ids[left], ids[right]))
      heap.push({*merge, left, right, ids[left], ids[right]});
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    previous[i] = i == 0 ? none : i - 1;
    next[i] = i + 1 < ids.size() ? i + 1 : none;
  }
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) consider(i, i + 1);
  constexpr std::int32_t gone = -1;
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    if (ids[best.left] != best.left_id || ids[best.right] != best.right_id || next[best.left] != best.right) continue;
    ids[best.left] = best.merge.id;
    ids[best.right] = gone;
    next[best.left] = next[best.right];
    if (next[best.left] != none) previous[next[best.left]] = best.left;
    consider(previous[best.left], best.left);
    consider(best.left, next[best.left]);
  }
  std::erase(ids, gone);
  return ids;
}

}  // namespace skipv1
