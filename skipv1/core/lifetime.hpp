// Whether memory that others point into is still there.
#pragma once

#include <memory>
#include <utility>

namespace skipv1 {

/// A member of what owns the memory: a copy has a lifetime of its own, one that is moved takes the lifetime along.
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

  /// A member of what points there.
  class Watch {
   public:
    Watch() = default;
    explicit Watch(const Lifetime& lifetime) : alive_(lifetime.alive_) {}
    /// The owner was destroyed, or given other memory; or nothing was ever watched.
    bool over() const { return alive_.expired(); }

   private:
    std::weak_ptr<bool> alive_;
  };

 private:
  std::shared_ptr<bool> alive_;
};

}  // namespace skipv1
