// Everything that the page asks of its first three parts.
#pragma once

#include <memory>
#include <string>

#include "mesa_part.hpp"
#include "routing_part.hpp"
#include "text_part.hpp"

namespace playground {

/// The page's state: a text being continued, and two models being trained.
class Answers {
 public:
  explicit Answers(std::string model) : model_(std::move(model)) {}

  Json operator()(const std::string& name, const Json& request) {
    if (name == "variants") return variant_list();
    if (name == "routing") return routing_reply(request);
    if (name == "model") return text().about();
    if (name == "prompt") return text().start(request);
    if (name == "next") return text().next();
    if (name == "race") return (race_ = std::make_unique<Race>(request))->about();
    if (name == "steps") return race().steps(count_of(request));
    if (name == "measure") return race().measure(count_of(request));
    fail("\"", detail::brief(name), "\" is nothing that can be asked for");
  }

 private:
  Continuation& text() {
    if (!text_) text_ = std::make_unique<Continuation>(model_);
    return *text_;
  }
  Race& race() {
    require(race_ != nullptr, "no models are being trained");
    return *race_;
  }
  static std::size_t count_of(const Json& request) {
    JsonFields fields(request);
    std::size_t count = 0;
    fields.read("count", count);
    fields.finish();
    return count;
  }

  std::string model_;
  std::unique_ptr<Continuation> text_;
  std::unique_ptr<Race> race_;
};

}  // namespace playground
