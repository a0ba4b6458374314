#include "skipv1/programs/device.hpp"

#include "skipv1/distributed/nccl.cuh"
#include "skipv1/model/decoder.cuh"
#include "skipv1/model/one_kernel/generate.cuh"

namespace skipv1 {

template <class Space>
std::string why_not() {
  return why_no_device();
}
template decltype(why_not<Device>) why_not<Device>;

template <class Space>
std::unique_ptr<Communicator> communicator_on([[maybe_unused]] const World& world) {
#if defined(__CUDACC__) && defined(SKIPV1_WITH_NCCL)
  return std::make_unique<NcclCommunicator>(world.launched(), world.host());
#else
  require(world.size() == 1 || std::is_same_v<Space, Emulated>, "device cuda of ", world.size(),
          " processes: this build has no NCCL (NCCL_INCLUDE_DIR and NCCL_LIBRARY say where it is)");
  return nullptr;
#endif
}
template decltype(communicator_on<Device>) communicator_on<Device>;

namespace {
/// Calls `work(decoder)` with the model on the device.
template <class T, class Space, class Work>
auto with_decoder(const Config& config, const Parameters<float>& parameters, const Work& work) {
  const Parameters<T, Space> there(config);
  Tensor<T> converted(parameters.flat().shape());
  for (std::size_t i = 0; i < converted.size(); ++i) converted.data()[i] = static_cast<T>(parameters.flat().data()[i]);
  copy(there.flat(), View<const T>(converted));
  return work(Decoder<T, Space>(config, there));
}
}  // namespace

template <class Space>
Evaluation evaluate_on(const Config& config, const Parameters<float>& parameters, const std::string& dtype, const TextData& text,
                       std::size_t length, std::size_t windows, std::size_t batch, Progress* progress) {
  const auto work = [&](const auto& decoder) { return evaluate(decoder, text, length, windows, batch, progress); };
  return dtype == "bf16" ? with_decoder<bfloat16, Space>(config, parameters, work)
                         : with_decoder<float, Space>(config, parameters, work);
}
template decltype(evaluate_on<Device>) evaluate_on<Device>;

template <class Space>
void generate_on(const Config& config, const Parameters<float>& parameters, const std::string& dtype,
                 const std::vector<std::int32_t>& prompt, std::size_t count, const Sampling& sampling, std::uint64_t seed,
                 OneKernelUse one_kernel, const OnToken& on_token) {
  constexpr bool measured = !std::is_same_v<Space, Emulated>;  // the emulator runs a barrier of all threads slowly
  const auto work = [&]<class T>(const Decoder<T, Space>& decoder) {
    if (one_kernel == OneKernelUse::on ||
        (one_kernel == OneKernelUse::automatic && measured && OneKernel<T>::is_faster(decoder, 1)))
      generate_by_one_kernel(decoder, {prompt}, count, sampling, seed, on_token);
    else
      generate(decoder, {prompt}, count, sampling, seed, on_token);
  };
  dtype == "bf16" ? with_decoder<bfloat16, Space>(config, parameters, work)
                  : with_decoder<float, Space>(config, parameters, work);
}
template decltype(generate_on<Device>) generate_on<Device>;

}  // namespace skipv1
