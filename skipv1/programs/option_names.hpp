// Errors that name an option instead of the library's field.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "skipv1/core/check.hpp"

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
