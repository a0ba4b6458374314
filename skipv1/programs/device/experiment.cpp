#include "skipv1/training/trainer.cuh"
#include "skipv1/programs/experiment_run.hpp"

namespace skipv1 {

namespace {
std::size_t memory_in_use() {
  std::size_t free = 0, total = 0;
#if defined(__CUDACC__)
  synchronize();
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
#endif
  return total - free;
}
std::string name_of_device() {
#if defined(__CUDACC__)
  int device = 0;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the device's name");
  return properties.name;
#else
  return device_name;
#endif
}
}  // namespace

template <class Space>
Measured measure_on(const PlannedRun& run, const RunInput& input, const std::string& dtype) {
  const UseStream own;  // several threads run at once
  const Place place{name_of_device(), memory_in_use};
  return dtype == "bf16" ? measure<bfloat16, Space>(run, input, place) : measure<float, Space>(run, input, place);
}
template decltype(measure_on<Device>) measure_on<Device>;

}  // namespace skipv1
