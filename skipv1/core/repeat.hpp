// Work that is repeated with the same calls on changing memory.
#pragma once

namespace skipv1 {

/// Runs the work it is called with. On a device (device/graph.cuh) it records the work as a graph and replays that.
template <class Space>
class Repeat {
 public:
  template <class Work>
  void operator()(const Work& work) {
    work();
  }
  void forget() {}
  /// Does what is neither a launch nor a copy as a part of the work: on the emulator it is recorded with the rest.
  template <class Call>
  static void also(const Call& call) {
    call();
  }
};

}  // namespace skipv1
