// The programs' work on a device: device/ defines it for the memory space `Cuda`, compiled by nvcc, and for `Emulated`, compiled
// by the host compiler. `with_device` chooses.
#pragma once

#include <memory>
#include <string>

#include "skipv1/core/on_device.hpp"
#include "skipv1/distributed/world.hpp"
#include "skipv1/model/generate.hpp"
#include "skipv1/training/evaluate.hpp"

namespace skipv1 {

/// Why `Space` cannot be used on this machine, in one line; empty if it can.
template <class Space>
std::string why_not();
/// Which scalars a program has: f32, f64 and on a device bf16; what only reads a model lacks f64 there, or has none.
enum class Scalars { all, no_f64_on_device, no_f64 };
/// Throws unless `device` is "cpu", or a device that this build and this machine have; and unless `dtype` is one that the program
/// has there.
void check_device(const std::string& device, const std::string& dtype, Scalars scalars = Scalars::all);

/// What connects the processes of `world` in `Space`: NCCL; null where it is MPI, over host memory, or nothing is to be
/// connected. Throws if there are several and this build has no NCCL.
template <class Space>
std::unique_ptr<Communicator> communicator_on(const World& world);

/// `evaluate` and `generate` in `Space`, in float or, where `dtype` is "bf16", in bfloat16.
template <class Space>
Evaluation evaluate_on(const Config& config, const Parameters<float>& parameters, const std::string& dtype, const TextData& text,
                       std::size_t length, std::size_t windows, std::size_t batch, Progress* progress);
/// Whether decoding is by `OneKernel` (model/one_kernel.cuh): `on` throws where it does not serve, `automatic` takes it where it
/// was measured to be faster (`OneKernel::is_faster`), on a card.
enum class OneKernelUse { off, on, automatic };
template <class Space>
void generate_on(const Config& config, const Parameters<float>& parameters, const std::string& dtype,
                 const std::vector<std::int32_t>& prompt, std::size_t count, const Sampling& sampling, std::uint64_t seed,
                 OneKernelUse one_kernel, const OnToken& on_token);

}  // namespace skipv1
