#include "skipv1/core/progress.hpp"

#include <sstream>
#include <string>

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("the line of a progress bar has the share, the count, the rate and the time left") {
  std::ostringstream out;
  const Progress bar("train", 1000, "tokens", out, true);
  CHECK(bar.line(500, 2) == "train [==========          ]  50% 500/1000 tokens, 250 tokens/s, 0:02 left");
  CHECK(bar.line(0, 0) == "train [                    ]   0% 0/1000 tokens, 0.00 tokens/s, ? left");
  CHECK(bar.line(1000, 3725) == "train [====================] 100% 1000/1000 tokens, 0.27 tokens/s, 1:02:05");
  CHECK(bar.line(999, 1).find(" 99% ") != std::string::npos);  // never 100% before the end
}

TEST_CASE("a line is no longer than the terminal is wide") {
  std::ostringstream out;
  Progress bar("train", 26214400, "tokens", out, true);
  bar.at(0, "step 61000, loss 3.1416, valid 3.2000");
  const auto within = [&](std::size_t columns) { return bar.line_within(13107200, 50, columns); };
  CHECK(within(160) == bar.line(13107200, 50));
  CHECK(bar.line(13107200, 50).size() > 79);
  CHECK(within(110) == "train  50% 13107200/26214400 tokens, 262144 tokens/s, 0:50 left, step 61000, loss 3.1416, valid 3.2000");
  CHECK(within(79) == "train  50%, 262144 tokens/s, 0:50 left, step 61000, loss 3.1416, valid 3.2000");
  CHECK(within(70) == "train  50%, 0:50 left, step 61000, loss 3.1416, valid 3.2000");
  CHECK(within(20) == "train  50%, 0:50 lef");
  for (std::size_t columns = 0; columns < 200; ++columns) CHECK(within(columns).size() <= columns);
}

TEST_CASE("a bar in 80 columns never wraps, and covers the line before") {
  std::ostringstream out;
  {
    Progress bar("train", 100000, "tokens", out, true, 80);
    for (std::size_t i = 1; i <= 100000; ++i)
      bar.at(i, "step 61000, loss 3.1416, valid " + std::to_string(3.0 / static_cast<double>(i)));
  }
  std::istringstream lines(out.str());
  std::string line;
  for (std::getline(lines, line, '\r'); std::getline(lines, line, '\r');) CHECK(line.find_last_not_of('\n') < 79);
}

TEST_CASE("progress without a terminal is whole lines, and few of them") {
  std::ostringstream out;
  {
    Progress plain("load", 10000, "rows", out, false);
    for (std::size_t i = 1; i <= 10000; ++i) plain.at(i, "loss 1.5");
  }
  const std::string text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);  // ended within five seconds: the last line only
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.rfind("load 100% 10000/10000 rows", 0) == 0);
  CHECK(text.substr(text.size() - 11) == ", loss 1.5\n");
}

TEST_CASE("short work that ends early writes nothing") {
  std::ostringstream out;
  { Progress stopped("train", 10, "steps", out, true); }
  CHECK(out.str().empty());
}

TEST_CASE("a progress bar ends its line") {
  std::ostringstream out;
  {
    Progress bar("train", 3, "steps", out, true);
    for (int i = 0; i < 3; ++i) bar.advance();
  }
  CHECK(out.str().front() == '\r');
  CHECK(out.str().back() == '\n');
  CHECK(out.str().find("3/3 steps") != std::string::npos);
}

TEST_CASE("times read as clocks") {
  CHECK(clock_text(0.4) == "0:00");
  CHECK(clock_text(59.6) == "1:00");
  CHECK(clock_text(3599) == "59:59");
  CHECK(clock_text(36001) == "10:00:01");
}
