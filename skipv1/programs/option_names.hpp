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

}  // namespace skipv1
