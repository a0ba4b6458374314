// A routing table's file, and the variant that is one.
#include "skipv1/io/head_table.hpp"

#include "skipv1/io/config.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

HeadTable names_of(const Routing& routing) {
  HeadTable table;
  for (std::size_t l = 0; l < routing.layers; ++l) {
    table.values.emplace_back(), table.keys.emplace_back();
    for (std::size_t h = 0; h < routing.heads; ++h)
      table.values[l].push_back(routing.value(l, h)), table.keys[l].push_back(routing.key(l, h));
  }
  return table;
}
std::string table_error(const std::string& text) {
  return error_of([&] { parse_table(parse_json(text)); });
}
/// Two layers of two heads, with a table as in a file.
std::string table_refusal(const std::string& text) {
  Config c;
  c.num_hidden_layers = 2, c.num_attention_heads = c.num_key_value_heads = 2;
  c.attention.variant = "table";
  if (!text.empty()) c.attention.table = parse_table(parse_json(text));
  return error_of([&] { validate(c); });
}

}  // namespace

TEST_CASE("every variant's table is one as data, and routes the same") {
  const Folder folder("head-table");
  for (const Variant& variant : variants()) {
    if (variant.latent.count) continue;
    Config named;
    named.attention.variant = variant.name;
    if (variant.name == "mqa") continue;  // two query heads of a group: a table names those of groups
    for (const Injection injection : {Injection::second_half, Injection::pooling}) {
      if (injection != Injection::second_half && !variant.fields.injection) continue;
      named.attention.injection = injection;
      const Routing routing = make_routing(named);
      const HeadTable table = names_of(routing);
      write_table(folder / "table.json", table);
      CHECK(read_table(folder / "table.json") == table);
      Config given = named;
      given.attention = {};
      choose_variant(given.attention, (folder / "table.json").string());
      CHECK(given.attention.variant == "table");
      CHECK(parse_config(config_text(given)) == given);
      const Routing same = make_routing(given);
      CAPTURE(variant.name);
      CHECK((same.keys == routing.keys && same.values == routing.values && same.owned_keys == routing.owned_keys &&
             same.owned_values == routing.owned_values && same.key_width == routing.key_width));
    }
  }
}

const std::string head_rule = "expected LAYER.HEAD, LAYER.HEAD+HEAD or -, each number below 4096, without leading zeros";

TEST_CASE("a table's errors name its file, and show control characters") {
  const Folder folder("head-table-errors");
  const std::string path = (folder / "table.json").string();
  const auto refusal = [&](const std::string& text) {
    write(folder / "table.json", text);
    return error_of([&] {
      Config c;
      c.num_hidden_layers = 2, c.num_attention_heads = c.num_key_value_heads = 2;
      choose_variant(c, path);
    });
  };
  CHECK(refusal(R"({"values": ["0.0 0.1", "1.0 1.1"]})").empty());
  CHECK(refusal(R"({"values": ["0.0 0.1"]})") == path + ": table: values of 1 layers: must be num_hidden_layers, 2");
  CHECK(refusal(R"({"values": ["0.0 0.1", "0.5 1.1"]})").find(path + ": table: ") == 0);
  CHECK(refusal(R"({"values": ["0.0\t0.1", "1.0 1.1"]})") == path + R"(: "values", layer 0: "0.0\t0.1": )" + head_rule);
  CHECK(refusal(R"({"values": ["0.0 \u0001", "1.0 1.1"]})").find(R"("\x01": expected)") != std::string::npos);
}

TEST_CASE("a table without keys has each layer's own; heads of groups are named once") {
  Config c;
  c.num_hidden_layers = 2, c.num_attention_heads = 4, c.num_key_value_heads = 2;
  c.attention.variant = "table", c.attention.table = parse_table(parse_json(R"({"values": ["0.0 0.1", "1.0 0.1"]})"));
  const Routing routing = make_routing(c);
  CHECK(routing.values[4] == HeadName{1, 0});
  CHECK((routing.values[6] == HeadName{0, 1} && routing.values[7] == HeadName{0, 1} && routing.keys[7] == HeadName{1, 1}));
  CHECK((routing.owned_values == std::vector<std::size_t>{2, 1} && routing.owned_keys == std::vector<std::size_t>{2, 2}));
}

TEST_CASE("a table's file that is none is refused in one line that says where") {
  CHECK(table_error("[]").starts_with("expected an object"));
  CHECK(table_error("{}") == "\"values\" is missing");
  CHECK(table_error(R"({"values": []})").starts_with("\"values\": expected a list of strings, one for each layer"));
  CHECK(table_error(R"({"values": [[0, 0]]})").starts_with("\"values\": expected a string for each layer"));
  CHECK(table_error(R"({"values": ["0.0"], "value": 1})") == "\"value\" is not a key that is known here");
  for (const char* word : {"0", "0.", ".0", "0.0x", "0.0+", "0.-1", "a.b", "1.4096", "0.0.0", "0.01", "00.1", "0.0+01",
                           "99999999999999999999.0", "--"})
    CHECK(table_error("{\"values\": [\"0.0\", \"0.0 " + std::string(word) + "\"]}") ==
          "\"values\", layer 1: \"" + std::string(word) + "\": " + head_rule);
  const Folder folder("bad-table");
  write(folder / "t.json", "{");
  AttentionConfig attention;
  CHECK(error_of([&] {
          choose_variant(attention, (folder / "t.json").string());
        }).starts_with((folder / "t.json").string() + ": not JSON"));
  CHECK(error_of([&] { choose_variant(attention, (folder / "none.json").string()); }).find("none.json") != std::string::npos);
}

TEST_CASE("a table that does not fit its model is refused: layers, heads, later layers, heads that nobody reads") {
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.0 0.1"]})") == "");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "- 0.0+1"]})") == "");
  CHECK(table_refusal("") == "variant table: no values are given: name the file of a table, which ends in .json");
  CHECK(table_refusal(R"({"values": ["0.0 0.1"]})") == "table: values of 1 layers: must be num_hidden_layers, 2");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.0"]})") == "table: layer 1 has 1 value heads: must be num_key_value_heads, 2");
  CHECK(table_refusal(R"({"values": ["1.0 0.1", "1.0 0.1"]})") ==
        "table: layer 0 value head 0 reads layer 1: only this and earlier layers can be read");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.0 0.2"]})") ==
        "table: layer 1 value head 1 reads head 2 of layer 0: there are 2");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.1 0.1"]})") ==
        "routing: layer 1 would compute value head 0, which nobody reads");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.0 0.1"], "keys": ["0.0 0.1", "1.0 -"]})") ==
        "table: layer 1 key head 1 is none, or a mean: only a value can be");
  CHECK(table_refusal(R"({"values": ["0.0 0.1", "1.0 0.1"], "keys": ["0.0 0.1", "2.0 1.0"]})") ==
        "table: layer 1 key head 0 reads layer 2: only this and earlier layers can be read");
  Config c;
  c.attention.table.values = {{{0, 0}}};
  CHECK(error_of([&] { validate(c); }) == "table with variant mha: only table has one");
  CHECK(error_of([] { register_variant({.name = "table", .route = routing::own_layer}); }) == "variant \"table\" exists already");
}
