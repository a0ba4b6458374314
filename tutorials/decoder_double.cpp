// The decoder and its trainer in double, compiled once for all our programs (they see `extern template`).
#include "skipv1/training/trainer.hpp"

template class skipv1::Decoder<double>;
template class skipv1::Trainer<double>;
