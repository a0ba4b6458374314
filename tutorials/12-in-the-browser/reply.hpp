// Requests and replies as text: how the page calls C++.
#pragma once

#include <string>

#include "skipv1/io/json.hpp"

namespace playground {

/// `answer({"do": name, …})` as JSON; an error is {"error": its line}.
template <class Answer>
std::string reply_to(const std::string& text, const Answer& answer) {
  try {
    skipv1::Json request = skipv1::parse_json(text);
    std::string name;
    skipv1::require(request.is_object() && request.contains("do") && request["do"].is_string(), "a request without \"do\"");
    name = request["do"].get<std::string>();
    request.erase("do");
    return skipv1::json_text(answer(name, request));
  } catch (const std::exception& error) {
    return skipv1::json_text({{"error", error.what()}});
  }
}

}  // namespace playground

#if defined(__EMSCRIPTEN__)
#include <emscripten/emscripten.h>

/// The page calls `ask`, then reads `reply`: a call that switches fibers returns no value.
#define PLAYGROUND_EXPORTS(answer)                                                                                   \
  static std::string replied;                                                                                        \
  extern "C" EMSCRIPTEN_KEEPALIVE void ask(const char* request) { replied = playground::reply_to(request, answer); } \
  extern "C" EMSCRIPTEN_KEEPALIVE const char* reply() { return replied.c_str(); }
#endif
