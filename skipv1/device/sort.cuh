// Sorting on the device: CUB's radix sort, or the standard library's stable sort in the emulator.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "skipv1/device/memory.cuh"

#if defined(__CUDACC__)
#include <cub/device/device_radix_sort.cuh>
#endif

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Integers in ascending order, and the index of each in the input; equal ones keep their order. Both (N), in scratch memory.
struct Sorted {
  const std::int32_t *numbers, *places;
};

template <class I>
SKIPV1_KERNEL count_up(I* x, std::size_t n) {
  const std::size_t i = global_thread();
  if (i < n) x[i] = static_cast<I>(i);
}

/// Sorts `numbers` (N), all in `0 … limit - 1`. The result is valid until the next call.
inline Sorted sort(View<const std::int32_t, Device> numbers, [[maybe_unused]] std::size_t limit) {
  const std::size_t n = numbers.size();
  std::int32_t* sorted = scratch<std::int32_t>(3 * n);
  std::int32_t *places = sorted + n, *before = sorted + 2 * n;
  launch(one_thread_each("count_up", n), count_up<std::int32_t>, before, n);
#if defined(__CUDACC__)
  std::size_t bytes = 0;
  const auto call = [&](void* temporary) {
    check_cuda(cub::DeviceRadixSort::SortPairs(temporary, bytes, numbers.data(), sorted, before, places, static_cast<int>(n), 0,
                                               std::max(1, static_cast<int>(std::bit_width(limit - 1))), current_stream()),
               "sorting ", n, " numbers");
  };
  call(nullptr);  // says how many bytes it needs
  call(scratch<std::byte>(bytes));
#else
  emulator::do_or_record([=] {
    std::copy_n(before, n, places);
    std::stable_sort(places, places + n, [&](std::int32_t a, std::int32_t b) { return numbers.data()[a] < numbers.data()[b]; });
    for (std::size_t i = 0; i < n; ++i) sorted[i] = numbers.data()[places[i]];
  });
#endif
  return {sorted, places};
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
