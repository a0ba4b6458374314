"""The reader of headers (docs/site/api.py) finds what a header declares, hides what it hides, and refuses a comment that belongs to
nothing. python3 reference.py TREE"""

import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/docs/site")
import api  # noqa: E402

HEADER = '''// What this header is for.
#pragma once
#include <vector>

namespace skipv1 {

namespace detail {
/// Hidden.
inline int hidden() { return 1; }
}  // namespace detail

/// No head; a string with a brace.
inline constexpr const char* none = "{";

/// A pair. `T`: a scalar.
template <class T = double>
requires std::is_floating_point_v<T>
class Pair {
 public:
  explicit Pair(T a) : a_{a}, b_(a) {}
  /// The sum.
  T sum() const { return a_ + b_; }
  T both[2] = {};  ///< as an array

 private:
  /// Not shown.
  T a_, b_;
};

namespace reference {
/// y = x. Shapes (N).
template <class T>
void copy(View<T> y, ConstView<T> x, std::vector<int> order = {}) {
  for (int i = 0; i < 3; ++i) y(i) = x(i);
}
}  // namespace reference

enum class Mode { fast, exact };
using Pairs = std::vector<Pair<>>;
bool operator==(const Pair<>& a, const Pair<>& b);
/// How many.
#define SKIPV1_MANY 3

}  // namespace skipv1
'''

header = api.read_header("a.hpp", HEADER)
found = {item.name: item for item in header.items}
expected = {"none": "constant", "Pair": "class", "reference::copy": "function", "Mode": "enum", "Pairs": "alias", "operator==": "function", "SKIPV1_MANY": "macro"}
assert {name: item.kind for name, item in found.items()} == expected, {name: item.kind for name, item in found.items()}
assert header.intro == "What this header is for.", header.intro
assert found["none"].doc == "No head; a string with a brace."
assert found["Pair"].members == ["Pair", "sum", "both"], found["Pair"].members
pair = found["Pair"].code
assert "explicit Pair(T a);" in pair and "/// The sum.\n  T sum() const;" in pair and "///< as an array" in pair, pair
assert "a_" not in pair and "Not shown" not in pair and "return" not in pair, pair
copy = found["reference::copy"]
assert copy.code == "template <class T>\nvoid copy(View<T> y, ConstView<T> x, std::vector<int> order = {});", copy.code
assert (copy.doc, copy.line) == ("y = x. Shapes (N).", HEADER[: HEADER.index("template <class T>\nvoid")].count("\n") + 1), (copy.doc, copy.line)

for wrong, complaint in ((HEADER.replace("enum class Mode", "/// Lost.\n\nenum class Mode"), "belongs to no declaration"), (HEADER.replace("return a_ + b_; }", "return a_ + b_;"), "nothing closes")):
    try:
        api.read_header("a.hpp", wrong)
    except SystemExit as error:
        assert complaint in str(error) and str(error).startswith("a.hpp:"), error
    else:
        raise AssertionError(f"no complaint: {complaint}")
print("the reader of headers finds what it should")
