// Solutions to exercises.hpp.
#pragma once

namespace exercise {

/// `C = W S + E X^T` with `S = X X^T`: E[(W S)_ij^2] = E[(S^2)_jj] = n (n + d + 1), the noise adds n s^2.
inline double moment_of_C(double d, double n, double s) { return n * (n + d + 1 + s * s); }

/// Each number of C takes n lambda off, `lambda = 1 / (n + d + 1 + s^2)`; `a (d - a)` is largest at `a = d / 2`.
inline double least_loss_of_mha(double d, double n, double s) { return d * (d + s * s) - d * d / 4 * n / (n + d + 1 + s * s); }

}  // namespace exercise
