// The decoder and its trainer on the device in float, compiled once for all our programs (they see `extern template`).
#include "skipv1/training/trainer.cuh"

template class skipv1::Decoder<float, skipv1::Device>;
template class skipv1::Trainer<float, skipv1::Device>;
