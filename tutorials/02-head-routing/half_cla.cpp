// A variant of our own: odd layers take the skipped half of their values from the even layer below, not from the first. Any program
// that links this file knows it: it is registered before main begins.
#include <skipv1/routing/variants.hpp>

namespace {

using namespace skipv1;

Routing half_cla(const RoutingShape& s) {
  return fill_routing(
      s,
      [](std::size_t l, std::size_t g) {
        return HeadName{l, g};
      },
      [&](std::size_t l, std::size_t g) {
        return HeadName{l % 2 == 1 && g >= s.own() ? l - 1 : l, g};
      });
}

[[maybe_unused]] const bool registered =
    (register_variant(
         {.name = "half_cla", .summary = "half of each odd layer's values is the even layer's below", .route = half_cla}),
     true);

}  // namespace
