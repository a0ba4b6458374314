// Says whether memory that other objects point into still exists.
#pragma once

#include <memory>
#include <utility>

namespace skipv1 {

/// A member of the memory's owner. A copy of the owner has a lifetime of its own; a move takes the lifetime along.
class Lifetime {
 public:
  Lifetime() : alive_(std::make_shared<bool>(true)) {}
  Lifetime(const Lifetime&) : Lifetime() {}
  Lifetime(Lifetime&&) noexcept = default;
  Lifetime& operator=(Lifetime other) noexcept {
    alive_ = std::move(other.alive_);
    return *this;
  }
  ~Lifetime() = default;

  /// A member of an object that points into the memory.
  class Watch {
   public:
    Watch() = default;
    explicit Watch(const Lifetime& lifetime) : alive_(lifetime.alive_) {}
    /// Whether the owner was destroyed or got other memory, or nothing was ever watched.
    bool over() const { return alive_.expired(); }

   private:
    std::weak_ptr<bool> alive_;
  };

 private:
  std::shared_ptr<bool> alive_;
};

}  // namespace skipv1
