// The page's kernels, in WebAssembly: a program of its own, as its fibers make everything in it slower (-sASYNCIFY).
#include "kernel_part.hpp"
#include "reply.hpp"

PLAYGROUND_EXPORTS([](const std::string& name, const skipv1::Json& request) {
  return name == "kernels" ? playground::kernel_list() : playground::kernel_reply(request);
})
