// What io/json.hpp declares, compiled once for all our programs (they define SKIPV1_JSON_INSTANCE).
#define SKIPV1_JSON_INSTANCE
#include "skipv1/io/json_functions.hpp"
