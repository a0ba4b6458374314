// The conversion to SkipV1Former in float and double, compiled once for all our programs (they see `extern template`).
#include "skipv1/uptraining/convert.hpp"

template skipv1::Parameters<float> skipv1::convert(const Config&, const Parameters<float>&, Strategy);
template skipv1::Parameters<double> skipv1::convert(const Config&, const Parameters<double>&, Strategy);
