// Exercises of tutorial 04, as a reader finds them. Check one: sh tutorials/exercises.sh 04-1
#pragma once

namespace exercise {

/// 04-1. The second moment of an entry of `C = Y X^T` in the tutorial's task: width d, n pairs, noise of standard deviation s,
/// W_0 = 0.
inline double moment_of_C(double d, double n, double s) {
  (void)d, (void)s;
  return n * n;
}

/// 04-2. A lower bound on the loss of MHA, and the best: whatever a is, it sees `a (d - a)` numbers of C. d is even.
inline double least_loss_of_mha(double d, double n, double s) { return d * (d + s * s) - d * d * n / (n + d + 1 + s * s); }

}  // namespace exercise
