// Elements of keys and values in flight, for the one-kernel step's attention.
#pragma once

#include "skipv1/kernel/exchange.cuh"
#include "skipv1/kernel/mma.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// V loaded elements, packed as they come: 16 bytes stay in four registers until they are used, since unpacking would wait for
/// the load.
template <class T, unsigned V>
struct Loaded {
  static constexpr bool wide = sizeof(T) * V == 16 && std::is_same_v<T, bfloat16>;
  std::conditional_t<wide, Vector<std::uint32_t, 4>, Vector<T, V>> bits;

  SKIPV1_DEVICE_MEMBER void load(bool valid, const T* from, std::uint64_t policy) {
    if constexpr (wide) {
      bits = load_exchanged_bits(valid, from, policy);
    } else {
      for (unsigned j = 0; j < V; ++j) bits[j] = static_cast<T>(0.0f);
      if (valid) bits = load_exchanged<V>(from);
    }
  }
  /// The same, but leaves what is there if not `valid`.
  SKIPV1_DEVICE_MEMBER void reload(bool valid, const T* from, std::uint64_t policy) {
    if constexpr (wide)
      reload_exchanged_bits(bits, valid, from, policy);
    else if (valid)
      bits = load_exchanged<V>(from);
  }
  SKIPV1_DEVICE_MEMBER void set(const Vector<T, V>& x) {
    static_assert(sizeof x == sizeof bits);
    memcpy(&bits, &x, sizeof bits);
  }
  /// Calls `f(j, element j)`.
  template <class F>
  SKIPV1_DEVICE_MEMBER void each(const F& f) const {
    if constexpr (wide) {
      SKIPV1_UNROLL
      for (unsigned i = 0; i < 4; ++i) {
        const Vector<float, 2> pair = unpack_bfloat16(bits[i]);
        f(2 * i, pair[0]), f(2 * i + 1, pair[1]);
      }
    } else {
      for (unsigned j = 0; j < V; ++j) f(j, static_cast<Sum<T>>(bits[j]));
    }
  }
  /// The mean with another's elements.
  SKIPV1_DEVICE_MEMBER void average(const Loaded& other) {
    if constexpr (wide) {
      SKIPV1_UNROLL
      for (unsigned i = 0; i < 4; ++i) {
        const Vector<float, 2> a = unpack_bfloat16(bits[i]), b = unpack_bfloat16(other.bits[i]);
        bits[i] = pack_bfloat16((a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      }
    } else {
      for (unsigned j = 0; j < V; ++j)
        bits[j] = static_cast<T>((static_cast<Sum<T>>(bits[j]) + static_cast<Sum<T>>(other.bits[j])) / Sum<T>(2));
    }
  }
};

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
