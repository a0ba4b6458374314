// Errors that name an option instead of the library's field.
#pragma once

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/io/place.hpp"

namespace skipv1 {

/// `work()`; of an `Error` whose line begins with one of `fields` the option of that name takes the field's place:
/// "--top-p is 2: …" for "top_p is 2: …".
template <class Work>
auto in_option_names(std::initializer_list<const char*> fields, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    const std::string line = error.what();
    for (const std::string field : fields) {
      if (!line.starts_with(field + ' ')) continue;
      std::string option = field;
      std::replace(option.begin(), option.end(), '_', '-');
      fail("--", option, line.substr(field.size()));
    }
    throw;
  }
}

/// `line` with the second of each of `words` in place of the first, wherever that stands.
inline std::string in_words(std::string line, const std::vector<std::pair<std::string, std::string>>& words) {
  for (const auto& [key, word] : words)
    for (std::size_t at = 0; (at = line.find(key, at)) != line.npos; at += word.size()) line.replace(at, key.size(), word);
  return line;
}

/// Throws if two of what a program writes have one place, where the later would take the earlier's, or fail after the work.
/// `outputs`: options and their values, of which empty ones, "-" and devices have no place.
inline void require_apart(std::initializer_list<std::pair<const char*, std::string>> outputs) {
  const auto is_place = [](const std::string& value) {
    std::error_code error;
    return !value.empty() && value != "-" && !std::filesystem::is_other(value, error);
  };
  for (const auto* a = outputs.begin(); a != outputs.end(); ++a)
    for (const auto* b = a + 1; b != outputs.end(); ++b)
      require(!is_place(a->second) || !is_place(b->second) || !same_place(a->second, b->second), a->first, " and ", b->first,
              " are both ", b->second, ": must be two places");
}

/// Throws if what a program writes would take the place of something it reads. `inputs`: options and their values.
inline void require_no_input(const char* option, const std::string& output,
                             const std::vector<std::pair<const char*, std::string>>& inputs) {
  for (const auto& [name, input] : inputs) require_apart({{option, output}, {name, input}});
}

/// `train()`, which trains a vocabulary of `size` pieces; in its errors --vocab takes that name's place.
template <class Train>
auto in_vocab_option(std::size_t size, const Train& train) {
  try {
    return train();
  } catch (const Error& error) {
    std::string line = error.what();
    for (const std::size_t count : {size, std::size_t{256}}) {
      const std::string pieces = "a vocabulary of " + std::to_string(count) + " pieces";
      if (const std::size_t at = line.find(pieces); at != line.npos)
        line.replace(at, pieces.size(), "--vocab " + std::to_string(count));
    }
    fail(line);
  }
}

}  // namespace skipv1
