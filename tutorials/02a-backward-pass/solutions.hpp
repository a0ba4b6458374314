// Solutions to exercises.hpp.
#pragma once

#include <cstddef>
#include <vector>

namespace exercise {

/// `dS_s = p_s (dp_s - delta)`, `delta = sum over s of p_s dp_s`.
inline std::vector<double> softmax_backward(const std::vector<double>& p, const std::vector<double>& dp) {
  std::vector<double> ds(p.size());
  double delta = 0;
  for (std::size_t s = 0; s < p.size(); ++s) delta += p[s] * dp[s];
  for (std::size_t s = 0; s < p.size(); ++s) ds[s] = p[s] * (dp[s] - delta);
  return ds;
}

struct Reader {
  std::vector<std::vector<double>> p;
  std::vector<double> dout;
};
/// `dV = sum over layers l of P_l^T dO_l`.
inline std::vector<double> value_gradient(const std::vector<Reader>& readers) {
  std::vector<double> dv(readers[0].dout.size());
  for (const Reader& reader : readers)
    for (std::size_t s = 0; s < dv.size(); ++s)
      for (std::size_t t = 0; t < dv.size(); ++t) dv[s] += reader.p[t][s] * reader.dout[t];
  return dv;
}

}  // namespace exercise
