#include "skipv1/programs/compare.hpp"

#include "skipv1/training/trainer.cuh"

namespace skipv1 {

template Run train_and_evaluate<Device>(const Comparison&, const std::string&, std::uint64_t, const Tokenizer&, const TextData&,
                                        const TextData&);

}  // namespace skipv1
