// Work asked for again and again, the same each time but for what lies in memory.
#pragma once

#include <functional>

#include "skipv1/core/view.hpp"

namespace skipv1 {

/// Does the work it is called with. The device's form (graph.cuh) records it as a graph.
template <class Space>
class Repeat {
 public:
  void operator()(const std::function<void()>& work) { work(); }
  void forget() {}
};

}  // namespace skipv1
