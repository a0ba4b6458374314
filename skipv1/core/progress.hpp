// How far long work is, on standard error: a bar on a terminal, now and then a plain line elsewhere.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>

#ifdef _WIN32
#include <io.h>
#elif __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace skipv1 {

/// Whether standard error is a terminal.
inline bool stderr_is_terminal() {
#ifdef _WIN32
  return _isatty(_fileno(stderr)) != 0;
#elif __has_include(<unistd.h>)
  return isatty(STDERR_FILENO) != 0;
#else
  return false;
#endif
}

/// `seconds` as 1:02:03, or 2:03 below an hour.
inline std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  char text[40];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  }
  return text;
}

/// Shows "train [=====     ]  50% 500/1000 tokens, 250 tokens/s, 0:02 left" until it is destroyed. Not for several threads.
class Progress {
 public:
  /// Work of `total` pieces called `unit` (plural). `bar`: redraw one line ten times a second; else a line every five seconds.
  Progress(std::string what, std::size_t total, std::string unit, std::ostream& out = std::cerr, bool bar = stderr_is_terminal())
      : what_(std::move(what)),
        unit_(std::move(unit)),
        total_(total),
        out_(out),
        bar_(bar),
        start_(Clock::now()),
        shown_(start_) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    try {
      if (!last_.empty() || done_ >= total_) show();
      if (bar_ && !last_.empty()) out_ << '\n' << std::flush;
    } catch (...) {  // a closed standard error is no reason to end the program
    }
  }

  /// `done` pieces are done; `note` (such as the loss) is added to the line.
  void at(std::size_t done, const std::string& note = {}) {
    done_ = done;
    note_ = note;
    if (Clock::now() - shown_ >= std::chrono::milliseconds(bar_ ? 100 : 5000)) show();
  }
  /// `count` more pieces are done.
  void advance(std::size_t count = 1) { at(done_ + count, note_); }

  /// The line for `done` pieces after `seconds`.
  std::string line(std::size_t done, double seconds) const {
    const double share = total_ ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 1;
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, " %3.0f%% %zu/%zu %s, %.*f %s/s, ", std::floor(100 * share), done, total_,
                  unit_.c_str(), rate < 10 ? 2 : 0, rate, unit_.c_str());
    std::string text = what_;
    if (bar_) {
      const auto filled = static_cast<std::size_t>(20 * share);
      text += " [" + std::string(filled, '=') + std::string(20 - filled, ' ') + "]";
    }
    text += numbers + (done < total_ ? (rate > 0 ? clock_text(static_cast<double>(total_ - done) / rate) : "?") + " left"
                                     : clock_text(seconds));
    return note_.empty() ? text : text + ", " + note_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void show() {
    shown_ = Clock::now();
    std::string text = line(done_, std::chrono::duration<double>(shown_ - start_).count());
    const std::size_t length = text.size();
    if (bar_) text.append(last_.size() - std::min(last_.size(), length), ' ');  // covers a longer line before
    out_ << (bar_ ? "\r" : "") << text << (bar_ ? "" : "\n") << std::flush;
    last_ = text.substr(0, length);
  }

  std::string what_, unit_, note_, last_;
  std::size_t total_, done_ = 0;
  std::ostream& out_;
  bool bar_;
  Clock::time_point start_, shown_;
};

}  // namespace skipv1
