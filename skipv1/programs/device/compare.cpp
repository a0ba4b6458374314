#include "skipv1/programs/compare.hpp"

#include "skipv1/training/trainer.cuh"

skipv1::Run skipv1::train_and_evaluate_on_device(const Comparison& o, const std::string& variant, std::uint64_t seed,
                                                 const Tokenizer& tokenizer, const TextData& text, const TextData& held_out) {
  return train_and_evaluate<Device>(o, variant, seed, tokenizer, text, held_out);
}
