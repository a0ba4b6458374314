// The page's first three parts, in WebAssembly. The model lies beside the program (--embed-file).
#include "answers.hpp"
#include "reply.hpp"

static playground::Answers& answers() {
  static playground::Answers all("/model");
  return all;
}
PLAYGROUND_EXPORTS([](const std::string& name, const skipv1::Json& request) { return answers()(name, request); })
