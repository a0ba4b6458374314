// The decoder and its trainer in double, compiled once for all our programs (they see `extern template`).
#include "skipv1/model/generate.hpp"
#include "skipv1/training/trainer.hpp"

template class skipv1::Decoder<double>;
template class skipv1::Trainer<double>;
template std::int32_t skipv1::sample<double>(View<const double>, const Sampling&, Random&);
