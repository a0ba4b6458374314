// The time to a prompt's first new token on a card, the prompt whole or in chunks. For nvcc alone.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/benchmark/gpu_generate.hpp"

namespace skipv1::benchmark {

/// Passes `tokens` behind what `cache` holds, at most `chunk` at a time; returns the last one's logits.
template <class T, class Space>
View<T, Space> prefill(const Decoder<T, Space>& decoder, const std::vector<std::int32_t>& tokens, std::size_t chunk,
                       Cache<T, Space>& cache, Activations<T, Space>& a) {
  for (std::size_t begin = 0;; begin += chunk) {
    const std::size_t count = std::min(chunk, tokens.size() - begin);
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    const bool last = begin + count == tokens.size();
    const Batch part{{first, first + static_cast<std::ptrdiff_t>(count)}, {count}};
    const View<T, Space> logits = decoder.forward(part, cache, a, Keep::nothing, last ? Logits::last : Logits::none);
    if (last) return logits;
  }
}

/// Floating-point operations of a prompt's pass, a multiplication and an addition counted as two: all matrices but the tables
/// that are looked up, the output head for the last position alone, and the half of attention that the causal mask leaves.
inline double prefill_flops(const Config& c, std::size_t prompt) {
  const ParameterLayout layout(c);
  double weights = 0;
  for (const ParameterLayout::Entry& entry : layout.entries())
    if (entry.shape.rank() == 2 && entry.name.find("layers") != std::string::npos)
      weights += static_cast<double>(entry.shape.size());
  const auto n = static_cast<double>(prompt);
  const auto heads = static_cast<double>(c.num_attention_heads * c.num_hidden_layers * (c.query_width() + c.head_width()));
  return 2 * weights * n + n * (n + 1) * heads + 2 * static_cast<double>(c.vocab_size * c.hidden_size);
}

/// A prompt, and a cache with room for 64 tokens more.
class Prompt {
 public:
  Prompt(const DecodingModel& model, std::size_t length)
      : decoder_(model.decoder()),
        tokens_(drawn_tokens(decoder_.config(), 1, length)),
        cache_(decoder_.routing(), 1, length + 64) {
    tokens_.resize(length);
  }
  /// The first new token, the likeliest: tokens up, all chunks, the logits back. Memory for activations stays from call to call.
  std::int32_t first_token(std::size_t chunk) {
    cache_.reset();
    logits_ = to_host<bfloat16>(prefill(decoder_, tokens_, chunk, cache_, activations_));
    const bfloat16* best = std::max_element(logits_.data(), logits_.data() + logits_.size(),
                                            [](bfloat16 a, bfloat16 b) { return static_cast<float>(a) < static_cast<float>(b); });
    return static_cast<std::int32_t>(best - logits_.data());
  }
  /// By the host's clock. Freed memory would be cleared meanwhile (docs/performance/ledger.md), so it waits first.
  Time timed(std::size_t repeats, std::size_t chunk) {
    for (int i = 0; i < 2; ++i) first_token(chunk);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    first_token(chunk);
    return timed_by_host(repeats, [&] { first_token(chunk); });
  }
  /// The same with memory for activations taken, as `generate` does.
  double seconds_with_memory(std::size_t chunk) {
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
      activations_ = {};
      times.push_back(seconds([&] { first_token(chunk); }));
    }
    return time_of(times).median;
  }
  const Tensor<bfloat16>& logits() const { return logits_; }

 private:
  const Decoder<bfloat16, Device>& decoder_;
  std::vector<std::int32_t> tokens_;
  Cache<bfloat16, Device> cache_;
  Activations<bfloat16, Device> activations_;
  Tensor<bfloat16> logits_;
};

/// A prompt's pass, whole, between the profiler's start and stop; before it one that takes memory.
inline void profile_prefill(const Config& config, std::size_t length) {
  const DecodingModel model(config);
  Prompt prompt(model, length);
  prompt.first_token(length);
  check_cuda(cudaProfilerStart(), "cudaProfilerStart");
  prompt.first_token(length);
  check_cuda(cudaProfilerStop(), "cudaProfilerStop");
}

/// The largest error of the logits behind a prompt of 300 tokens, whole and in chunks of 128, of a small model of the
/// configuration's architecture and variant, against the CPU's whole pass in double with the same (rounded) weights.
inline double prefill_error(const Config& config) {
  const SmallModel model(config, 512);
  const std::vector<std::int32_t> tokens = [&] {
    std::vector<std::int32_t> drawn = drawn_tokens(model.config, 1, 300);
    drawn.pop_back();
    return drawn;
  }();
  Cache<double> exact_cache(model.cpu.routing(), 1, tokens.size());
  Activations<double> exact;
  const View<double> want = prefill(model.cpu, tokens, tokens.size(), exact_cache, exact);
  double worst = 0;
  for (const std::size_t chunk : {tokens.size(), std::size_t{128}}) {
    Cache<bfloat16, Device> cache(model.device.routing(), 1, tokens.size() + 1);
    Activations<bfloat16, Device> a;
    const double error = logits_error(to_host<bfloat16>(prefill(model.device, tokens, chunk, cache, a)), want);
    worst = error <= worst ? worst : error;
  }
  return worst;
}

}  // namespace skipv1::benchmark
