// The decoder on the device in bfloat16, compiled once for all our programs (they see `extern template`).
#include "skipv1/model/decoder.cuh"

template class skipv1::Decoder<skipv1::bfloat16, skipv1::Cuda>;
