// From the name of a device, as programs' option `--device` has it, to a memory space.
#pragma once

#include <string>

#include "skipv1/core/check.hpp"
#include "skipv1/core/view.hpp"

namespace skipv1 {

/// What `--device` takes.
inline constexpr const char* device_help = "cpu, cuda, or emulated: the CUDA kernels on the CPU";

/// Returns `work(Cuda())` or `work(Emulated())`, whichever `device` names. A build defines SKIPV1_WITH_CUDA and
/// SKIPV1_WITH_EMULATED for the flavours that it links (kernel/flavour.cuh). Throws if the name is none of these or the flavour
/// is not linked.
template <class Work>
auto with_device(const std::string& device, [[maybe_unused]] const Work& work) -> decltype(work(Emulated())) {
#if defined(SKIPV1_WITH_CUDA)
  if (device == "cuda") return work(Cuda());
#endif
#if defined(SKIPV1_WITH_EMULATED)
  if (device == "emulated") return work(Emulated());
#endif
  require(device != "cuda", "--device cuda: this build has no CUDA (-DSKIPV1_CUDA=ON makes one that has)");
  require(device != "emulated", "--device emulated: this build does not link the emulated kernels");
  fail("--device ", device, ": must be cpu, cuda or emulated");
}

}  // namespace skipv1
