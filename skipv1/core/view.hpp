// Views: a pointer, a shape and a memory space, without the memory: what kernels' launchers need.
// The memory space is part of the type, so an operation's CPU and CUDA forms are overloads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <type_traits>
#include <utility>

#include "skipv1/core/check.hpp"

#if defined(__clang__)  // warns of a view of constants of something temporary that is used later
#define SKIPV1_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define SKIPV1_LIFETIMEBOUND
#endif

namespace skipv1 {

struct Cpu {};       ///< host memory
struct Cuda {};      ///< memory of a GPU: the .cuh files, compiled by nvcc
struct Emulated {};  ///< memory of the emulated GPU: the .cuh files, compiled by the host compiler

/// The extents of a tensor, at most four, outermost first.
class Shape {
 public:
  Shape() = default;
  /// Throws if there are more than four extents.
  SKIPV1_NOINLINE Shape(std::initializer_list<std::size_t> extents) : Shape(extents.begin(), extents.end()) {}
  template <class Iterator>
  Shape(Iterator begin, Iterator end) {
    require(end - begin <= 4, "a tensor of ", end - begin, " dimensions: at most 4 are supported");
    for (; begin != end; ++begin) size_ *= extents_[rank_++] = static_cast<std::size_t>(*begin);
  }

  std::size_t rank() const { return rank_; }
  std::size_t operator[](std::size_t i) const { return extents_[i]; }
  const std::size_t* begin() const { return extents_.data(); }
  const std::size_t* end() const { return extents_.data() + rank_; }
  /// The number of elements; 1 for rank 0.
  std::size_t size() const { return size_; }
  /// The same shape with `count` in place of the first extent, if there is one.
  SKIPV1_NOINLINE Shape with_first(std::size_t count) const {
    std::array<std::size_t, 4> extents = extents_;
    extents[0] = count;
    return Shape(extents.begin(), extents.begin() + rank_);
  }
  friend bool operator==(const Shape&, const Shape&) = default;  // (extents beyond the rank are zero)
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '(';
    for (std::size_t i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
    return out << ')';
  }

 private:
  std::array<std::size_t, 4> extents_{};
  std::size_t rank_ = 0, size_ = 1;
};

/// Throws if no memory can hold a tensor of this shape with elements of `bytes` bytes; the product may exceed `std::size_t`.
inline void require_possible(const Shape& shape, std::size_t bytes) {
  std::size_t most = PTRDIFF_MAX / bytes;
  if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end()) return;
  for (const std::size_t extent : shape) most /= extent;
  require(most > 0, "a tensor ", shape, " of ", bytes, " bytes per element: larger than any memory");
}

/// A tensor that owns its memory. Fresh memory is not initialised: see `zero`.
template <class T, class Space = Cpu>
class Tensor;

/// A tensor that somebody else owns: a pointer and a shape, contiguous, row-major. An empty view
/// (no data) stands for "none" where an argument is optional, such as a bias.
template <class T, class Space = Cpu>
class View {
 public:
  View() = default;
  View(T* data, Shape shape) : data_(data), shape_(shape) {}
  /// Of a temporary tensor: it would point at freed memory.
  template <class U>
  requires std::is_same_v<U, T> View(Tensor<U, Space>&&)
  = delete;
  /// A view of constants from a view of variables; of a tensor, which must outlive it, a temporary one as an argument only.
  template <class U>
  requires std::is_same_v<const U, T> View(const Tensor<U, Space>& owner SKIPV1_LIFETIMEBOUND)
      : data_(owner.data()), shape_(owner.shape()) {}  // NOLINT: implicit
  template <class U>
  requires(std::is_same_v<const U, T>) View(const View<U, Space>& other)
      : data_(other.data()), shape_(other.shape()) {}  // NOLINT: implicit

  T* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  std::size_t size() const { return data_ ? shape_.size() : 0; }
  bool empty() const { return size() == 0; }
  /// Extent `i`; the last one by `width()`, which is 0 for rank 0.
  std::size_t extent(std::size_t i) const { return shape_[i]; }
  std::size_t width() const { return shape_.rank() ? shape_[shape_.rank() - 1] : 0; }
  /// All elements but those of the last dimension: how many rows of `width()` there are.
  std::size_t rows() const { return width() ? size() / width() : 0; }

  /// Element access on the host; the number of indices is the rank. Unchecked, as a std::span's is; with SKIPV1_CHECK_INDICES
  /// defined, in all of a program, wrong ones throw.
  template <class... Index>
  requires std::is_same_v<Space, Cpu> T& operator()(Index... index) const {
#ifdef SKIPV1_CHECK_INDICES
    std::size_t d = 0;
    require(data_ && sizeof...(index) == shape_.rank() && (... && (static_cast<std::size_t>(index) < shape_[d++])), "element ",
            Shape{static_cast<std::size_t>(index)...}, " of a tensor ", shape_, ": must be one index in each extent");
#endif
    std::size_t at = 0, i = 0;
    ((at = at * shape_[i++] + static_cast<std::size_t>(index)), ...);
    return data_[at];
  }
  /// The same elements under another shape of the same size.
  SKIPV1_NOINLINE View reshape(Shape shape) const {
    require(shape.size() == shape_.size(), "reshape: ", shape_, " has not as many elements as ", shape);
    return {data_, shape};
  }
  /// Indices `begin … begin + count` of the first dimension.
  SKIPV1_NOINLINE View slice(std::size_t begin, std::size_t count) const {
    require(begin <= shape_[0] && count <= shape_[0] - begin, "slice: ", begin, " + ", count, " exceeds ", shape_);
    const std::size_t step = shape_[0] ? shape_.size() / shape_[0] : 0;
    return {data_ + begin * step, shape_.with_first(count)};
  }

 protected:
  T* data_ = nullptr;
  Shape shape_{};
};

/// Whether a and b have as many rows, as wide.
template <class A, class B, class Space>
bool same_rows(const View<A, Space>& a, const View<B, Space>& b) {
  return a.size() == b.size() && a.width() == b.width();
}

namespace detail {

struct Given {
  bool present;
  const Shape& shape;
};

[[noreturn]] SKIPV1_COLD inline void fail_to_fit(const char* operation, const char* names, const char* rule,
                                                 std::initializer_list<Given> tensors) {
  std::istringstream each(names);
  std::ostringstream shapes;
  const char* separator = "";
  for (const Given& tensor : tensors) {
    std::string name;
    each >> name;
    shapes << std::exchange(separator, ", ");
    if (tensor.present)
      shapes << name << ' ' << tensor.shape;
    else
      shapes << "no " << name;
  }
  fail(operation, ": ", shapes.str(), " do not fit: must be ", rule);
}

}  // namespace detail

/// Throws unless the tensors of `operation` `fit`; the line has each one's shape beside the `rule` for all. `names`: theirs, with
/// spaces between.
template <class... Tensors>
void require_fit(bool fit, const char* operation, const char* names, const char* rule, const Tensors&... tensors) {
  if (!fit) detail::fail_to_fit(operation, names, rule, {{tensors.data() != nullptr, tensors.shape()}...});
}

/// Throws unless each of `ids` is in `least … end - 1`.
template <class Id>
void require_indices(const char* what, View<Id, Cpu> ids, std::int64_t least, std::size_t end) {
  for (std::size_t n = 0; n < ids.size(); ++n) {
    const std::int64_t id = ids.data()[n];
    if (id < least || id >= static_cast<std::int64_t>(end))
      fail(what, ": number ", n, " is ", id, ": must be ", least, " to ", static_cast<std::int64_t>(end) - 1);
  }
}

/// An input of an operation. It takes no part in deducing `T`, which the output decides.
template <class T, class Space = Cpu>
using ConstView = View<const std::type_identity_t<T>, Space>;

/// A tensor of zeros.
template <class T, class Space = Cpu>
Tensor<T, Space> zeros(Shape shape) {
  Tensor<T, Space> x(shape);
  zero(x);
  return x;
}

}  // namespace skipv1
