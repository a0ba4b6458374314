// The copy engine's copies and sends, matrices stored, outer products and turns between blocks, against plain loops; and what
// goes wrong with them.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "skipv1/kernel/tma.cuh"
#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

std::vector<bfloat16> drawn(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<bfloat16> x(count);
  for (bfloat16& v : x) v = static_cast<bfloat16>(static_cast<float>(random.normal()));
  return x;
}
float number(const std::vector<bfloat16>& x, std::size_t i) { return static_cast<float>(x[i]); }

/// The fault of a launch, empty if there is none.
template <class... Parameters>
std::string fault(std::size_t blocks, std::size_t threads, void (*kernel)(Parameters...),
                  std::type_identity_t<Parameters>... arguments) {
  try {
    launch({"under_test", blocks, threads, 64 << 10}, kernel, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

struct Matrix {
  std::size_t width, rows, stride;
};

SKIPV1_KERNEL make_map(TileMap* map, const bfloat16* data, Matrix m) {
  SKIPV1_SHARED(std::uint32_t, room, 32);
  make_tile_map(map, room, data, m.width, m.rows, m.stride);
}
/// Copies a tile from two rows on, one after the other in two phases of a counter, beside numbers; `out` gets both.
template <unsigned W>
SKIPV1_KERNEL copy_two(float* out, const TileMap* map, std::size_t first, const float* numbers) {
  constexpr unsigned pitch = Tile<W>::pitch;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 512 + 128 * pitch);
  SKIPV1_SHARED(float, beside, 16);
  SKIPV1_SHARED(std::uint64_t, arrivals, 2);
  const Tile<W, 128> tile{memory, 512};
  if (thread().x == 0) begin_arrivals(arrivals, 0, 2);
  sync_threads();
  for (unsigned phase = 0; phase < 2; ++phase) {
    if (thread().x == 0) {
      acquire_tile_map(map);
      expect_bytes(arrivals, 1, copied_rows * pitch * 2 + 32);
      copy_tile(tile, 64 - phase * 8, map, first + phase, arrivals, 1);
      copy_numbers(beside, 4, numbers + 8 * phase, 8, arrivals, 1);
    }
    wait_for_arrival(arrivals, 1, phase);
    for (unsigned i = thread().x; i < copied_rows * W; i += block_size().x)
      out[phase * copied_rows * W + i] = static_cast<float>(load_shared<1>(memory, tile.at(64 - phase * 8 + i / W, i % W))[0]);
    if (thread().x < 8) out[2 * copied_rows * W + phase * 8 + thread().x] = beside[4 + thread().x];
    sync_threads();
  }
}

enum class Copy {
  right,
  not_begun,
  too_many,
  too_few,
  unexpected,
  twice,
  phase_ahead,
  phase_behind,
  read_at_once,
  read_before,
  written_before,
  unwaited,
  rows,
  base,
  count,
  overwritten
};
template <Copy use>
SKIPV1_KERNEL copy_once(float* out, const TileMap* map, const float* numbers) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 2 * 64 * 64);
  SKIPV1_SHARED(float, beside, 32);
  SKIPV1_SHARED(std::uint64_t, arrivals, 2);
  const unsigned t = thread().x;
  if (t == 0) begin_arrivals(arrivals, 0, use == Copy::not_begun ? 1 : 2);
  sync_threads();
  if (t == 0) {
    if (use != Copy::unexpected) expect_bytes(arrivals, 1, use == Copy::too_many ? 64 : 128);
    if (use == Copy::twice) expect_bytes(arrivals, 1, 128);
    if (use == Copy::rows) copy_tile(Tile<64, 64>{memory, 0}, 4, map, 0, arrivals, 1);
    if (use == Copy::base) copy_tile(Tile<64, 64>{memory, 64}, 0, map, 0, arrivals, 1);
    if (use == Copy::count) copy_numbers(beside, 0, numbers, 30, arrivals, 1);
    if (use != Copy::too_few) copy_numbers(beside, 0, numbers, 16, arrivals, 1);
    copy_numbers(beside, 16, numbers + 16, 16, arrivals, 1);
  }
  if (use == Copy::read_at_once && t == 1) out[1] = beside[1];
  if (use == Copy::read_before || use == Copy::written_before) {
    sync_threads();
    if (use == Copy::read_before && t == 1) out[1] = beside[1];
    if (use == Copy::written_before && t == 1) beside[1] = 0;
    sync_threads();
  }
  if (use == Copy::unwaited) return;
  wait_for_arrival(arrivals, 1, use == Copy::phase_ahead ? 1 : 0);
  if (use == Copy::phase_behind) {
    for (unsigned phase = 1; phase < 3; ++phase) {
      sync_threads();
      if (t == 0) expect_bytes(arrivals, 1, 16), copy_numbers(beside, 0, numbers, 4, arrivals, 1);
      wait_for_arrival(arrivals, 1, phase);
    }
    wait_for_arrival(arrivals, 1, 0);
  }
  out[t] = beside[t];
  if (use == Copy::overwritten && t == 0) expect_bytes(arrivals, 1, 16), copy_numbers(beside, 16, numbers, 4, arrivals, 1);
}
template <Copy use>
std::string copy_fault() {
  const std::vector<float> numbers(32, 1.f);
  std::vector<float> out(32);
  const auto data = drawn(64 * 64, 1);
  alignas(128) TileMap map;
  launch({"make_map", 1, 32}, make_map, &map, data.data(), Matrix{64, 64, 64});
  return fault(1, 32, copy_once<use>, out.data(), &map, numbers.data());
}

enum class Sending { right, too_early, overwritten, unwaited, read_only, odd };
template <Sending use>
SKIPV1_KERNEL send(float* set, float* added) {
  SKIPV1_SHARED(float, numbers, 64);
  numbers[thread().x] = static_cast<float>(thread().x);
  if (use != Sending::too_early) sync_threads();
  if (thread().x == 0) {
    send_numbers(set, numbers, 0, use == Sending::odd ? 30 : 32, false);
    send_numbers(added, numbers, 32, 32, true);
    if (use != Sending::unwaited && use != Sending::overwritten) wait_until_read();
  }
  if (use == Sending::overwritten) {
    if (thread().x == 1) numbers[0] = 5;
    if (thread().x == 0) wait_until_read();
  }
  sync_threads();
  numbers[thread().x] = -1;
  if (thread().x == 0 && use != Sending::unwaited && use != Sending::read_only) wait_until_there();
}

SKIPV1_KERNEL store_and_load(std::uint32_t* out, const std::uint32_t* x) {
  SKIPV1_SHARED(bfloat16, tile, 256);
  std::uint32_t four[4];
  for (unsigned m = 0; m < 4; ++m) four[m] = x[lane() * 4 + m];
  store_matrices(tile, 8 * lane(), four);
  sync_warp();
  load_matrices<4>(four, tile, 8 * lane());
  for (unsigned m = 0; m < 4; ++m) out[lane() * 4 + m] = four[m];
  load_matrices<4, true>(four, tile, 8 * lane());
  for (unsigned m = 0; m < 4; ++m) out[128 + lane() * 4 + m] = four[m];
}
SKIPV1_KERNEL store_unordered() {
  SKIPV1_SHARED(bfloat16, tile, 256);
  std::uint32_t four[4] = {};
  store_matrices(tile, 8 * lane(), four);
  load_matrices<4>(four, tile, 8 * (lane() ^ 1));
}

/// `out (64, 8 M) = a (32, 64)^T b (32, 8 M)`, of b's columns from `column` on; a and b (32, 128).
template <std::size_t M>
SKIPV1_KERNEL outer(float* out, const bfloat16* a, const bfloat16* b, unsigned column) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 2 * 32 * 128);
  const Tile<128, 32> a_tile{memory, 0}, b_tile{memory, 32 * 128};
  a_tile.copy<32, 128>(a, 128, 32, 128, thread().x);
  b_tile.copy<32, 128>(b, 128, 32, 128, thread().x);
  copy_async_commit();
  copy_async_wait<0>();
  warpgroup_publish();
  sync_threads();
  take_registers<240>();
  float x[M][4];
  warpgroup_begin(x);
  for (unsigned k = 0; k < 32; k += 16) warpgroup_outer(x, SharedMatrix(a_tile, k, 64), SharedMatrix(b_tile, k, column), k > 0);
  warpgroup_commit();
  warpgroup_wait<0>(x);
  const unsigned g = warp() * 16 + lane() / 4, c = lane() % 4 * 2;
  for (unsigned n = 0; n < M; ++n)
    for (unsigned j = 0; j < 4; ++j) out[(g + j / 2 * 8) * 8 * M + n * 8 + c + j % 2] = x[n][j];
  give_registers<24>();
}

enum class Turn { right, never, fails, untaken, early };
/// Each block of those that take numbers adds its own in turn, highest number last.
template <Turn use>
SKIPV1_KERNEL count_in_turn(std::uint32_t* next, std::uint32_t* turn, std::vector<std::uint32_t>* order) {
  SKIPV1_SHARED(std::uint32_t, mine, 1);
  if (thread().x == 0) mine[0] = take_number(next);
  sync_threads();
  const std::uint32_t number = mine[0];
  if (use == Turn::fails && number == 3) fail("number 3 fails");
  if (thread().x == 32) {
    wait_for_turn(turn, use == Turn::never && number == 2 ? 7 : number);
    order->push_back(number);
    pass_turn(turn);
  }
  sync_threads();
}
/// Blocks add in turn, or `untaken` at once, to what the first has set; `early`, a turn is passed before.
template <Turn use>
SKIPV1_KERNEL add_in_turn(float* to, std::uint32_t* next, std::uint32_t* turn) {
  SKIPV1_SHARED(float, numbers, 4);
  if (thread().x > 0) return;
  const std::uint32_t mine = take_number(next);
  for (unsigned i = 0; i < 4; ++i) numbers[i] = static_cast<float>(mine + 1);
  if (use != Turn::untaken) wait_for_turn(turn, mine);
  if (use == Turn::early) pass_turn(turn);
  send_numbers(to, numbers, 0, 4, mine > 0);
  wait_until_there();
  if (use != Turn::early) pass_turn(turn);
}
/// Another thread than the one that has sent passes the turn.
template <bool waits>
SKIPV1_KERNEL send_and_pass(float* to, std::uint32_t* turn) {
  SKIPV1_SHARED(float, numbers, 4);
  if (thread().x < 4) numbers[thread().x] = 1;
  sync_threads();
  if (thread().x == 0) send_numbers(to, numbers, 0, 4, false);
  if (thread().x == 1) pass_turn(turn);  // not what has just been sent
  if (thread().x == 0) waits ? wait_until_there() : wait_until_read();
  sync_threads();
  if (thread().x == 1) pass_turn(turn);
}
enum class Hand { right, not_waited, not_told, told_twice };
/// One warp hands numbers to two others, which tell it when they have read them.
template <Hand use>
SKIPV1_KERNEL hand_over(float* out) {
  SKIPV1_SHARED(float, number, 1);
  SKIPV1_SHARED(std::uint64_t, arrivals, 2);
  if (thread().x == 0) {
    begin_arrivals(arrivals, 0, 1);
    begin_arrivals(arrivals, 1, 1, 2);
  }
  sync_threads();
  for (unsigned turn = 0; turn < 3; ++turn) {
    if (warp() == 2) {
      if (lane() > 0) continue;
      if (turn > 0 && use != Hand::not_waited) wait_for_arrival(arrivals, 1, turn - 1);
      number[0] = static_cast<float>(turn + 1);
      arrive(arrivals, 0);
      if (use == Hand::told_twice) arrive(arrivals, 0);
    } else {
      wait_for_arrival(arrivals, 0, turn);
      out[turn * 64 + thread().x] = number[0];
      sync_warp();
      if (lane() == 0 && !(use == Hand::not_told && warp() == 1)) arrive(arrivals, 1);
    }
  }
}
/// Threads of one block, in turns.
SKIPV1_KERNEL count_threads_in_turn(std::uint32_t* turn, std::vector<std::uint32_t>* order, std::uint32_t last) {
  const unsigned mine = block_size().x - 1 - thread().x;
  wait_for_turn(turn, mine < last ? mine : 1000);
  order->push_back(mine);
  pass_turn(turn);
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("copied tiles are those of plain loops", "", ((unsigned W), W), 64, 80, 96, 128) {
  for (const std::size_t width : {std::size_t{W}, std::size_t{W - 8}}) {
    for (const std::size_t first : {0u, 5u, 40u, 90u}) {  // the last beyond the rows
      const Matrix m{width, 70, W + 16};
      const std::vector<bfloat16> data = drawn(m.rows * m.stride, W + first);
      std::vector<float> numbers(16), out(2 * copied_rows * W + 16);
      for (std::size_t i = 0; i < 16; ++i) numbers[i] = static_cast<float>(i);
      alignas(128) TileMap map;
      launch({"make_map", 1, 32}, make_map, &map, data.data(), m);
      launch({"copy_two", 1, 64, 2 * (512 + 128 * Tile<W>::pitch)}, copy_two<W>, out.data(), &map, first, numbers.data());
      for (std::size_t i = 0; i < 2 * copied_rows * W; ++i) {
        const std::size_t row = first + i / (copied_rows * W) + i / W % copied_rows, column = i % W;
        const bool there = row < m.rows && column < width;
        REQUIRE(out[i] == (there ? number(data, row * m.stride + column) : 0.f));
      }
      for (std::size_t i = 0; i < 16; ++i) REQUIRE(out[2 * copied_rows * W + i] == numbers[i]);
    }
  }
}

TEST_CASE("what goes wrong with copies is reported") {
  CHECK(copy_fault<Copy::right>().empty());
  CHECK_THAT(copy_fault<Copy::not_begun>(),
             Catch::Contains("of shared array arrivals") && Catch::Contains("nobody of the block"));
  CHECK_THAT(copy_fault<Copy::too_many>(), Catch::Contains("beyond the 64 that counter 1 expects"));
  CHECK_THAT(copy_fault<Copy::unexpected>(), Catch::Contains("beyond the 0 that counter 1 expects"));
  CHECK_THAT(copy_fault<Copy::too_few>(),
             Catch::Contains("waits for what does not arrive (emulator_copy_engine.cpp:") && Catch::Contains("nobody can go on"));
  CHECK_THAT(copy_fault<Copy::twice>(), Catch::Contains("while phase 0 of counter 1 has not ended"));
  CHECK_THAT(copy_fault<Copy::phase_ahead>(),
             Catch::Contains("waits for phase 1 of counter 1") && Catch::Contains("phase 0 goes"));
  CHECK_THAT(copy_fault<Copy::phase_behind>(), Catch::Contains("waits for phase 0 of counter 1"));
  CHECK_THAT(copy_fault<Copy::read_at_once>(),
             Catch::Contains("race: reads element 1 of shared array beside") && Catch::Contains("without waiting for its bytes"));
  CHECK_THAT(copy_fault<Copy::read_before>(), Catch::Contains("element 1 of shared array beside was touched before"));
  CHECK_THAT(copy_fault<Copy::written_before>(), Catch::Contains("element 1 of shared array beside was touched before"));
  CHECK_THAT(copy_fault<Copy::unwaited>(), Catch::Contains("returns, the last, while bytes asked for"));
  CHECK_THAT(copy_fault<Copy::overwritten>(), Catch::Contains("race: reads element 16 of shared array beside"));
  CHECK_THAT(copy_fault<Copy::rows>(), Catch::Contains("multiples of 8 and 512"));
  CHECK_THAT(copy_fault<Copy::base>(), Catch::Contains("multiples of 8 and 512"));
  CHECK_THAT(copy_fault<Copy::count>(), Catch::Contains("copies 30 numbers"));
  alignas(128) TileMap map;
  const auto data = drawn(100, 1);
  CHECK_THAT(fault(1, 32, make_map, &map, data.data(), Matrix{64, 1, 100}), Catch::Contains("multiples of 16 bytes"));
  CHECK_THAT(fault(1, 32, make_map, &map, data.data() + 1, Matrix{64, 1, 64}), Catch::Contains("multiples of 16 bytes"));
  CHECK_THAT(fault(1, 32, make_map, &map, data.data(), Matrix{64, 0, 64}), Catch::Contains("a map of 0 rows"));
}

TEST_CASE("numbers sent replace others or are added to them, and are waited for") {
  alignas(16) float set[32], added[32];
  const auto sent = [&](auto kernel) {
    std::fill_n(set, 32, 7.f);
    std::fill_n(added, 32, 7.f);
    const std::string line = fault(1, 64, kernel, set, added);
    for (std::size_t i = 0; line.empty() && i < 32; ++i) {
      REQUIRE(set[i] == static_cast<float>(i));
      REQUIRE(added[i] == static_cast<float>(i + 39));
    }
    return line;
  };
  CHECK(sent(send<Sending::right>).empty());
  CHECK(sent(send<Sending::read_only>).empty());
  CHECK_THAT(sent(send<Sending::too_early>), Catch::Contains("of shared array numbers"));
  CHECK_THAT(sent(send<Sending::overwritten>), Catch::Contains("race") && Catch::Contains("of shared array numbers"));
  CHECK_THAT(sent(send<Sending::unwaited>), Catch::Contains("race: writes element") || Catch::Contains("has been read"));
  CHECK_THAT(sent(send<Sending::odd>), Catch::Contains("sends 30 numbers"));
}

TEST_CASE("stored matrices are those that are loaded") {
  std::vector<std::uint32_t> x(128), out(256);
  for (std::uint32_t i = 0; i < 128; ++i) x[i] = i << 16 | (1000 + i);
  launch({"store_and_load", 1, 32}, store_and_load, out.data(), x.data());
  for (std::size_t i = 0; i < 128; ++i) REQUIRE(out[i] == x[i]);
  CHECK(out[128 + 4] != x[4]);  // transposed
  CHECK_THAT(fault(1, 32, store_unordered), Catch::Contains("race: reads element"));
}

TEMPLATE_TEST_CASE_SIG("outer products are those of plain loops", "", ((std::size_t M), M), 4, 8) {
  const std::vector<bfloat16> a = drawn(32 * 128, 1), b = drawn(32 * 128, 2);
  for (unsigned column = 0; column < 128; column += 8 * M) {
    std::vector<float> out(64 * 8 * M);
    REQUIRE(fault(1, 128, outer<M>, out.data(), a.data(), b.data(), column) == "");
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / (8 * M), n = column + i % (8 * M);
      float sum = 0;
      for (std::size_t k = 0; k < 32; ++k) sum += number(a, k * 128 + 64 + row) * number(b, k * 128 + n);
      REQUIRE(std::abs(out[i] - sum) < 1e-4f);
    }
  }
  std::vector<float> out(64 * 8 * M);
  CHECK_THAT(fault(1, 128, outer<M>, out.data(), a.data(), b.data(), 48), Catch::Contains("begin with a panel"));
}

TEST_CASE("warps hand numbers over, and are told when they are read") {
  std::vector<float> out(3 * 64);
  REQUIRE(fault(1, 96, hand_over<Hand::right>, out.data()) == "");
  for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == static_cast<float>(i / 64 + 1));
  CHECK_THAT(fault(1, 96, hand_over<Hand::not_waited>, out.data()), Catch::Contains("waits for phase 0 of counter 0"));
  CHECK_THAT(fault(1, 96, hand_over<Hand::not_told>, out.data()), Catch::Contains("waits for what does not arrive"));
  CHECK_THAT(fault(1, 96, hand_over<Hand::told_twice>, out.data()), Catch::Contains("phase"));
}

TEST_CASE("blocks take turns, and one that waits in vain says so") {
  for (const std::size_t threads : {64u, 1024u}) {  // one after the other, and at once
    std::uint32_t next = 0, turn = 0;
    std::vector<std::uint32_t> order;
    const auto run = [&](auto kernel) {
      next = turn = 0;
      order.clear();
      return fault(20, threads, kernel, &next, &turn, &order);
    };
    CHECK(run(count_in_turn<Turn::right>).empty());
    REQUIRE(order.size() == 20);
    for (std::uint32_t i = 0; i < 20; ++i) REQUIRE(order[i] == i);
    CHECK_THAT(run(count_in_turn<Turn::never>),
               Catch::Contains("waits for a turn (emulator_copy_engine.cpp:") && Catch::Contains("that never comes"));
    CHECK(run(count_in_turn<Turn::fails>) == "number 3 fails");
  }
}

TEST_CASE("blocks send to the same place in turn") {
  for (const std::size_t threads : {64u, 1024u}) {
    alignas(16) float to[4];
    const auto run = [&](auto kernel) {
      std::uint32_t next = 0, turn = 0;
      return fault(5, threads, kernel, to, &next, &turn);
    };
    CHECK(run(add_in_turn<Turn::right>) == "");
    CHECK(to[3] == 15);
    CHECK_THAT(run(add_in_turn<Turn::untaken>), Catch::Contains("without a turn between"));
    CHECK_THAT(run(add_in_turn<Turn::early>), Catch::Contains("without a turn between"));
  }
}

TEST_CASE("a turn is not passed before what was sent is there") {
  alignas(16) float to[4];
  std::uint32_t turn = 0;
  CHECK(fault(1, 32, send_and_pass<true>, to, &turn).empty());
  CHECK(turn == 2);
  CHECK_THAT(fault(1, 32, send_and_pass<false>, to, &turn), Catch::Contains("passes a turn") && Catch::Contains("is not there"));
}

TEST_CASE("threads of a block take turns") {
  std::uint32_t turn = 0;
  std::vector<std::uint32_t> order;
  CHECK(fault(1, 64, count_threads_in_turn, &turn, &order, 64).empty());
  REQUIRE(order.size() == 64);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(order[i] == i);
  turn = 0;
  CHECK_THAT(fault(1, 64, count_threads_in_turn, &turn, &order, 63), Catch::Contains("that never comes"));
}
