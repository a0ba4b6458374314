// Decoding attention from the concatenation to the fused kernel: all ways give the same numbers; the bytes each reads; how the
// work is shared out; on a card, what each reaches. Compiled by a host compiler the kernels run in the emulator, by nvcc on the
// card: README.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "skipv1/device/timing.cuh"
#include "skipv1/io/cli.hpp"
#include "skipv1/ops/attention/attention.cuh"
#include "skipv1/ops/attention/attention.hpp"
#if !defined(__CUDACC__)  // drawing needs stb's library, which the page's nvcc command does not link
#include "skipv1/io/file.hpp"
#include "timeline.hpp"
#endif

using namespace skipv1;

namespace {

/// One new row per sequence against all its keys: query heads of width d, `group` of which read one pair of heads.
struct Rows {
  std::vector<std::size_t> keys;  ///< of each sequence
  std::size_t heads, d, group = 1;

  std::size_t pairs() const { return heads / group; }
  std::size_t positions() const { return std::accumulate(keys.begin(), keys.end(), std::size_t{0}); }
  std::size_t capacity() const { return *std::max_element(keys.begin(), keys.end()); }
};

/// x[i] becomes a number of [-1, 1), which looks drawn.
SKIPV1_KERNEL draw(bfloat16* x, std::size_t count, std::uint32_t seed) {
  for (std::size_t i = global_thread(); i < count; i += global_threads()) {
    std::uint32_t bits = (static_cast<std::uint32_t>(i) + seed * 0x9e3779b9u) * 0x85ebca6bu;
    bits = (bits ^ (bits >> 13)) * 0xc2b2ae35u;
    x[i] = static_cast<bfloat16>(static_cast<float>(bits >> 16) * 0x1p-15f - 1);
  }
}
Tensor<bfloat16, Device> drawn(Shape shape) {
  static std::uint32_t seed = 0;
  Tensor<bfloat16, Device> x(shape);
  launch({"draw", std::min<std::size_t>(ceil_div(x.size(), 256), 1024), 256}, draw, x.data(), x.size(), ++seed);
  return x;
}

/// One block, one position's value heads, `width` elements: the layer's own, then the first layer's.
SKIPV1_KERNEL concatenate(bfloat16* to, const bfloat16* own, const bfloat16* first, std::size_t own_width, std::size_t width) {
  const std::size_t n = block().x;
  for (std::size_t i = thread().x * 8; i < width; i += block_size().x * 8)
    store_vector(to + n * width + i, load_vector<8>(i < own_width ? own + n * own_width + i : first + n * width + i));
}

using Pair = HeadPair<const bfloat16, Device>;
constexpr const char* ways[] = {"first", "simple", "concatenated", "fused"};

/// A SkipV1 layer's step of decoding in bfloat16: keys and the lower half of the value heads are its own, the upper half is the
/// first layer's.
class Step {
 public:
  explicit Step(Rows rows)
      : rows_(std::move(rows)),
        begin_(to_device<std::int32_t>(numbers(true))),
        past_(to_device<std::int32_t>(numbers(false))),
        q(drawn({B(), rows_.heads, rows_.d})),
        keys(drawn({B(), C(), width()})),
        own(drawn({B(), C(), own_width()})),
        first(drawn({B(), C(), width()})),
        joined({B(), C(), width()}),
        out({B(), rows_.heads, rows_.d}),
        lse_({B(), rows_.heads}),
        readers_(readers()),
        table_(table(false)),
        joined_table_(table(true)) {}

  /// "first": one thread, one query head; "simple": the kernel before; "concatenated": the halves are concatenated, then the
  /// fused kernel runs; "fused": that kernel alone, each half read where it lies.
  void run(const std::string& way) const {
    const bool joins = way == "concatenated";
    if (joins) {
      launch({"concatenate", B() * C(), std::min<std::size_t>(ceil_div(width(), 8), 512)}, concatenate, joined.data(), own.data(),
             first.data(), own_width(), width());
    }
    const View<const Pair, Device> pairs = joins ? joined_table_ : table_;
    const RoutedHeads<bfloat16, Device> heads(pairs, View<HeadReader, Device>(readers_));
    const Sequences<Device> sequences{View<std::int32_t, Device>(begin_), View<std::int32_t, Device>(past_), 1, C()};
    if (way == "simple") {
      const auto z = detail::attention_sizes<bfloat16>(q.shape(), out.shape(), heads.size(), sequences);
      detail::launch_split_keys<bfloat16>(out.data(), lse_.data(), q.data(), pairs.data(), z, C(), scale());
    } else {
      attention_forward<bfloat16>(View<bfloat16, Device>(out), View<float, Device>(lse_), View<bfloat16, Device>(q), heads,
                                  sequences, scale(), way == "first" ? Version::first : Version::fast);
    }
  }
  /// What the kernels must give, by the CPU in double.
  Tensor<double> truth() const {
    const auto host = [](const Tensor<bfloat16, Device>& from) {
      const Tensor<bfloat16> x = to_host<bfloat16>(from);
      Tensor<double> y(x.shape());
      for (std::size_t i = 0; i < x.size(); ++i) y.data()[i] = static_cast<double>(x.data()[i]);
      return y;
    };
    const Tensor<double> hq = host(q), hkeys = host(keys), hown = host(own), hfirst = host(first);
    std::vector<HeadPair<const double>> heads;
    for (std::size_t h = 0; h < rows_.heads; ++h) {
      const std::size_t g = h / rows_.group;
      heads.push_back({head(hkeys, g), g * rows_.d < own_width() ? head(hown, g) : head(hfirst, g)});
    }
    const Tensor<double> y(out.shape()), lse(lse_.shape());
    attention_forward<double>(View<double>(y), View<double>(lse), View<double>(hq),
                              View<const HeadPair<const double>>(heads.data(), {heads.size()}),
                              Sequences<Cpu>{numbers(true), numbers(false), 1, C()}, scale());
    return y;
  }

 private:
  std::size_t B() const { return rows_.keys.size(); }
  std::size_t C() const { return rows_.capacity(); }
  std::size_t width() const { return rows_.pairs() * rows_.d; }
  std::size_t own_width() const { return (rows_.pairs() + 1) / 2 * rows_.d; }
  double scale() const { return 1 / std::sqrt(static_cast<double>(rows_.d)); }
  /// Where each sequence's row is, or how many keys lie before it.
  Tensor<std::int32_t> numbers(bool begin) const {
    Tensor<std::int32_t> x({B() + (begin ? 1 : 0)});
    for (std::size_t b = 0; b < x.size(); ++b) x(b) = static_cast<std::int32_t>(begin ? b : rows_.keys[b] - 1);
    return x;
  }
  /// Head g of (B, C, w).
  template <class T, class Space>
  Head<const T, Space> head(const Tensor<T, Space>& x, std::size_t g) const {
    return {x.data() + g * rows_.d, x.extent(1) * x.extent(2), x.extent(2)};
  }
  /// Which query heads read one pair of heads: the names that a routing table has for them.
  Tensor<HeadReader, Device> readers() const {
    std::vector<HeadName> names;
    for (std::size_t h = 0; h < rows_.heads; ++h) names.push_back({0, h / rows_.group});
    const std::vector<HeadReader> host = layer_readers(names, names);
    Tensor<HeadReader, Device> on({host.size()});
    copy(on, View<const HeadReader>(host.data(), {host.size()}));
    return on;
  }
  Tensor<Pair, Device> table(bool joins) const {
    std::vector<Pair> heads;
    for (std::size_t h = 0; h < rows_.heads; ++h) {
      const std::size_t g = h / rows_.group;
      heads.push_back({head(keys, g), joins ? head(joined, g) : g * rows_.d < own_width() ? head(own, g) : head(first, g)});
    }
    Tensor<Pair, Device> on({heads.size()});
    copy(on, View<const Pair>(heads.data(), {heads.size()}));
    return on;
  }

  Rows rows_;
  Tensor<std::int32_t, Device> begin_, past_;

 public:
  Tensor<bfloat16, Device> q, keys, own, first, joined, out;

 private:
  Tensor<float, Device> lse_;
  Tensor<HeadReader, Device> readers_;
  Tensor<Pair, Device> table_, joined_table_;
};

/// The power of ten above (1e-2 at least) the largest error of x, relative to the largest number of the truth.
double error_below(View<bfloat16> x, View<double> truth) {
  double error = 0, most = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double d = std::abs(static_cast<double>(x.data()[i]) - truth.data()[i]);
    error = d <= error ? error : d;  // a NaN stays
    most = std::max(most, std::abs(truth.data()[i]));
  }
  return std::max(1e-2, std::pow(10, std::ceil(std::log10(error / most))));  // bfloat16's rounding is below it
}

/// All ways on the same numbers, against the CPU in double; and whether concatenating changes a bit of the result.
void compare(const Rows& rows) {
  const Step step(rows);
  const Tensor<double> truth = step.truth();
  std::printf("%zu query heads of %zu (%zu pairs), keys", rows.heads, rows.d, rows.pairs());
  for (const std::size_t keys : rows.keys) std::printf(" %zu", keys);
  std::printf(": errors below");
  Tensor<bfloat16> outs[std::size(ways)];
  for (std::size_t i = 0; i < std::size(ways); ++i) {
    zero<bfloat16>(View<bfloat16, Device>(step.out));
    step.run(ways[i]);
    outs[i] = to_host<bfloat16>(step.out);
    std::printf("%s %.0e %s", i ? "," : "", error_below(outs[i], truth), ways[i]);
  }
  const bool same = std::memcmp(outs[2].data(), outs[3].data(), outs[3].size() * sizeof(bfloat16)) == 0;
  std::printf("; the last two: %s\n", same ? "the same bits" : "NOT THE SAME");
}

/// Bytes of keys and values that each way reads from memory, and writes, in the order of `ways`.
std::vector<double> bytes_of(const Rows& rows) {
  const auto of_query_heads = static_cast<double>(2 * rows.positions() * rows.heads * rows.d);
  const auto of_pairs = static_cast<double>(2 * rows.positions() * rows.pairs() * rows.d);
  return {3 * of_query_heads,  // keys for the maximum, then again with the values; every query head for itself
          2 * of_query_heads,  // keys and values once, every query head for itself
          4 * of_pairs,        // values read and written, then keys and values once
          2 * of_pairs};       // keys and values once for all query heads that read them
}
std::string name_of(const Rows& rows) {
  const std::string group = rows.group > 1 ? " (" + std::to_string(rows.pairs()) + ")" : "";
  return std::to_string(rows.keys.size()) + ", " + std::to_string(rows.heads) + group + ", " + std::to_string(rows.capacity()) +
         ", " + std::to_string(rows.d);
}
void count_bytes(const std::vector<Rows>& all) {
  std::printf("MB of keys and values that are read or written, B, heads (pairs), keys, d:\n%-24s", "");
  for (const char* way : ways) std::printf(" %12s", way);
  std::printf("\n");
  for (const Rows& rows : all) {
    std::printf("%-24s", name_of(rows).c_str());
    for (const double bytes : bytes_of(rows)) std::printf(" %12.1f", bytes * 1e-6);
    std::printf("\n");
  }
}

/// Tiles `begin … end - 1` of a sequence, of one head, for a warp.
struct Piece {
  unsigned sequence, begin, end, keys;  ///< keys: in those tiles
};
constexpr unsigned most_pieces = 16;

/// The fused kernel without its work: each warp notes its pieces, `most_pieces` for each, and how many.
template <unsigned W>
SKIPV1_KERNEL note_shares(Piece* pieces, unsigned* count, detail::Decode a) {
  using namespace detail;
  constexpr unsigned K = decode_keys<W>;
  const unsigned warps = block_size().x / warp_size, own_warp = block().x * warps + warp();
  const HeadGroups groups = group_heads(0, a.readers, static_cast<unsigned>(a.z.heads), decode_rows);
  const DecodePlan plan = make_plan(tiles_of_all<K>(a.z), groups.count, grid_size().x * warps, warps);
  const unsigned team = own_warp / plan.size;
  if (team >= plan.teams) return;
  std::uint64_t at = plan.begin_of(team);
  const std::uint64_t end = plan.begin_of(team + 1);
  unsigned own = 0;
  for (DecodePiece piece = find_piece<K>(a.z, plan, at);; next_piece<K>(a.z, plan.sets, piece)) {
    if (end - at < piece.end - piece.begin) piece.end = piece.begin + static_cast<unsigned>(end - at);
    at += piece.end - piece.begin;
    const auto all = static_cast<unsigned>(piece.own.past + piece.own.rows);
    const unsigned last = piece.end == piece.tiles ? all : piece.end * K;
    if (lane() == 0 && own < most_pieces)
      pieces[own_warp * most_pieces + own] = {static_cast<unsigned>(piece.b), piece.begin, piece.end, last - piece.begin * K};
    ++own;
    if (at >= end) break;
  }
  if (lane() == 0) count[own_warp] = own;
}

/// How six blocks of eight warps share the keys of sequences of different lengths, for eight heads of 64 numbers.
void show_shares(const std::vector<std::size_t>& keys) {
  constexpr unsigned W = 64, blocks = 6, heads = 8, warps = blocks * detail::decode_most_warps, K = detail::decode_keys<W>;
  const std::size_t B = keys.size();
  Tensor<std::int32_t> begin({B + 1}), past({B});
  for (std::size_t b = 0; b <= B; ++b) begin(b) = static_cast<std::int32_t>(b);
  for (std::size_t b = 0; b < B; ++b) past(b) = static_cast<std::int32_t>(keys[b] - 1);
  const auto begin_on = to_device<std::int32_t>(begin), past_on = to_device<std::int32_t>(past);
  const Tensor<bfloat16, Device> memory = drawn({heads * W});
  std::vector<Pair> table;
  for (unsigned h = 0; h < heads; ++h) table.push_back({{memory.data() + h * W, 0, 0}, {memory.data() + h * W, 0, 0}});
  const Tensor<Pair, Device> table_on({heads});
  copy(table_on, View<const Pair>(table.data(), {heads}));
  detail::Decode a{};
  a.heads = table_on.data(), a.max_rows = 1;
  a.z = {B, heads, W, W, B, begin_on.data(), past_on.data()};
  const Tensor<Piece, Device> pieces_on({warps * most_pieces});
  const auto counts_on = zeros<unsigned, Device>({warps});
  launch({"note_shares", blocks, warps / blocks * warp_size, 3 * heads * sizeof(std::uint16_t)}, note_shares<W>, pieces_on.data(),
         counts_on.data(), a);
  const Tensor<Piece> pieces = to_host<Piece>(pieces_on);
  const Tensor<unsigned> counts = to_host<unsigned>(counts_on);

  std::printf("tiles of %u keys; sequences of", K);
  for (const std::size_t n : keys) std::printf(" %zu (%zu tiles)", n, ceil_div(n, K));
  std::printf("; eight heads, one for each warp of a block:\n");
  std::size_t rows = 0;
  for (unsigned w = 0; w < warps; ++w) {
    const bool shown = w % (warps / blocks) == 0;
    if (shown) std::printf("  block %u:", w / (warps / blocks));
    unsigned tiles = 0;
    for (unsigned i = 0; i < counts(w); ++i) {
      const Piece& p = pieces(w * most_pieces + i);
      if (shown) std::printf("%s tiles %u to %u of sequence %u", i ? "," : "", p.begin, p.end - 1, p.sequence);
      tiles += p.end - p.begin, rows += p.keys;
    }
    if (shown) std::printf(": %u\n", tiles);
  }
  std::printf("all warps together read %zu keys: %u times %zu\n", rows, heads,
              std::accumulate(keys.begin(), keys.end(), std::size_t{0}));
}

/// Bytes that a multiprocessor's warps have in flight; and bytes of the partial results that are merged, on 132 multiprocessors.
template <unsigned W>
void count_bytes_in_flight() {
  const unsigned tile = 2 * detail::decode_keys<W> * Tile<W>::pitch, pair = 2 * tile, stages = detail::decode_stages<W>;
  std::printf("d = %u: a pair of tiles of %u keys is %u KiB; 8 warps with %u pairs each: %u KiB of shared memory, %u in flight\n",
              W, detail::decode_keys<W>, pair >> 10, stages, 8 * stages * pair >> 10, 8 * (stages - 1) * pair >> 10);
  const unsigned part = 4 * (W + 4), warps = 132 * 8;
  std::printf("  a part of a row: %u bytes; at most two for each of %u warps: %.1f MB\n", part, warps, 2e-6 * warps * part);
}

#if defined(__CUDACC__)
void measure(const std::vector<Rows>& all) {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  const Tensor<bfloat16, Device> from = drawn({std::size_t{1} << 30}), to({from.size()});
  const double copied = 4 * static_cast<double>(from.size()) / timed_copy(20, to, from).median;
  std::printf("\n%s, which copies %.0f GB/s; us, and keys and values once over that time:\n", properties.name, copied * 1e-9);
  for (const Rows& rows : all) {
    const double bytes = bytes_of(rows)[3];
    std::vector<std::unique_ptr<Step>> steps;  // together more than the L2 cache holds
    while (static_cast<double>(steps.size()) * bytes < 600e6) steps.push_back(std::make_unique<Step>(rows));
    for (const std::string way : ways) {
      const bool slow = way == "first";
      const double s = timed(slow ? 3 : 20, slow ? 1 : steps.size(), [&](std::size_t i) { steps[i]->run(way); }).median;
      std::printf("%-24s %-12s %10.1f us %6.0f GB/s %4.0f %%\n", name_of(rows).c_str(), way.c_str(), s * 1e6, bytes / s * 1e-9,
                  100 * bytes / s / copied);
    }
  }
}
#endif

void draw_timeline([[maybe_unused]] const std::string& run, const std::string& folder) {
  require(!folder.empty(), "--timeline: --figures says where it is drawn");
#if defined(__CUDACC__)
  require(false, "--timeline: the program of the host compiler draws");
#else
  require_writable_folder(folder);
  const auto timeline = one_kernel_timeline::draw_timeline(one_kernel_timeline::read_timeline(run));
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = std::filesystem::path(folder) / "timeline.png";
  plot::save_figure(file, timeline);
  std::printf("%s\n", plot::figure_text(file, timeline).c_str());
#endif
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Decoding attention from the concatenation to the fused kernel: the same numbers, bytes, shares and, on a card, times.\n"
      "Example: 10-decoding-at-bandwidth > output.txt"};
  std::string timeline, figures;
  auto* drawn = app.add_option("--timeline", timeline, "draw the one kernel's timeline of a saved run, and nothing else");
  app.add_option("--figures", figures, "the folder that it is drawn into")->needs(drawn);
  return run_program(app, argc, argv, [&] {
    if (!timeline.empty()) return draw_timeline(timeline, figures);
    require(device_available(), why_no_device());
    std::printf("kernels run on: %s\n", device_name);
    compare({{5, 70, 33}, 4, 64});
    compare({{1, 300}, 6, 128});
    compare({{129}, 8, 96, 2});
    const auto of = [](std::size_t batch, std::size_t heads, std::size_t keys, std::size_t d, std::size_t group = 1) {
      return Rows{std::vector<std::size_t>(batch, keys), heads, d, group};
    };
    std::vector<Rows> rows{of(64, 32, 4096, 128), of(32, 16, 4096, 64), of(8, 16, 2048, 64), of(1, 32, 32768, 128)};
    std::printf("\n");
    rows.push_back(of(64, 32, 4096, 128, 8));
    count_bytes(rows);
    std::printf("\n");
    show_shares({40, 200, 500});
    std::printf("\n");
    count_bytes_in_flight<64>();
    count_bytes_in_flight<128>();
#if defined(__CUDACC__)
    measure(rows);
#endif
  });
}
