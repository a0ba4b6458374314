// A callable of any type, as std::function holds it. The header <functional> would cost each file that includes it 24 MiB of
// compiler memory.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "skipv1/core/check.hpp"

namespace skipv1 {

template <class Signature>
class Function;

namespace detail {
template <class F>
inline constexpr bool is_function = false;
template <class Signature>
inline constexpr bool is_function<Function<Signature>> = true;
}  // namespace detail

/// Holds a copy of a callable. An empty one is false, and a call of it throws. Small callables that are trivially copyable, such
/// as lambdas that capture references, are stored in place; others on the heap.
template <class R, class... Arguments>
class Function<R(Arguments...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}  // NOLINT: implicit
  /// An empty function of any signature, or a null pointer, makes an empty one. Where R is void, what f returns is dropped.
  template <class F>
  requires(!std::is_same_v<F, Function> && std::is_copy_constructible_v<F> && !std::is_member_pointer_v<F> &&
           std::is_invocable_r_v<R, F&, Arguments...>) Function(F f) {  // NOLINT: implicit
    if constexpr (detail::is_function<F>)
      if (!f) return;
    if constexpr (!std::is_empty_v<F> && requires { f == nullptr; })
      if (f == nullptr) return;
    if constexpr (in_place<F>) {
      ::new (static_cast<void*>(place_)) F(std::move(f));
      call_ = [](void* place, Arguments... arguments) -> R {
        return call(*std::launder(static_cast<F*>(place)), std::forward<Arguments>(arguments)...);
      };
    } else {
      set_heap(new F(std::move(f)));
      call_ = [](void* place, Arguments... arguments) -> R {
        return call(**std::launder(static_cast<F**>(place)), std::forward<Arguments>(arguments)...);
      };
      copy_ = [](void* held, Do task) -> void* {
        if (task == Do::copy) return new F(*static_cast<F*>(held));
        delete static_cast<F*>(held);
        return nullptr;
      };
    }
  }
  Function(const Function& other) : call_(other.call_) {
    for (std::size_t i = 0; i < sizeof place_; ++i) place_[i] = other.place_[i];
    if (other.copy_) set_heap(other.copy_(other.heap(), Do::copy)), copy_ = other.copy_;
  }
  Function(Function&& other) noexcept { swap(other); }
  Function& operator=(Function other) noexcept {
    swap(other);
    return *this;
  }
  ~Function() {
    if (copy_) copy_(heap(), Do::destroy);
  }

  explicit operator bool() const { return call_ != nullptr; }
  R operator()(Arguments... arguments) const {
    if (!call_) fail("an empty function was called");
    return call_(place_, std::forward<Arguments>(arguments)...);
  }

 private:
  enum class Do { copy, destroy };

  template <class F>
  static R call(F& f, Arguments... arguments) {
    if constexpr (std::is_void_v<R>)
      static_cast<void>(f(std::forward<Arguments>(arguments)...));
    else
      return f(std::forward<Arguments>(arguments)...);
  }
  template <class Held>
  static constexpr bool in_place = std::is_trivially_copyable_v<Held> && sizeof(Held) <= 4 * sizeof(void*) &&
                                   alignof(Held) <= alignof(void*);

  void* heap() const { return *std::launder(reinterpret_cast<void**>(place_)); }
  void set_heap(void* held) { ::new (static_cast<void*>(place_)) void*(held); }
  void swap(Function& other) noexcept {
    for (std::size_t i = 0; i < sizeof place_; ++i) std::swap(place_[i], other.place_[i]);
    std::swap(call_, other.call_), std::swap(copy_, other.copy_);
  }

  alignas(void*) mutable unsigned char place_[4 * sizeof(void*)] = {};
  R (*call_)(void* place, Arguments...) = nullptr;
  void* (*copy_)(void* held, Do task) = nullptr;  ///< copies or destroys what lies on the heap
};

}  // namespace skipv1
