// AdamW on the device, all parameters in one launch: see adamw.hpp.
#pragma once

#include "skipv1/ops/adamw.hpp"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// V parameters of the calling thread; with V = 1 `reference::adamw` line by line. `s.rate` and `s.root` hold the two bias
/// corrections. Without a `master` the parameters are their own.
template <class T, std::size_t V>
SKIPV1_DEVICE void adamw_update(T* parameters, Sum<T>* master, Sum<T>* m, Sum<T>* v, const T* gradients, std::size_t n,
                                std::size_t decayed, const AdamWStep<Sum<T>>& s) {
  using S = Sum<T>;
  const std::size_t i = global_thread() * V;
  if (i >= n) return;
  Vector<T, V> p = {};
  Vector<S, V> mi = load_vector<V>(m + i), vi = load_vector<V>(v + i), kept = {};
  if (master)
    kept = load_vector<V>(master + i);
  else
    p = load_vector<V>(parameters + i);
  const Vector<T, V> gradient = load_vector<V>(gradients + i);
  for (std::size_t j = 0; j < V; ++j) {
    const S g = s.scale * static_cast<S>(gradient[j]), pj = master ? kept[j] : static_cast<S>(p[j]);
    mi[j] = s.b1 * mi[j] + (S(1) - s.b1) * g;
    vi[j] = s.b2 * vi[j] + (S(1) - s.b2) * g * g;
    const S shrink = i + j < decayed ? s.decay * pj : S(0);
    kept[j] = pj - (s.rate * mi[j] / (std::sqrt(vi[j]) * s.root + s.epsilon) + shrink);
    p[j] = static_cast<T>(kept[j]);
  }
  if (master) store_vector(master + i, kept);
  store_vector(parameters + i, p);
  store_vector(m + i, mi);
  store_vector(v + i, vi);
}

/// One thread, V parameters; V = 1 is the first kernel. Memory bounds it: 28 bytes per parameter for about 14 operations, in
/// float (7 numbers) and in bfloat16 with float masters (gradient and parameter 2 each, `master`, m and v 8 each). It
/// reaches 4.16 TB/s, a copy's rate, on an H200 (docs/performance/tried-h200.txt).
template <class T, std::size_t V>
SKIPV1_KERNEL adamw_kernel(T* parameters, Sum<T>* master, Sum<T>* m, Sum<T>* v, const T* gradients, std::size_t n,
                           std::size_t decayed, AdamWStep<Sum<T>> s) {
  adamw_update<T, V>(parameters, master, m, v, gradients, n, decayed, s);
}
/// As `adamw_kernel`, with the step's numbers and the gradients' squared norm, by which they are clipped to `limit`, in device
/// memory: a graph can replay it.
template <class T, std::size_t V>
SKIPV1_KERNEL adamw_placed_kernel(T* parameters, Sum<T>* master, Sum<T>* m, Sum<T>* v, const T* gradients, std::size_t n,
                                  std::size_t decayed, const AdamWStep<Sum<T>>* step, const double* square, double limit) {
  AdamWStep<Sum<T>> s = *step;
  s.scale = static_cast<Sum<T>>(clip_scale(std::sqrt(*square), limit));
  adamw_update<T, V>(parameters, master, m, v, gradients, n, decayed, s);
}

/// The sum of squares of load i.
template <class T, std::size_t V>
struct Squares {
  const T* x;
  SKIPV1_DEVICE_MEMBER double operator()(std::size_t, std::size_t i) const {
    const Vector<T, V> v = load_vector<V>(x + i * V);
    double sum = 0;
    for (std::size_t j = 0; j < V; ++j) sum += static_cast<double>(v[j]) * static_cast<double>(v[j]);
    return sum;
  }
};
/// `square += sum of x^2`. Memory bounds it: sizeof(T) bytes per element for 2 operations.
template <class T>
void add_squares(View<double, Device> square, ConstView<T, Device> x) {
  const auto run = [&](auto numbers) {
    constexpr std::size_t V = decltype(numbers)::value;
    total<double>("norm", square.data(), 1, x.size() / V, Squares<T, V>{x.data()});
  };
  reads_16_bytes(x.size(), x.data()) ? run(numbers_a_load<T>) : run(one_a_load);
}

/// Launches the kernel that `pick(V)` returns, with the arrays and then `rest`.
template <class T, class Pick, class... Rest>
void launch_adamw(View<T, Device> parameters, View<Sum<T>, Device> master, View<Sum<T>, Device> m, View<Sum<T>, Device> v,
                  ConstView<T, Device> gradients, std::size_t decayed, Version version, const Pick& pick, const Rest&... rest) {
  constexpr std::size_t V = per_16_bytes<Sum<T>>;
  const std::size_t n = parameters.size();
  Sum<T>* kept = static_cast<const void*>(master.data()) == parameters.data() ? nullptr : master.data();
  const bool wide = version == Version::fast && n % V == 0 && reads_16_bytes(n, m.data(), v.data(), kept) &&
                    reads_16_bytes(0, parameters.data(), gradients.data());
  const auto run = [&](std::size_t threads, auto kernel) {
    launch(one_thread_each("adamw", threads), kernel, parameters.data(), kept, m.data(), v.data(), gradients.data(), n, decayed,
           rest...);
  };
  if (wide)
    run(n / V, pick(std::integral_constant<std::size_t, V>()));
  else
    run(n, pick(std::integral_constant<std::size_t, 1>()));
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU; without a `master` the parameters are their own.
template <class T>
void adamw(View<T, Device> parameters, View<Sum<T>, Device> master, View<Sum<T>, Device> m, View<Sum<T>, Device> v,
           ConstView<T, Device> gradients, const AdamW& s, std::size_t step, std::size_t decayed, double gradient_scale,
           Version version = Version::fast) {
  detail::launch_adamw<T>(
      parameters, master, m, v, gradients, decayed, version,
      [](auto numbers) { return detail::adamw_kernel<T, decltype(numbers)::value>; },
      detail::AdamWStep<Sum<T>>(s, step, gradient_scale));
}
/// `adamw` with the gradients clipped to the norm `limit`, all on the device, for graphs: `step` (1) and the squared norm of all
/// gradients, `square` (1), lie there.
template <class T>
void clipped_adamw(View<T, Device> parameters, View<Sum<T>, Device> master, View<Sum<T>, Device> m, View<Sum<T>, Device> v,
                   ConstView<T, Device> gradients, View<const detail::AdamWStep<Sum<T>>, Device> step,
                   View<const double, Device> square, double limit, std::size_t decayed) {
  detail::launch_adamw<T>(
      parameters, master, m, v, gradients, decayed, Version::fast,
      [](auto numbers) { return detail::adamw_placed_kernel<T, decltype(numbers)::value>; }, step.data(), square.data(), limit);
}
template <class T>
void adamw(View<T, Device> parameters, View<Sum<T>, Device> m, View<Sum<T>, Device> v, ConstView<T, Device> gradients,
           const AdamW& s, std::size_t step, std::size_t decayed, double gradient_scale, Version version = Version::fast) {
  adamw<T>(parameters, {}, m, v, gradients, s, step, decayed, gradient_scale, version);
}

/// As on the CPU. Waits for the device.
template <class T>
double norm(View<T, Device> x) {
  static thread_local Tensor<double, Device> sum({1});
  zero<double>(sum);
  detail::add_squares<std::remove_const_t<T>>(sum, x);
  return std::sqrt(to_host<double>(sum).data()[0]);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
