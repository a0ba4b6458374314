// Work that is repeated with the same calls on changing memory.
#pragma once

#include <functional>

#include "skipv1/core/view.hpp"

namespace skipv1 {

/// Runs the work it is called with. On a device (device/graph.cuh) it records the work as a graph and replays that.
template <class Space>
class Repeat {
 public:
  void operator()(const std::function<void()>& work) { work(); }
  void forget() {}
  /// Does what is neither a launch nor a copy as a part of the work: on the emulator it is recorded with the rest.
  static void also(const std::function<void()>& call) { call(); }
};

}  // namespace skipv1
