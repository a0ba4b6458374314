// The world that tests run in.
#pragma once

#include "skipv1/distributed/world.hpp"

namespace skipv1::test {
const World*& world_of_tests();
inline Communicator& here() { return *world_of_tests()->host(); }
}  // namespace skipv1::test
