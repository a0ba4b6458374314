// Tensors in row-major order: `View` points at memory somebody owns, `Tensor` owns it; here is the one in host memory. xtensor's
// expressions read and make such tensors through core/xtensor.hpp.
#pragma once

#include <algorithm>
#include <memory>

#include "skipv1/core/uninitialized.hpp"
#include "skipv1/core/view.hpp"

namespace skipv1 {

/// In host memory.
template <class T>
class Tensor<T, Cpu> : public View<T, Cpu> {
 public:
  Tensor() = default;
  /// Throws if no memory is as large, std::bad_alloc if there is not as much.
  SKIPV1_COLD explicit Tensor(Shape shape)
      : View<T, Cpu>(nullptr, shape), memory_((require_possible(shape, sizeof(T)), uninitialized<T>(shape.size()))) {
    this->data_ = memory_.get();
  }
  SKIPV1_COLD Tensor(const Tensor& other) : View<T, Cpu>(nullptr, other.shape_) {
    if (!other.data_) return;
    memory_ = uninitialized<T>(this->shape_.size());
    this->data_ = memory_.get();
    std::copy_n(other.data_, this->shape_.size(), this->data_);
  }
  Tensor(Tensor&& other) noexcept { take(other); }
  SKIPV1_COLD Tensor& operator=(Tensor other) noexcept {
    take(other);
    return *this;
  }
  ~Tensor() = default;
  // Parts of a temporary tensor are constants, for arguments: as its views, they must not outlive it.
  View<T, Cpu> reshape(Shape shape) const& { return View<T, Cpu>::reshape(shape); }
  View<T, Cpu> slice(std::size_t begin, std::size_t count) const& { return View<T, Cpu>::slice(begin, count); }
  View<const T, Cpu> reshape(Shape shape) && SKIPV1_LIFETIMEBOUND { return View<T, Cpu>::reshape(shape); }
  View<const T, Cpu> slice(std::size_t begin, std::size_t count) && SKIPV1_LIFETIMEBOUND {
    return View<T, Cpu>::slice(begin, count);
  }

 private:
  void take(Tensor& other) noexcept {
    memory_ = std::move(other.memory_);
    this->data_ = std::exchange(other.data_, nullptr);
    this->shape_ = std::exchange(other.shape_, Shape{});
  }
  std::unique_ptr<T[]> memory_;
};

/// Every element of `x` becomes zero.
template <class T>
void zero(View<T, Cpu> x) {
  std::fill_n(x.data(), x.size(), T{});
}

/// Copies `from` to `to`; the shapes must be equal.
template <class T>
void copy(View<T, Cpu> to, ConstView<T, Cpu> from) {
  require(to.shape() == from.shape(), "copy: ", from.shape(), " into ", to.shape(), ": shapes must be equal");
  require(to.size() == from.size(), "copy: of two tensors ", to.shape(), " one is a view of nothing");
  std::copy_n(from.data(), from.size(), to.data());
}

}  // namespace skipv1
