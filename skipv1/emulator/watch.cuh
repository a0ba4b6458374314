// What the threads of an emulated launch do, one step after the other, for whoever looks on: pictures, debuggers, tests.
#pragma once

#include <cstddef>
#include <functional>

#include "skipv1/core/grid.cuh"
#include "skipv1/emulator/shared_memory.cuh"

namespace skipv1::emulator {

/// One step of one thread.
struct Step {
  enum class Kind {
    load,       ///< `load_global`: `bytes` bytes at `address`
    store,      ///< `store_global`, likewise
    waits,      ///< arrives at the operation `what` of its warp or block, which the others have not all reached
    arrives,    ///< the last one there: all go on
    exchanges,  ///< goes on after a shuffle: it gave `gives`, and took `takes` from lane `from`
    value,      ///< `note_value`: the variable called `what` is `takes`
    returns
  };
  Kind kind;
  Index3 block = {};
  std::size_t thread = 0;  ///< its number in the block
  Place place = {};
  const char* what = "";
  const void* address = nullptr;
  std::size_t bytes = 0, from = 0;
  double gives = 0, takes = 0;
};
using Watcher = std::function<void(const Step&)>;

/// Whom the steps are told; null: nobody.
inline const Watcher*& watcher() {
  static const Watcher* seen_by = nullptr;
  return seen_by;
}
/// Tells `see` each step of the launches of `work()`, whose blocks then run one after the other on the calling thread; those of a
/// cooperative launch have threads of their own, from which `see` is called. One thread at a time watches.
template <class Work>
void watch(const Watcher& see, const Work& work) {
  struct Watching {
    explicit Watching(const Watcher& by) { watcher() = &by; }
    ~Watching() { watcher() = nullptr; }
  } const watching(see);
  work();
}

}  // namespace skipv1::emulator
