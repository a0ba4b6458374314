// Exercises of tutorial 02a, as a reader finds them. Check one: sh tutorials/exercises.sh 02a-1
#pragma once

#include <cstddef>
#include <vector>

namespace exercise {

/// 02a-1. Softmax backwards, one row: from the probabilities p and the gradients dp of the loss by them, those by the scores.
inline std::vector<double> softmax_backward(const std::vector<double>& p, const std::vector<double>& dp) {
  std::vector<double> ds(p.size());
  for (std::size_t s = 0; s < p.size(); ++s) ds[s] = p[s] * dp[s];
  return ds;
}

/// What one layer sends back to a value head that it reads: its probabilities (T, T) and the gradients of its output (T).
struct Reader {
  std::vector<std::vector<double>> p;
  std::vector<double> dout;
};
/// 02a-2. The gradient of a value head (T), one number wide, that several layers read.
inline std::vector<double> value_gradient(const std::vector<Reader>& readers) {
  std::vector<double> dv(readers[0].dout.size());
  for (const Reader& reader : readers) {
    for (std::size_t s = 0; s < dv.size(); ++s) {
      dv[s] = 0;
      for (std::size_t t = 0; t < dv.size(); ++t) dv[s] += reader.p[t][s] * reader.dout[t];
    }
  }
  return dv;
}

}  // namespace exercise
