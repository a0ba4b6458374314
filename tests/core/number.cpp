#include "skipv1/core/number.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("the stream's numbers are std::from_chars's: value, end and error") {
  for (const std::string text : {"0",         "-0",
                                 "1",         "-1.5",
                                 ".5",        "5.",
                                 ".",         "-",
                                 "",          "-.",
                                 "1e3",       "1e",
                                 "1e+",       "1E-2x",
                                 "1e400",     "-1e400",
                                 "1.2.3",     "12,5",
                                 "+1",        " 1",
                                 "x",         "0x10",
                                 "1e5e5",     "--1",
                                 "3.5=label", "123456789012345678901"}) {
    CAPTURE(text);
    const char *begin = text.data(), *end = begin + text.size();
    double ours = 7, theirs = 7;
    const auto a = detail::number_by_stream(begin, end, ours);
    const auto b = std::from_chars(begin, end, theirs);
    CHECK(a.ptr == b.ptr);
    CHECK((a.ec == b.ec));
    CHECK(ours == theirs);
  }
}
