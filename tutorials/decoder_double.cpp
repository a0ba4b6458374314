// The decoder in double, compiled once for all our programs (they see `extern template`).
#include "skipv1/model/decoder.hpp"

template class skipv1::Decoder<double>;
