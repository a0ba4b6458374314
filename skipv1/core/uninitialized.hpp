// Memory for one computation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace skipv1 {

namespace detail {

/// Asks Linux for pages of 2 MiB for a block of 4 MiB or more, so that decoding, which reads all weights per token, has fewer
/// misses in the TLB. The system need not follow.
inline void advise_large_pages([[maybe_unused]] void* block, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::size_t page = std::size_t{2} << 20;
  if (bytes < 2 * page) return;
  const std::size_t skipped = (page - reinterpret_cast<std::uintptr_t>(block) % page) % page;
  madvise(static_cast<unsigned char*>(block) + skipped, (bytes - skipped) / page * page, MADV_HUGEPAGE);
#endif
}

}  // namespace detail

/// `n` numbers, not initialised: std::make_unique_for_overwrite, which libc++ has from version 16 on.
template <class T>
std::unique_ptr<T[]> uninitialized(std::size_t n) {
  std::unique_ptr<T[]> memory(new T[n]);
  detail::advise_large_pages(memory.get(), n * sizeof(T));
  return memory;
}

}  // namespace skipv1
