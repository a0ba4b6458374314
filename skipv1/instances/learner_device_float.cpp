// The learner on the device in float, compiled once for all our programs (they see `extern template`).
#include "skipv1/mesa/learner.cuh"

template class skipv1::mesa::Learner<float, skipv1::Device>;
