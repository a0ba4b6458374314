// What happens to the old content of an output.
#pragma once

namespace skipv1 {

/// An output is added to, or replaced.
enum class WriteMode : unsigned char { accumulate, overwrite };

}  // namespace skipv1
