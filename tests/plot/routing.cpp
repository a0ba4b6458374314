#include "skipv1/plot/routing.hpp"

#include <cmath>

#include "skipv1/routing/variants.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {
Routing table_of(const char* variant, Injection injection = Injection::second_half) {
  return find_variant(variant).route(RoutingShape{2, 4, 4, 0.5, 0, injection});
}
}  // namespace

TEST_CASE("a routing table as text names every head that is read and counts those owned") {
  CHECK(plot::to_text(table_of("skipv1")) ==
        "  layer 0  keys 0.0   0.1   0.2   0.3   values 0.0   0.1   0.2   0.3   owns 4, 4\n"
        "  layer 1  keys 1.0   1.1   1.2   1.3   values 1.0   1.1   0.2   0.3   owns 4, 2\n");
  CHECK(plot::to_text(table_of("skipv0").value(1, 3)) == "-");
  CHECK(plot::to_text(table_of("skipv1", Injection::pooling).value(1, 2)) == "0.0+2");
}

TEST_CASE("a routing picture is coloured by the layer read, and not where none is") {
  const plot::MatrixPicture values = plot::routing_picture(table_of("skipv0"), "title");
  REQUIRE(values.values.size() == 8);
  CHECK(values.values[5] == 1);
  CHECK(std::isnan(values.values[7]));
  CHECK(values.texts[7] == "-");
  CHECK(plot::routing_picture(table_of("svformer"), "title", true).texts[4] == "1.0");
}
