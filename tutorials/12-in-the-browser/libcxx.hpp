// What the library uses of C++20 and Emscripten's standard library lacks (libc++ 13, as Debian 12's has it), for one thread. The
// build of the page includes it before everything else.
#pragma once

#include <atomic>
#include <bit>

namespace std {

#ifndef __cpp_lib_bit_cast
template <class To, class From>
constexpr To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}
#endif

#ifndef __cpp_lib_atomic_ref
template <class T>
class atomic_ref {
 public:
  explicit atomic_ref(T& x) : x_(x) {}
  T load(memory_order = memory_order_seq_cst) const { return x_; }
  T fetch_add(T y, memory_order = memory_order_seq_cst) const {
    const T before = x_;
    x_ = before + y;
    return before;
  }

 private:
  T& x_;
};
#endif

}  // namespace std
