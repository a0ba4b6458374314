#include "skipv1/plot/routing.hpp"

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

TEST_CASE("a routing picture shows keys and values, and what is mixed as a mixture") {
  const std::string skipv0 = plot::routing_picture(table_of("skipv0"), "title").svg();
  CHECK(skipv0.find("keys read") != skipv0.npos);
  CHECK(skipv0.find("values read") != skipv0.npos);
  CHECK(skipv0.find(">none<") != skipv0.npos);
  const std::string mha = plot::routing_picture(table_of("mha"), "title").svg();
  const std::string res = plot::routing_picture(table_of("resformer"), "title", {.values = true}).svg();
  const std::string dense = plot::routing_picture(table_of("denseformer"), "title", {.depth = true}).svg();
  const std::string skipkv1 = plot::routing_picture(table_of("skipkv1"), "title").svg();
  CHECK(mha != res);
  CHECK(mha != dense);
  CHECK(mha != skipkv1);
  CHECK(res.find("values, mixed") != res.npos);
  CHECK(dense.find("block's input") != dense.npos);
}

TEST_CASE("runs are called in figures as their variants are") {
  CHECK(title_of("skipv1") == "SkipV1");
  CHECK(title_of("yoco_v") == "YOCO-V");
  CHECK(title_of("skipv1_gqa-2") == "SkipV1-GQA 2");
  CHECK(title_of("mean_v") == "mean_v");
}
