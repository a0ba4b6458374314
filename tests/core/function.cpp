#include "skipv1/core/function.hpp"

#include <functional>
#include <memory>
#include <string>

#include "tests/catch.hpp"

namespace skipv1 {
namespace {

int twice_of_function_test(int x) { return 2 * x; }

TEST_CASE("a function calls what it was made of, small or large, and copies are independent") {
  int calls = 0;
  const Function<int(int)> small = [&](int x) { return ++calls, x + 1; };
  CHECK((small(1) == 2 && calls == 1));
  std::string text(100, 'a');
  Function<std::size_t(char)> large = [text](char letter) mutable {
    text += letter;
    return text.size();
  };
  Function<std::size_t(char)> copy = large;
  CHECK((large('b') == 101 && large('c') == 102 && copy('b') == 101));
  const Function<std::size_t(char)> moved = std::move(copy);
  CHECK(moved('d') == 102);
  CHECK(!copy);
  copy = large;
  CHECK((copy('e') == 103 && large('e') == 103));
  CHECK(Function<int(int)>(twice_of_function_test)(4) == 8);
  CHECK(Function<int(int)>(std::function<int(int)>(small))(4) == 5);
}

TEST_CASE("what a function holds is destroyed once") {
  const auto counted = std::make_shared<int>(0);
  {
    Function<void()> one = [counted] { ++*counted; };
    Function<void()> two = one;
    two = std::as_const(two);
    two();
    one = {};
    CHECK(counted.use_count() == 2);
  }
  CHECK((counted.use_count() == 1 && *counted == 1));
}

TEST_CASE("an empty function is false, and so is one of nothing callable") {
  CHECK(!Function<void()>());
  CHECK(!Function<void()>(nullptr));
  CHECK(!Function<void()>(std::function<void()>()));
  CHECK(!Function<int(int)>(static_cast<int (*)(int)>(nullptr)));
  CHECK(Function<void()>([] {}));
  CHECK_THROWS_AS(Function<void()>()(), Error);
  CHECK(!Function<void(int)>(Function<void(long)>()));
}

TEST_CASE("a function that returns nothing takes callables that return something") {
  int calls = 0;
  const Function<void(int)> counts = [&calls](int x) { return calls += x; };
  counts(2);
  CHECK(calls == 2);
  CHECK(!std::is_constructible_v<Function<int(std::string)>, std::size_t (std::string::*)() const>);
}

TEST_CASE("references and what cannot be copied are passed on") {
  const Function<int(std::unique_ptr<int>)> takes = [](std::unique_ptr<int> p) { return *p; };
  CHECK(takes(std::make_unique<int>(7)) == 7);
  int x = 1;
  const Function<int&(int&)> same = [](int& y) -> int& { return y; };
  same(x) = 5;
  CHECK(x == 5);
}

}  // namespace
}  // namespace skipv1
