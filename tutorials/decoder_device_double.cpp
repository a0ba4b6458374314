// The decoder on the device in double, compiled once for all our programs (they see `extern template`).
#include "skipv1/model/decoder.cuh"

template class skipv1::Decoder<double, skipv1::Cuda>;
