// Tensors in row-major order: `View` points at memory somebody owns, `Tensor` owns it; here is the one in host memory.
#pragma once

#include "skipv1/core/view.hpp"
#include "skipv1/core/xtensor.hpp"

namespace skipv1 {

/// In host memory, held by xtensor: `array()` opens it to xtensor's expressions.
template <class T>
class Tensor<T, Cpu> : public View<T, Cpu> {
 public:
  Tensor() = default;
  explicit Tensor(Shape shape) : array_(xt::xarray<T>::from_shape(shape)) { point(shape); }
  /// Takes over an xtensor array of at most four dimensions.
  static Tensor from(xt::xarray<T> array) {
    Tensor x;
    x.array_ = std::move(array);
    x.point(Shape(x.array_.shape().begin(), x.array_.shape().end()));
    return x;
  }
  Tensor(const Tensor& other) : View<T, Cpu>(nullptr, other.shape_), array_(other.array_) {
    if (other.data_) this->data_ = array_.data();
  }
  Tensor(Tensor&& other) noexcept : View<T, Cpu>(), array_(std::move(other.array_)) { take(other); }
  Tensor& operator=(Tensor other) noexcept {
    array_ = std::move(other.array_);
    take(other);
    return *this;
  }
  ~Tensor() = default;

  const xt::xarray<T>& array() const { return array_; }

 private:
  void point(Shape shape) {
    this->data_ = array_.data();
    this->shape_ = shape;
  }
  void take(Tensor& other) noexcept {
    this->data_ = other.data_ ? array_.data() : nullptr;  // (an empty xarray still has one element)
    this->shape_ = other.shape_;
    other.data_ = nullptr;
    other.shape_ = Shape{};
  }
  xt::xarray<T> array_;
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
  std::copy_n(from.data(), from.size(), to.data());
}

}  // namespace skipv1
