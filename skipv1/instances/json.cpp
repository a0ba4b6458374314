// JSON values, compiled once for all our programs (they see `extern template`).
#include "skipv1/io/json.hpp"

template class nlohmann::basic_json<nlohmann::ordered_map>;
template nlohmann::ordered_json nlohmann::ordered_json::parse<const char*>(const char*, const char*, parser_callback_t, bool,
                                                                           bool);
