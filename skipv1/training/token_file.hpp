// Texts that are tokens already: .npy files of ids.
#pragma once

#include "skipv1/io/npy.hpp"

namespace skipv1 {

/// The ids in a .npy file of one axis, of any integer type. Throws if there are none, or if one is not of a vocabulary of
/// `vocab_size`.
inline std::vector<std::int32_t> load_tokens(const std::filesystem::path& path, std::size_t vocab_size) {
  const auto last = static_cast<std::int64_t>(vocab_size) - 1;
  const Tensor<std::int32_t> ids =
      read_npy<std::int32_t>(path, {0, last, "the model's vocabulary has ids 0 to " + std::to_string(last)});
  require(ids.shape().rank() == 1, path.string(), ": shape ", ids.shape(), ": tokens must have one axis");
  require(ids.size() > 0, path.string(), ": holds no token");
  return {ids.data(), ids.data() + ids.size()};
}

}  // namespace skipv1
