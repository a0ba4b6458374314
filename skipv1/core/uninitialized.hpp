// Memory for one computation.
#pragma once

#include <cstddef>
#include <memory>

namespace skipv1 {

/// `n` numbers, not initialised: std::make_unique_for_overwrite, which libc++ has from version 16 on.
template <class T>
std::unique_ptr<T[]> uninitialized(std::size_t n) {
  return std::unique_ptr<T[]>(new T[n]);
}

}  // namespace skipv1
