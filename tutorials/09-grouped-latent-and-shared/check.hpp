// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include "skipv1/core/check.hpp"

namespace exercise {

inline void check_09_1() {
  const std::size_t own = skipv1_mla_elements(24, 256, 32);
  skipv1::require(own != 3840, own,
                  " elements for 24 layers, d_c = 256, d_r = 32: that is the paper's number; layer 0's second half must ",
                  "be cached, too, since all others read it");
  skipv1::require(own == 3968, own,
                  " elements for 24 layers, d_c = 256, d_r = 32: must be 3968: one half of c per layer, layer 0's other half, a "
                  "rotary key per layer");
  skipv1::require(skipv1_mla_elements(2, 64, 16) == 128, skipv1_mla_elements(2, 64, 16),
                  " elements for 2 layers, d_c = 64, d_r = 16: must be 128");
}
inline void check_09_2() {
  for (std::size_t h = 0; h < 6; ++h)
    skipv1::require(group_of(h, 6, 3) == h / 2, "6 query heads, 3 groups: query head ", h, " reads group ", group_of(h, 6, 3),
                    ", must read ", h / 2, "; groups are repeated one by one (repeat_interleave), not as a whole (repeat)");
}

}  // namespace exercise
