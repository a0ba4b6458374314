// Decode attention starts early and reads lengths and the routing table before it waits for the kernel before: they come by a
// copy. The emulator holds each kernel back, as late as a card may run it, and finds a kernel or a caller that breaks the rule.
#include "tests/catch.hpp"
#include "tests/cuda/attention.hpp"

#if !defined(__CUDACC__)

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class X>
SKIPV1_KERNEL write_numbers(X* to, const X* from, std::size_t count) {
  if (global_thread() < count) to[global_thread()] = from[global_thread()];
}
/// Lets a kernel, not a copy, write `from` to `to`.
template <class X>
void write_late(View<X, Device> to, ConstView<X, Device> from) {
  launch(one_thread_each("write_numbers", to.size()), write_numbers<X>, to.data(), from.data(), to.size());
}

}  // namespace

TEST_CASE("decode attention waits for queries that the kernel before writes, and not for lengths", "[cuda]") {
  Random random(5);
  const Problem<bfloat16> p({4, 64, 64, {1}, {20}}, random);  // few pairs and keys: a block for each pair, which starts early
  const Tables<bfloat16> tables(p);
  const Tensor<bfloat16, Device> q(p.q.device.shape()), out({p.n, 4, 64});
  const Tensor<float, Device> lse({p.n, 4});
  const Tensor<std::int32_t, Device> past = to_device<std::int32_t>(zeros<std::int32_t>({1}));
  const auto attend = [&](const Tensor<bfloat16, Device>& queries, const Tensor<std::int32_t, Device>& in_cache) {
    Sequences<Device> sequences = p.on_device();
    sequences.past = View<std::int32_t, Device>(in_cache);
    attention_forward<bfloat16>(out, lse, queries, tables.read_on(), sequences, 0.125);
    const Tensor<bfloat16> result(out.shape());
    copy(View<bfloat16>(result), ConstView<bfloat16, Device>(out));
    return std::vector<bfloat16>(result.data(), result.data() + result.size());
  };
  const auto same = [](const std::vector<bfloat16>& a, const std::vector<bfloat16>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(bfloat16)) == 0;
  };
  const std::vector<bfloat16> right = attend(p.q.device, p.past_on);
  const emulator::LateKernels late;
  write_late<bfloat16>(q, p.q.device);
  CHECK(same(attend(q, p.past_on), right));
  copy(View<std::int32_t, Device>(past), ConstView<std::int32_t, Device>(p.past_on));
  CHECK(same(attend(q, past), right));
  zero(View<std::int32_t, Device>(past));
  write_late<std::int32_t>(past, p.past_on);  // which nobody may do
  CHECK_FALSE(same(attend(q, past), right));
}

#endif
