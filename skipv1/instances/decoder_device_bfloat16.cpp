// The decoder and its trainer on the device in bfloat16, compiled once for all our programs (they see `extern template`).
#include "skipv1/training/trainer.cuh"

template class skipv1::Decoder<skipv1::bfloat16, skipv1::Device>;
template class skipv1::Trainer<skipv1::bfloat16, skipv1::Device>;
