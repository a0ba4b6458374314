// How far long work is, on standard error: a bar on a terminal, now and then a plain line elsewhere.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#ifdef _WIN32
#include <io.h>
#elif __has_include(<unistd.h>)
#include <unistd.h>
#if __has_include(<sys/ioctl.h>)
#include <sys/ioctl.h>
#undef NCC  // a size of old terminals, and an argument in LAPACK's headers
#endif
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

/// Columns of the terminal that standard error is: what it says itself, else COLUMNS, else 80.
inline std::size_t terminal_columns() {
#if !defined(_WIN32) && defined(TIOCGWINSZ)
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
#endif
  const char* asked = std::getenv("COLUMNS");
  const long columns = asked ? std::strtol(asked, nullptr, 10) : 0;
  return columns > 0 ? static_cast<std::size_t>(columns) : 80;
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
  /// Work of `total` pieces called `unit` (plural). `bar`: redraw one line ten times a second, within `columns` columns (0: as
  /// many as the terminal has); else a line every five seconds.
  Progress(std::string what, std::size_t total, std::string unit, std::ostream& out = std::cerr, bool bar = stderr_is_terminal(),
           std::size_t columns = 0)
      : what_(std::move(what)),
        unit_(std::move(unit)),
        total_(total),
        columns_(columns),
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
    return line(done, seconds, {.bar = bar_, .count = true, .rate = true});
  }
  /// The same in at most `columns` columns: a line that the terminal wraps cannot be drawn over. The bar goes first, then the
  /// count, then the rate; what is still too long is cut.
  std::string line_within(std::size_t done, double seconds, std::size_t columns) const {
    std::string text;
    for (const Parts parts :
         {Parts{.bar = bar_, .count = true, .rate = true}, Parts{.count = true, .rate = true}, Parts{.rate = true}, Parts{}}) {
      text = line(done, seconds, parts);
      if (text.size() <= columns) return text;
    }
    while (columns > 0 && (static_cast<unsigned char>(text[columns]) & 0xc0) == 0x80) --columns;  // not within a character
    return text.substr(0, columns);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// What a line has besides name, percentage, time and note.
  struct Parts {
    bool bar = false, count = false, rate = false;
  };

  std::string line(std::size_t done, double seconds, const Parts& parts) const {
    const double share = total_ ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 1;
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    const auto filled = static_cast<std::size_t>(20 * share);
    std::string text = what_;
    if (parts.bar) text += " [" + std::string(filled, '=') + std::string(20 - filled, ' ') + "]";
    char number[64];
    std::snprintf(number, sizeof number, " %3.0f%%", std::floor(100 * share));
    text += number;
    if (parts.count) text += " " + std::to_string(done) + "/" + std::to_string(total_) + " " + unit_;
    std::snprintf(number, sizeof number, ", %.*f ", rate < 10 ? 2 : 0, rate);
    if (parts.rate) text += number + unit_ + "/s";
    text += ", " + (done < total_ ? (rate > 0 ? clock_text(static_cast<double>(total_ - done) / rate) : "?") + " left"
                                  : clock_text(seconds));
    return note_.empty() ? text : text + ", " + note_;
  }

  void show() {
    shown_ = Clock::now();
    const double seconds = std::chrono::duration<double>(shown_ - start_).count();
    // The last column stays empty: some terminals wrap as soon as it is written.
    std::string text = bar_ ? line_within(done_, seconds, (columns_ ? columns_ : terminal_columns()) - 1) : line(done_, seconds);
    const std::size_t length = text.size();
    if (bar_) text.append(last_.size() - std::min(last_.size(), length), ' ');  // covers a longer line before
    out_ << (bar_ ? "\r" : "") << text << (bar_ ? "" : "\n") << std::flush;
    last_ = text.substr(0, length);
  }

  std::string what_, unit_, note_, last_;
  std::size_t total_, columns_, done_ = 0;
  std::ostream& out_;
  bool bar_;
  Clock::time_point start_, shown_;
};

}  // namespace skipv1
