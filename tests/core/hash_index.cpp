#include "skipv1/core/hash_index.hpp"

#include <string>
#include <unordered_map>

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"

namespace skipv1 {
namespace {

TEST_CASE("an index finds what a map finds, whatever hashes coincide") {
  const std::size_t few = GENERATE(values<std::size_t>({1, 7, 100000}));  // hashes: all equal; some; hardly any
  HashIndex index;
  std::vector<std::string> names;
  std::unordered_map<std::string, std::size_t> map;
  Random random(3);
  for (std::size_t i = 0; i < 600; ++i) {
    const std::string name = std::to_string(static_cast<int>(random.uniform() * 400));
    const std::size_t hash = Hash().add_text(name).value() % few;
    const auto is = [&](std::size_t n) { return names[n] == name; };
    const auto known = map.find(name);
    CHECK(index.find(hash, is) == (known == map.end() ? HashIndex::none : known->second));
    if (known == map.end()) {
      CHECK(index.find_or_add(hash, is, names.size()) == names.size());
      map[name] = names.size();
      names.push_back(name);
    } else {
      CHECK(index.find_or_add(hash, is, names.size()) == known->second);
    }
  }
  CHECK(names.size() > 200);
  CHECK(HashIndex().find(5, [](std::size_t) { return true; }) == HashIndex::none);
}

TEST_CASE("the number of a thing can be changed where it lies") {
  HashIndex index;
  const auto any = [](std::size_t) { return true; };
  index.find_or_add(9, any, 1) = 4;
  CHECK(index.find(9, any) == 4);
}

}  // namespace
}  // namespace skipv1
