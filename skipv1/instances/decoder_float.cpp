// The decoder and its trainer in float, compiled once for all our programs (they see `extern template`).
#include "skipv1/model/generate.hpp"
#include "skipv1/training/trainer.hpp"

template class skipv1::Decoder<float>;
template class skipv1::Trainer<float>;
template std::int32_t skipv1::sample<float>(View<const float>, const Sampling&, Random&);
