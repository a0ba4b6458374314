// The tensor copy engine (compute capability 9.0, compiled for sm_90a): one thread asks for a whole tile, and it arrives while
// all go on; how many bytes are still missing is counted in shared memory. And words by which blocks of one launch take turns.
#pragma once

#include "skipv1/kernel/wgmma.cuh"

namespace skipv1 {

/// Rows that are copied at once.
inline constexpr unsigned copied_rows = 64;

#if defined(__CUDACC__)

/// How the engine finds `rows` rows of `width` numbers in memory.
struct alignas(128) TileMap {
  std::uint32_t words[32];
};
/// A warp makes a map, through 32 words of shared memory aligned to 128 bytes. Data and the distance of rows, in numbers, are
/// multiples of 16 bytes. What lies outside the rows or their width reads as zeros.
SKIPV1_DEVICE void make_tile_map(TileMap* to, const Shared<std::uint32_t>& room, const bfloat16* data, std::size_t width,
                                 std::size_t rows, std::size_t stride) {
#if SKIPV1_HAS_WGMMA
  room[lane()] = 0;
  __syncwarp();
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(room.data));
  if (lane() == 0) {
    asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(p), "l"(data) : "memory");
    asm volatile("tensormap.replace.tile.rank.shared::cta.b1024.b32 [%0], 1;" ::"r"(p) : "memory");  // 2, less 1
#define SKIPV1_OF_DIMENSION(field, n, type, constraint, value)                                                             \
  asm volatile("tensormap.replace.tile." field ".shared::cta.b1024." type " [%0], " #n ", %1;" ::"r"(p), constraint(value) \
               : "memory")
    SKIPV1_OF_DIMENSION("box_dim", 0, "b32", "r", 64);
    SKIPV1_OF_DIMENSION("box_dim", 1, "b32", "r", copied_rows);
    SKIPV1_OF_DIMENSION("global_dim", 0, "b32", "r", static_cast<std::uint32_t>(width));
    SKIPV1_OF_DIMENSION("global_dim", 1, "b32", "r", static_cast<std::uint32_t>(rows));
    SKIPV1_OF_DIMENSION("global_stride", 0, "b64", "l", std::uint64_t{2 * stride});
    SKIPV1_OF_DIMENSION("element_stride", 0, "b32", "r", 1);
    SKIPV1_OF_DIMENSION("element_stride", 1, "b32", "r", 1);
#undef SKIPV1_OF_DIMENSION
    asm volatile("tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [%0], 10;" ::"r"(p) : "memory");  // bfloat16
    asm volatile("tensormap.replace.tile.interleave_layout.shared::cta.b1024.b32 [%0], 0;" ::"r"(p) : "memory");
    asm volatile("tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [%0], 3;" ::"r"(p) : "memory");  // 128 bytes
    asm volatile("tensormap.replace.tile.fill_mode.shared::cta.b1024.b32 [%0], 0;" ::"r"(p) : "memory");     // zeros
  }
  __syncwarp();
  to->words[lane()] = room[lane()];
  asm volatile("fence.proxy.tensormap::generic.release.gpu;" ::: "memory");
#endif
}
/// Before a thread's first use of a map that an earlier kernel made.
SKIPV1_DEVICE void acquire_tile_map(const TileMap* map) {
#if SKIPV1_HAS_WGMMA
  asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
#endif
}

/// Counters of what arrives, bytes and threads, in shared memory. Each goes through phases: one ends when as many threads have
/// arrived as it was begun with, and all bytes that were expected.
using Arrivals = Shared<std::uint64_t>;
SKIPV1_DEVICE std::uint32_t arrival_at(const Arrivals& arrivals, unsigned i) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(arrivals.data + i));
}
/// One thread, for counters `first … first + count - 1`; a barrier follows.
SKIPV1_DEVICE void begin_arrivals(const Arrivals& arrivals, unsigned first, unsigned count, unsigned threads = 1) {
#if SKIPV1_HAS_WGMMA
  for (unsigned i = first; i < first + count; ++i)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(arrival_at(arrivals, i)), "r"(threads) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
/// A thread arrives: who waits for the phase sees what it has written and may overwrite what it has read.
SKIPV1_DEVICE void arrive(const Arrivals& arrivals, unsigned i) {
#if SKIPV1_HAS_WGMMA
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(arrival_at(arrivals, i)) : "memory");
#endif
}
/// The same, and so many bytes are expected, which are asked for next.
SKIPV1_DEVICE void expect_bytes(const Arrivals& arrivals, unsigned i, std::uint32_t bytes) {
#if SKIPV1_HAS_WGMMA
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(arrival_at(arrivals, i)), "r"(bytes) : "memory");
#endif
}
/// Waits for the end of phase `phase`, counted from 0; the one after it must not have ended.
SKIPV1_DEVICE void wait_for_arrival(const Arrivals& arrivals, unsigned i, unsigned phase) {
#if SKIPV1_HAS_WGMMA
  asm volatile(
      "{ .reg .pred there;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 there, [%0], %1;\n"
      "@!there bra again; }" ::"r"(arrival_at(arrivals, i)),
      "r"(phase % 2)
      : "memory");
#endif
}
/// Asks for rows `first … first + 63`, as the tile's from `row`, a multiple of 8, on: `copied_rows * pitch` numbers.
template <unsigned W, unsigned R>
SKIPV1_DEVICE void copy_tile(const Tile<W, R>& to, unsigned row, const TileMap* map, std::size_t first, const Arrivals& arrivals,
                             unsigned i) {
#if SKIPV1_HAS_WGMMA
  SKIPV1_UNROLL
  for (unsigned column = 0; column < W; column += 64) {
    const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(to.memory.data + to.at(row, column)));
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(p),
        "l"(map), "r"(column), "r"(static_cast<std::int32_t>(first)), "r"(arrival_at(arrivals, i))
        : "memory");
  }
#endif
}
/// Asks for `count` numbers, both ends and the count a multiple of 16 bytes.
SKIPV1_DEVICE void copy_numbers(const Shared<float>& to, unsigned at, const float* from, unsigned count, const Arrivals& arrivals,
                                unsigned i) {
#if SKIPV1_HAS_WGMMA
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(to.data + at));
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(p), "l"(from),
               "r"(4 * count), "r"(arrival_at(arrivals, i))
               : "memory");
#endif
}

/// Asks for the way back: `to[i] = from[at + i]`, or `+=`, for `count` numbers, both ends and the count multiples of 16 bytes.
SKIPV1_DEVICE void send_numbers(float* to, const Shared<float>& from, unsigned at, unsigned count, bool add) {
#if SKIPV1_HAS_WGMMA
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(from.data + at));
  asm volatile("fence.proxy.async.global;" ::: "memory");  // what other blocks have sent, as this thread has learnt, comes before
  if (add) {
    asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to), "r"(p), "r"(4 * count)
                 : "memory");
  } else {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(p), "r"(4 * count) : "memory");
  }
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
/// Waits until what this thread has sent has been read, or is there.
SKIPV1_DEVICE void wait_until_read() {
#if SKIPV1_HAS_WGMMA
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
#endif
}
SKIPV1_DEVICE void wait_until_there() {
#if SKIPV1_HAS_WGMMA
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#endif
}
/// The number counted before, counted on.
SKIPV1_DEVICE std::uint32_t take_number(std::uint32_t* counter) { return atomicAdd(counter, 1u); }
/// A thread counts on: who sees the count sees what is there.
SKIPV1_DEVICE void pass_turn(std::uint32_t* turn) {
#if SKIPV1_HAS_WGMMA
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(turn) : "memory");
#endif
}
/// Waits until it is `mine`. Only for what has been begun before: else nobody may be left to count.
SKIPV1_DEVICE void wait_for_turn(const std::uint32_t* turn, std::uint32_t mine) {
#if SKIPV1_HAS_WGMMA
  std::uint32_t now;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(turn) : "memory");
  } while (now < mine);
#endif
}

#else

struct TileMap {
  const bfloat16* data;
  std::size_t width, rows, stride;
  std::size_t unused[12];  // as large as the card's
};
inline void make_tile_map(TileMap* to, const Shared<std::uint32_t>& room, const bfloat16* data, std::size_t width,
                          std::size_t rows, std::size_t stride) {
  room[lane()] = 0;
  sync_warp();
  if (stride % 8 != 0 || reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
    emulator::Worker::running().report("a map of data or rows (", stride, " numbers apart) at no multiples of 16 bytes");
  if (width == 0 || rows == 0) emulator::Worker::running().report("a map of ", rows, " rows of ", width, " numbers");
  if (lane() == 0) *to = {data, width, rows, stride, {}};
}
inline void acquire_tile_map(const TileMap*) {}

using Arrivals = Shared<std::uint64_t>;

namespace emulator {

/// The counter's state.
inline Arrival& arrival(const Arrivals& arrivals, unsigned i, Place place) {
  note_read(arrivals.array, i, 1, place);
  const std::byte* at = arrivals.array.data + i * sizeof(std::uint64_t);
  for (Arrival& known : Worker::running().arrivals())
    if (known.at == at) return known;
  Worker::running().report("counter ", i, " of bytes (", place, ") was not begun");
}
/// The copies happen when they are first waited for. Until then their targets hold NaN, and whoever touches them is found out: at
/// once if no barrier lies between, else when they arrive.
inline void ask_for_copy(const Arrivals& arrivals, unsigned i, const BulkCopy& copy) {
  Arrival& counter = arrival(arrivals, i, copy.place);
  counter.asked += copy.count * copy.array.element;
  if (counter.asked > counter.expected)
    Worker::running().report("asks for bytes (", copy.place, ") beyond the ", counter.expected, " that counter ", i, " expects");
  note_write(copy.array, copy.begin, copy.count, copy.place);
  std::memset(copy.array.data + copy.begin * copy.array.element, 0xff, copy.count * copy.array.element);
  counter.copies.push_back(copy);
  if (counter.asked == counter.expected) Worker::running().wake();
}
inline void arrive(const BulkCopy& copy) {
  Worker& worker = Worker::running();
  for (std::size_t i = copy.begin; i < copy.begin + copy.count; ++i)
    if (!worker.shared().arrive(copy.array.shadow[i * copy.array.element / 2], copy.thread))
      worker.report("race: element ", i, " of shared array ", copy.array.name, " was touched before the bytes asked for (",
                    copy.place, ") had arrived");
  std::byte* to = copy.array.data + copy.begin * copy.array.element;
  if (!copy.panel) return void(std::memcpy(to, copy.from, copy.count * copy.array.element));
  for (std::size_t row = 0; row < copied_rows; ++row) {
    for (std::size_t column = 0; column < 64; column += 8) {
      const std::size_t there = row < copy.rows && column < copy.columns ? std::min<std::size_t>(copy.columns - column, 8) : 0;
      std::byte* piece = to + (row * 64 + (column ^ row % 8 * 8)) * 2;
      std::memset(piece, 0, 16);
      if (there > 0) std::memcpy(piece, copy.from + (row * copy.stride + column) * 2, there * 2);
    }
  }
}

}  // namespace emulator

inline void begin_arrivals(const Arrivals& arrivals, unsigned first, unsigned count, unsigned threads = 1,
                           emulator::Place place = emulator::Place::here()) {
  emulator::note_write(arrivals.array, first, count, place);
  for (unsigned i = first; i < first + count; ++i) {
    emulator::Arrival counter;
    counter.at = arrivals.array.data + i * sizeof(std::uint64_t);
    counter.needed = threads;
    emulator::Worker::running().arrivals().push_back(std::move(counter));
  }
}
inline void arrive(const Arrivals& arrivals, unsigned i, emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  emulator::Arrival& counter = emulator::arrival(arrivals, i, place);
  if (counter.arrived.size() == counter.needed)
    worker.report("arrives (", place, ") while phase ", counter.ended, " of counter ", i,
                  " has not ended, or nobody has waited for it");
  counter.arrived.push_back({worker.thread_number(), worker.shared().arrive()});
  if (!counter.complete()) return;
  if (counter.copies.empty()) counter.end(worker.shared().begin_arrival());
  worker.wake();
}
inline void expect_bytes(const Arrivals& arrivals, unsigned i, std::uint32_t bytes,
                         emulator::Place place = emulator::Place::here()) {
  emulator::arrival(arrivals, i, place).expected += bytes;
  arrive(arrivals, i, place);
}
inline void wait_for_arrival(const Arrivals& arrivals, unsigned i, unsigned phase,
                             emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  for (;;) {
    emulator::Arrival& counter = emulator::arrival(arrivals, i, place);
    if (phase != counter.ended) {
      if (phase + 1 == counter.ended) {
        worker.shared().waited(worker.thread_number(), counter.when);
        for (const auto& [thread, when] : counter.arrived_before) worker.shared().waited(worker.thread_number(), thread, when);
        return;
      }
      worker.report("waits for phase ", phase, " of counter ", i, " (", place, ") while phase ", counter.ended,
                    " goes on: a phase is waited for until the next one ends, and not before the one before has");
    }
    if (!counter.complete()) {
      worker.wait_for_arrival(place);
      continue;
    }
    const std::uint32_t now = worker.shared().begin_arrival();
    for (const emulator::BulkCopy& copy : counter.copies) emulator::arrive(copy);
    counter.end(now);
  }
}
template <unsigned W, unsigned R>
void copy_tile(const Tile<W, R>& to, unsigned row, const TileMap* map, std::size_t first, const Arrivals& arrivals, unsigned i,
               emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  if (to.base % 512 != 0 || row % 8 != 0 || row + copied_rows > R)
    worker.report("copies (", place, ") to row ", row, " of a tile of ", R, " rows from element ", to.base,
                  " on: multiples of 8 and 512 are needed, and ", copied_rows, " rows");
  const std::size_t rows = first < map->rows ? map->rows - first : 0;
  for (unsigned column = 0; column < W; column += 64) {
    const std::size_t columns = column < map->width ? map->width - column : 0;
    const bfloat16* from = rows * columns > 0 ? map->data + first * map->stride + column : nullptr;
    emulator::ask_for_copy(
        arrivals, i,
        {to.memory.array, to.base + column * R + row * 64, copied_rows * 64, reinterpret_cast<const std::byte*>(from),
         columns > 0 ? rows : 0, columns, map->stride, true, worker.thread_number(), place});
  }
}
inline void copy_numbers(const Shared<float>& to, unsigned at, const float* from, unsigned count, const Arrivals& arrivals,
                         unsigned i, emulator::Place place = emulator::Place::here()) {
  check_aligned(to.array.data + at * sizeof(float), 16);
  check_aligned(from, 16);
  emulator::Worker& worker = emulator::Worker::running();
  if (count % 4 != 0) worker.report("copies ", count, " numbers (", place, "): a multiple of 4 is needed");
  emulator::ask_for_copy(
      arrivals, i,
      {to.array, at, count, reinterpret_cast<const std::byte*>(from), 0, 0, 0, false, worker.thread_number(), place});
}

// A send reads when `wait_until_read` says that it has, and writes when `wait_until_there` does.
inline void send_numbers(float* to, const Shared<float>& from, unsigned at, unsigned count, bool add,
                         emulator::Place place = emulator::Place::here()) {
  check_aligned(from.array.data + at * sizeof(float), 16);
  check_aligned(to, 16);
  emulator::Worker& worker = emulator::Worker::running();
  if (count == 0 || count % 4 != 0) worker.report("sends ", count, " numbers (", place, "): a multiple of 4 is needed");
  emulator::note_read(from.array, at, count, place);
  worker.note_send(to, false, place);
  worker.self().sends.push_back({from.array, at, count, to, add, worker.shared().now(), place, {}});
}
inline void wait_until_read() {
  for (emulator::Send& send : emulator::Worker::running().self().sends) {
    if (!send.numbers.empty()) continue;
    emulator::note_read(send.array, send.begin, send.count, send.place);
    const auto* from = reinterpret_cast<const float*>(send.array.data) + send.begin;
    send.numbers.assign(from, from + send.count);
  }
}
inline void wait_until_there() {
  wait_until_read();
  std::vector<emulator::Send>& sends = emulator::Worker::running().self().sends;
  for (const emulator::Send& send : sends) {
    emulator::Worker::running().note_send(send.to, true, send.place);
    send.write();
  }
  sends.clear();
}
inline std::uint32_t take_number(std::uint32_t* counter) {
  std::this_thread::yield();  // or one block would take all of what little there is in a test
  return std::atomic_ref<std::uint32_t>(*counter).fetch_add(1, std::memory_order_relaxed);
}
inline void pass_turn(std::uint32_t* turn, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().pass_turn(turn, place);
  std::atomic_ref<std::uint32_t>(*turn).fetch_add(1, std::memory_order_release);
  emulator::Worker::running().turns().move();
}
inline void wait_for_turn(const std::uint32_t* turn, std::uint32_t mine, emulator::Place place = emulator::Place::here()) {
  const std::atomic_ref<std::uint32_t> now(*const_cast<std::uint32_t*>(turn));
  emulator::Worker::running().wait_for_turn(
      turn, [&] { return now.load(std::memory_order_acquire) >= mine; }, place);
}

#endif

}  // namespace skipv1
