// A JSON file, whose errors begin with its name.
#pragma once

#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1::conformance {

/// Calls `use` with what the file says. Throws if it cannot be read or is not JSON; that and whatever `use` throws names the
/// file.
template <class Use>
void read_json_file(const std::filesystem::path& path, const Use& use) {
  Source file(path);
  const std::string text = file.text(0, file.size());
  at_place(file.name(), [&] {
    const Json json = parse_json(text);
    use(json);
  });
}

}  // namespace skipv1::conformance
