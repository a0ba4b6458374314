// A hash table from things to their numbers. The standard's maps take long to compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace skipv1 {

/// FNV-1a over numbers, or over the bytes of a text.
class Hash {
 public:
  Hash& add(std::uint64_t number) {
    value_ = (value_ ^ number) * 0x100000001b3ULL;
    return *this;
  }
  template <class Text>
  Hash& add_text(const Text& text) {
    for (const char letter : text) add(static_cast<unsigned char>(letter));
    return *this;
  }
  std::size_t value() const { return static_cast<std::uint32_t>(value_ ^ value_ >> 32); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

/// Open addressing. The caller keeps the things: `is(number)` says whether the number is that of the thing looked for.
class HashIndex {
 public:
  static constexpr std::size_t none = SIZE_MAX;

  /// The number whose hash is `hash` and for which `is(number)` holds, or `none`.
  template <class Is>
  std::size_t find(std::size_t hash, const Is& is) const {
    return slots_.empty() ? none : slots_[place(hash, is) + 1];
  }
  /// A reference to that number; adds `fresh` first if there is none.
  template <class Is>
  std::size_t& find_or_add(std::size_t hash, const Is& is, std::size_t fresh) {
    if (4 * (used_ + 1) > slots_.size()) grow();
    const std::size_t at = place(hash, is);
    if (slots_[at + 1] == none) slots_[at] = hash, slots_[at + 1] = fresh, ++used_;
    return slots_[at + 1];
  }

 private:
  template <class Is>
  std::size_t place(std::size_t hash, const Is& is) const {
    const std::size_t last = slots_.size() / 2 - 1;
    std::size_t i = hash & last;
    while (slots_[2 * i + 1] != none && !(slots_[2 * i] == hash && is(slots_[2 * i + 1]))) i = (i + 1) & last;
    return 2 * i;
  }
  void grow() {
    const std::vector<std::size_t> old(std::move(slots_));
    slots_.assign(old.empty() ? 32 : 2 * old.size(), none);
    for (std::size_t i = 0; i < old.size(); i += 2)
      if (old[i + 1] != none) {
        const std::size_t at = place(old[i], [](std::size_t) { return false; });
        slots_[at] = old[i], slots_[at + 1] = old[i + 1];
      }
  }

  std::vector<std::size_t> slots_;  ///< pairs of hash and number; at least half of the pairs are free
  std::size_t used_ = 0;
};

}  // namespace skipv1
