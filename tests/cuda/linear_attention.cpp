#include "skipv1/ops/linear_attention.cuh"

#include "skipv1/ops/linear_attention.hpp"
#include "tests/cuda/attention.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("linear attention on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const LinearNorm norm = GENERATE(LinearNorm::none, LinearNorm::keys);
  const Sizes size{5, 7, 9, {3, 33, 1}, {5, 0, 64}};
  Random random(61);
  const Problem<T> p(size, random);
  Tables<T> table(p);
  auto out = unwritten<T>({p.n, size.heads, size.value}), dq = unwritten<T>({p.n, size.heads, size.key});
  linear_attention_forward<T>(out, p.q, table.read_on(), p.on_device(), 0.3, norm);
  reference::linear_attention_forward<double>(out.host, p.q.host, table.read(), p.sequences(), 0.3, norm);
  check_close("linear_attention_forward out", out, 2 * bound<T>);
  linear_attention_backward<T>(dq, table.add_on(), p.dout, p.q, table.read_on(), p.on_device(), 0.3, norm);
  reference::linear_attention_backward<double>(dq.host, table.add(), p.dout.host, p.q.host, table.read(), p.sequences(), 0.3,
                                               norm);
  check_close("linear_attention_backward dq", dq, 2 * bound<T>);
  check_head_gradients("linear_attention_backward", p);
  table.write(p, WriteMode::overwrite);
  linear_attention_backward<T>(dq, table.add_on(), p.dout, p.q, table.read_on(), p.on_device(), 0.3, norm);
  linear_attention_backward<double>(dq.host, table.add(), p.dout.host, p.q.host, table.read(), p.sequences(), 0.3, norm);
  check_head_gradients("linear_attention_backward that overwrites", p);
}
