// A run's log, twice: log.csv for spreadsheets, log.jsonl (a JSON object a line) for programs.
#pragma once

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skipv1/core/number.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1 {

/// What is known after a step: nothing of the step itself after none, `valid_*` only where the held-out text was evaluated.
struct LogRow {
  std::size_t step = 0, tokens = 0;  ///< so far
  std::optional<double> loss = {}, gradient_norm = {}, learning_rate = {}, valid_nats_per_token = {}, valid_bits_per_byte = {};
  double seconds = 0;  ///< of training so far, evaluations and checkpoints excepted
};

namespace detail {
inline Json json_of(const LogRow& row) {
  const auto number = [](const std::optional<double>& x) { return x ? Json(*x) : Json(); };
  return {{"step", row.step},
          {"tokens", row.tokens},
          {"loss", number(row.loss)},
          {"gradient_norm", number(row.gradient_norm)},
          {"learning_rate", number(row.learning_rate)},
          {"valid_nats_per_token", number(row.valid_nats_per_token)},
          {"valid_bits_per_byte", number(row.valid_bits_per_byte)},
          {"seconds", row.seconds}};
}

/// What a line of CSV has of a row.
enum class CsvLine { keys, values };

/// A line of CSV; null leaves its column empty.
inline std::string csv_line(const Json& row, CsvLine kind) {
  std::string line;
  for (const auto& item : row.items()) {
    if (!line.empty()) line += ',';
    line += kind == CsvLine::keys ? item.key() : item.value().is_null() ? "" : json_text(item.value());
  }
  return line + '\n';
}

/// The step at the start of a CSV line, or of one of JSON.
inline std::optional<std::size_t> step_of_line(std::string_view line) {
  constexpr std::string_view json = "{\"step\":";
  if (line.starts_with(json)) line.remove_prefix(json.size());
  std::size_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  if (error != std::errc() || end == line.data() + line.size() || *end != ',') return {};
  return step;
}
}  // namespace detail

/// Writes a run's rows as they come: each is in the files when `add` returns, so a checkpoint never knows more than the log.
class Log {
 public:
  /// Continues the log in `folder` after the row of `step`; later rows, and one that an interrupted program left half
  /// written, go. With step 0 the log is empty. Throws if the files cannot be written, or, with nothing changed, if they have not
  /// the `rows` until then that a checkpoint knows of, or with step 0 if they are no log.
  Log(const std::filesystem::path& folder, std::size_t step, std::optional<std::size_t> rows = {})
      : csv_path_(folder / "log.csv"), json_path_(folder / "log.jsonl") {
    if (step == 0) require_replaceable(folder);
    const Kept csv = kept(csv_path_, step), json = kept(json_path_, step);
    for (const auto& [path, found] : {std::pair(csv_path_, csv.rows), std::pair(json_path_, json.rows)})
      if (const std::size_t known = rows.value_or(found); step > 0 && found != known)
        fail(path.string(), ": has ", found, " rows up to step ", step, ", the checkpoint of that step knows of ", known,
             ": put the log back as it was, or take \"log_rows\" out of the checkpoint's state.json to go on with what there is");
    rows_ = json.rows;
    write_whole(csv_path_,
                [&](std::ostream& out) { out << detail::csv_line(detail::json_of({}), detail::CsvLine::keys) << csv.text; });
    write_whole(json_path_, [&](std::ostream& out) { out << json.text; });
    open(csv_, csv_path_);
    open(json_, json_path_);
    csv_own_ = target_id(csv_path_), json_own_ = target_id(json_path_);
  }

  /// Throws if the row cannot be written (a full disk), or if a file is no longer the one that it has written until now.
  void add(const LogRow& row) {
    require_own();
    const Json object = detail::json_of(row);
    write(csv_, csv_path_, detail::csv_line(object, detail::CsvLine::values));
    write(json_, json_path_, json_text(object) + '\n');
    ++rows_;
  }
  std::size_t rows() const { return rows_; }
  /// Throws if one of the two files is gone, or another has taken its place: rows would go where nobody finds them.
  void require_own() const {
    for (const auto& [path, own] : {std::pair(csv_path_, csv_own_), {json_path_, json_own_}}) require_own_file(path, own);
  }
  /// Throws if `folder` has files of a log's names that do not begin as logs begin: a run without a checkpoint replaces its own.
  static void require_replaceable(const std::filesystem::path& folder) {
    for (const auto& [name, begin] : {std::pair<const char*, std::string>("log.csv", "step,"), {"log.jsonl", "{\"step\":"}}) {
      const std::filesystem::path path = folder / name;
      std::error_code error;
      if (!std::filesystem::is_regular_file(path, error)) continue;
      Source file(path);
      const std::string found = file.text(0, std::min<std::uint64_t>(file.size(), begin.size()));
      require(begin.starts_with(found), path.string(), ": is there, and no log of a run: a new one does not take its place");
    }
  }
  /// Removes the files, of a link the one that it leads to; nothing can be added any more.
  void remove() {
    csv_.close(), json_.close();
    for (const auto& [path, own] : {std::pair(csv_path_, csv_own_), {json_path_, json_own_}}) remove_own(end_of_links(path), own);
  }

 private:
  /// The lines of rows up to a step.
  struct Kept {
    std::string text;
    std::size_t rows = 0;
  };
  static Kept kept(const std::filesystem::path& path, std::size_t step) {
    Kept kept;
    if (step > 0 && std::filesystem::exists(path)) {
      Source file(path);
      const std::string text = file.text(0, file.size());
      for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
        const std::string line = text.substr(begin, end + 1 - begin);
        if (const std::optional<std::size_t> at = detail::step_of_line(line); at && *at <= step) kept.text += line, ++kept.rows;
      }
    }
    return kept;
  }
  static void open(std::ofstream& file, const std::filesystem::path& path) {
    file.open(path, std::ios::binary | std::ios::app);
    check(file, path);
  }
  static void write(std::ofstream& file, const std::filesystem::path& path, const std::string& line) {
    errno = 0;
    file << line << std::flush;
    check(file, path);
  }
  static void check(const std::ofstream& file, const std::filesystem::path& path) {
    require(file.good(), path.string(),
            ": cannot be written: ", errno ? std::generic_category().message(errno) : "unknown reason");
  }

  std::filesystem::path csv_path_, json_path_;
  std::ofstream csv_, json_;
  std::optional<FileId> csv_own_, json_own_;
  std::size_t rows_ = 0;
};

/// A log's columns by name; where a row has nothing, NaN.
using LogColumns = std::map<std::string, std::vector<double>>;

namespace detail {
/// The fields of each line of a CSV file, of which none holds a comma; the first line names the columns. Lines end in "\n" or
/// "\r\n"; blank ones at the end are left out, as a byte order mark is. Throws if two columns have one name, or a line has
/// another number of fields than the first.
inline std::vector<std::vector<std::string_view>> csv_lines(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<std::vector<std::string_view>> lines;
  while (text.find_first_not_of("\r\n") != text.npos) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::vector<std::string_view>& fields = lines.emplace_back();
    for (std::size_t begin = 0; begin <= line.size();) {
      const std::size_t end = std::min(line.find(',', begin), line.size());
      fields.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    require(fields.size() == lines[0].size(), "line ", lines.size(), " has ", fields.size(), " fields, the first line ",
            lines[0].size());
  }
  for (std::size_t i = 0; !lines.empty() && i < lines[0].size(); ++i)
    require(std::count(lines[0].begin(), lines[0].end(), lines[0][i]) == 1, "line 1: two columns are called \"",
            brief(std::string(lines[0][i])), "\"");
  return lines;
}

/// The number that is a whole field; NaN for an empty one. Throws if it is neither.
inline double csv_number(std::string_view field) {
  double value = std::numeric_limits<double>::quiet_NaN();
  const auto [end, error] = read_number(field.data(), field.data() + field.size(), value);
  require(field.empty() || (error == std::errc() && end == field.data() + field.size()), "\"", brief(std::string(field)),
          "\" is not a number");
  return value;
}

inline LogColumns parse_csv(std::string_view text) {
  const std::vector<std::vector<std::string_view>> lines = csv_lines(text);
  LogColumns columns;
  for (std::size_t n = 0; n < lines.size(); ++n)
    at_place("line " + std::to_string(n + 1), [&] {
      for (std::size_t i = 0; i < lines[n].size(); ++i) {
        std::vector<double>& column = columns[std::string(lines[0][i])];
        if (n > 0) column.push_back(csv_number(lines[n][i]));
      }
    });
  return columns;
}

/// Keys without a number in any line, as another program's log may have, make empty columns. Throws if a key has both.
inline LogColumns parse_json_lines(std::string_view text) {
  LogColumns columns;
  std::map<std::string, bool> numbers;  // whether a key's values are numbers
  std::size_t rows = 0;
  while (!text.empty()) {
    if (text.find_first_not_of("\r\n") == text.npos) break;  // blank lines at the end
    const std::size_t length = std::min(text.find('\n'), text.size());
    const Json row = at_place("line " + std::to_string(rows + 1), [&] { return parse_json(text.substr(0, length)); });
    text.remove_prefix(std::min(length + 1, text.size()));
    require(row.is_object(), "line ", rows + 1, ": expected an object, found ", brief(row));
    for (const auto& item : row.items()) {
      auto& column = columns[item.key()];
      column.resize(rows, std::numeric_limits<double>::quiet_NaN());
      const bool number = item.value().is_number();
      if (number) column.push_back(item.value().get<double>());
      if (item.value().is_null()) continue;
      require(numbers.try_emplace(item.key(), number).first->second == number, "line ", rows + 1, ": \"", brief(item.key()),
              "\" is ", brief(item.value()), ", in a line before it is ", number ? "no number" : "a number");
    }
    ++rows;
    for (auto& [name, column] : columns) column.resize(rows, std::numeric_limits<double>::quiet_NaN());
  }
  return columns;
}

/// The text of a file. Throws if it cannot be read, or is blank.
inline std::string log_text(const std::filesystem::path& path) {
  Source file(path);
  std::string text = file.text(0, file.size());
  require(text.find_first_not_of("\r\n") != text.npos, path.string(), ": is empty");
  return text;
}
}  // namespace detail

/// Reads a log: JSON lines if its name ends with .jsonl, CSV with a line of names otherwise; of a folder, its log.csv. Throws if
/// it is neither.
inline LogColumns read_log(std::filesystem::path path) {
  if (std::filesystem::is_directory(path)) path /= "log.csv";
  const std::string text = detail::log_text(path);
  return at_place(path.string(),
                  [&] { return path.extension() == ".jsonl" ? detail::parse_json_lines(text) : detail::parse_csv(text); });
}

}  // namespace skipv1
