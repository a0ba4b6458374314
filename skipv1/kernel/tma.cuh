// TMA, the tensor memory accelerator (sm_90a): one thread issues the load of a whole tile, which completes at an mbarrier, or a
// bulk store or reduction to global memory, which completes by groups of that thread.
#pragma once

#include "skipv1/kernel/mbarrier.cuh"
#include "skipv1/kernel/tile.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Rows of the box that one `tma_load_tile` loads.
inline constexpr unsigned tma_box_rows = 64;

#if defined(__CUDACC__)

/// A tensor map (`CUtensorMap`): describes a matrix in global memory to TMA.
struct alignas(128) TensorMap {
  std::uint32_t words[32];
};
/// Makes the tensor map of `rows` rows of `width` elements, `stride` elements apart, by one warp (`tensormap.replace`): in boxes
/// of `tma_box_rows` rows and 64 columns, with 128-byte swizzle; elements out of bounds load as zeros. `data` and rows are
/// aligned to 16 bytes, `buffer` (32 words of shared memory) to 128.
SKIPV1_DEVICE void make_tensor_map(TensorMap* to, const Shared<std::uint32_t>& buffer, const bfloat16* data, std::size_t width,
                                   std::size_t rows, std::size_t stride) {
#if SKIPV1_SM90A
  buffer[lane()] = 0;
  __syncwarp();
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(buffer.data));
  if (lane() == 0) {
    asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(p), "l"(data) : "memory");
    asm volatile("tensormap.replace.tile.rank.shared::cta.b1024.b32 [%0], 1;" ::"r"(p) : "memory");  // 2, less 1
#define SKIPV1_REPLACE_FIELD(field, n, type, constraint, value)                                                            \
  asm volatile("tensormap.replace.tile." field ".shared::cta.b1024." type " [%0], " #n ", %1;" ::"r"(p), constraint(value) \
               : "memory")
    SKIPV1_REPLACE_FIELD("box_dim", 0, "b32", "r", 64);
    SKIPV1_REPLACE_FIELD("box_dim", 1, "b32", "r", tma_box_rows);
    SKIPV1_REPLACE_FIELD("global_dim", 0, "b32", "r", static_cast<std::uint32_t>(width));
    SKIPV1_REPLACE_FIELD("global_dim", 1, "b32", "r", static_cast<std::uint32_t>(rows));
    SKIPV1_REPLACE_FIELD("global_stride", 0, "b64", "l", std::uint64_t{2 * stride});
    SKIPV1_REPLACE_FIELD("element_stride", 0, "b32", "r", 1);
    SKIPV1_REPLACE_FIELD("element_stride", 1, "b32", "r", 1);
#undef SKIPV1_REPLACE_FIELD
    asm volatile("tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [%0], 10;" ::"r"(p) : "memory");  // bfloat16
    asm volatile("tensormap.replace.tile.interleave_layout.shared::cta.b1024.b32 [%0], 0;" ::"r"(p) : "memory");
    asm volatile("tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [%0], 3;" ::"r"(p) : "memory");  // 128 bytes
    asm volatile("tensormap.replace.tile.fill_mode.shared::cta.b1024.b32 [%0], 0;" ::"r"(p) : "memory");     // zeros
  }
  __syncwarp();
  to->words[lane()] = buffer[lane()];
  asm volatile("fence.proxy.tensormap::generic.release.gpu;" ::: "memory");
#endif
}
/// `fence.proxy.tensormap` (acquire at gpu scope): comes before a thread's first use of a map that an earlier kernel made.
SKIPV1_DEVICE void fence_acquire_tensor_map(const TensorMap* map) {
#if SKIPV1_SM90A
  asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
#endif
}

/// Issues the load of the map's rows `first … first + tma_box_rows - 1` into the tile's from `row`, a multiple of 8, on
/// (`cp.async.bulk.tensor`). It completes at mbarrier i, with `2 * tma_box_rows * pitch` bytes.
template <unsigned W, unsigned R>
SKIPV1_DEVICE void tma_load_tile(const Tile<W, R>& to, unsigned row, const TensorMap* map, std::size_t first,
                                 const Mbarriers& mbarriers, unsigned i) {
#if SKIPV1_SM90A
  SKIPV1_UNROLL
  for (unsigned column = 0; column < W; column += 64) {
    const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(to.memory.data + to.at(row, column)));
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(p),
        "l"(map), "r"(column), "r"(static_cast<std::int32_t>(first)), "r"(mbarrier_address(mbarriers, i))
        : "memory");
  }
#endif
}
/// Issues the load of `count` floats (`cp.async.bulk`), which completes at mbarrier i. Both addresses and the size are multiples
/// of 16 bytes.
SKIPV1_DEVICE void bulk_load(const Shared<float>& to, unsigned at, const float* from, unsigned count, const Mbarriers& mbarriers,
                             unsigned i) {
#if SKIPV1_SM90A
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(to.data + at));
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(p), "l"(from),
               "r"(4 * count), "r"(mbarrier_address(mbarriers, i))
               : "memory");
#endif
}

/// Issue `to[i] = from[at + i]`, and `to[i] += from[at + i]`, for `count` floats, as a bulk group of this thread
/// (`cp.async.bulk`, `cp.reduce.async.bulk`, then `commit_group`). Both addresses and the size are multiples of 16 bytes. The
/// proxy fence orders them after the bulk operations of other blocks that this thread has seen released.
SKIPV1_DEVICE void bulk_store(float* to, const Shared<float>& from, unsigned at, unsigned count) {
#if SKIPV1_SM90A
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(from.data + at));
  asm volatile("fence.proxy.async.global;" ::: "memory");
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(p), "r"(4 * count) : "memory");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
SKIPV1_DEVICE void bulk_reduce_add(float* to, const Shared<float>& from, unsigned at, unsigned count) {
#if SKIPV1_SM90A
  const auto p = static_cast<std::uint32_t>(__cvta_generic_to_shared(from.data + at));
  asm volatile("fence.proxy.async.global;" ::: "memory");
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to), "r"(p), "r"(4 * count)
               : "memory");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
/// Waits until all bulk groups of this thread have read shared memory (`cp.async.bulk.wait_group.read 0`).
SKIPV1_DEVICE void bulk_wait_group_read() {
#if SKIPV1_SM90A
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
#endif
}
/// Waits until all bulk groups of this thread have completed, their writes to global memory included.
SKIPV1_DEVICE void bulk_wait_group() {
#if SKIPV1_SM90A
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#endif
}

#else

struct TensorMap {
  const bfloat16* data;
  std::size_t width, rows, stride;
  std::size_t unused[12];  // as large as the card's
};
inline void make_tensor_map(TensorMap* to, const Shared<std::uint32_t>& buffer, const bfloat16* data, std::size_t width,
                            std::size_t rows, std::size_t stride) {
  buffer[lane()] = 0;
  sync_warp();
  if (stride % 8 != 0 || reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
    emulator::Worker::running().report("a tensor map of data or rows (", stride, " elements apart) not aligned to 16 bytes");
  if (width == 0 || rows == 0) emulator::Worker::running().report("a tensor map of ", rows, " rows of ", width, " elements");
  if (lane() == 0) *to = {data, width, rows, stride, {}};
}
inline void fence_acquire_tensor_map(const TensorMap*) {}

}  // namespace skipv1

namespace skipv1::emulator {

/// Until a load has completed its target holds NaN. A thread that touches the target is reported: at once if no barrier lies
/// between, else when the load completes.
inline void issue_load(const Mbarriers& mbarriers, unsigned i, const BulkLoad& load) {
  Mbarrier& mbarrier = emulator::mbarrier(mbarriers, i, load.place);
  mbarrier.issued += load.count * load.array.element;
  if (mbarrier.issued > mbarrier.expected)
    Worker::running().report("issues loads (", load.place, ") beyond the ", mbarrier.expected, " bytes that mbarrier ", i,
                             " expects");
  note_write(load.array, load.begin, load.count, load.place);
  std::memset(load.array.data + load.begin * load.array.element, 0xff, load.count * load.array.element);
  mbarrier.loads.push_back(load);
  const std::size_t rows = std::min<std::size_t>(load.rows, load.count / 64), columns = std::min<std::size_t>(load.columns, 64);
  Worker::running().note_global_bulk(Access::load, load.panel ? 2 * rows * columns : load.count * load.array.element);
  if (mbarrier.issued == mbarrier.expected) Worker::running().wake();
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <unsigned W, unsigned R>
void tma_load_tile(const Tile<W, R>& to, unsigned row, const TensorMap* map, std::size_t first, const Mbarriers& mbarriers,
                   unsigned i, emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  if (to.base % 512 != 0 || row % 8 != 0 || row + tma_box_rows > R)
    worker.report("loads (", place, ") to row ", row, " of a tile of ", R, " rows from element ", to.base,
                  " on: multiples of 8 and 512 are needed, and ", tma_box_rows, " rows");
  const std::size_t rows = first < map->rows ? map->rows - first : 0;
  for (unsigned column = 0; column < W; column += 64) {
    const std::size_t columns = column < map->width ? map->width - column : 0;
    const bfloat16* from = rows * columns > 0 ? map->data + first * map->stride + column : nullptr;
    emulator::issue_load(
        mbarriers, i,
        {to.memory.array, to.base + column * R + row * 64, tma_box_rows * 64, reinterpret_cast<const std::byte*>(from),
         columns > 0 ? rows : 0, columns, map->stride, true, worker.thread_number(), place});
  }
}
inline void bulk_load(const Shared<float>& to, unsigned at, const float* from, unsigned count, const Mbarriers& mbarriers,
                      unsigned i, emulator::Place place = emulator::Place::here()) {
  check_aligned(to.array.data + at * sizeof(float), 16);
  check_aligned(from, 16);
  emulator::Worker& worker = emulator::Worker::running();
  if (count % 4 != 0) worker.report("loads ", count, " floats (", place, "): a multiple of 4 is needed");
  emulator::issue_load(
      mbarriers, i,
      {to.array, at, count, reinterpret_cast<const std::byte*>(from), 0, 0, 0, false, worker.thread_number(), place});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::emulator {

/// A bulk store reads shared memory at `bulk_wait_group_read` and writes global memory at `bulk_wait_group`.
inline void issue_store(float* to, const Shared<float>& from, unsigned at, unsigned count, WriteMode mode, Place place) {
  check_aligned(from.array.data + at * sizeof(float), 16);
  check_aligned(to, 16);
  Worker& worker = Worker::running();
  if (count == 0 || count % 4 != 0) worker.report("stores ", count, " floats (", place, "): a multiple of 4 is needed");
  note_read(from.array, at, count, place);
  worker.note_global_bulk(Access::store, count * sizeof(float));
  worker.note_store(to, Semaphores::Stage::issued, place);
  worker.self().stores.push_back({from.array, at, count, to, mode, worker.shared().now(), place, {}});
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

inline void bulk_store(float* to, const Shared<float>& from, unsigned at, unsigned count,
                       emulator::Place place = emulator::Place::here()) {
  emulator::issue_store(to, from, at, count, WriteMode::overwrite, place);
}
inline void bulk_reduce_add(float* to, const Shared<float>& from, unsigned at, unsigned count,
                            emulator::Place place = emulator::Place::here()) {
  emulator::issue_store(to, from, at, count, WriteMode::accumulate, place);
}
inline void bulk_wait_group_read() {
  for (emulator::BulkStore& store : emulator::Worker::running().self().stores) {
    if (!store.values.empty()) continue;
    emulator::note_read(store.array, store.begin, store.count, store.place);
    const auto* from = reinterpret_cast<const float*>(store.array.data) + store.begin;
    store.values.assign(from, from + store.count);
  }
}
inline void bulk_wait_group() {
  bulk_wait_group_read();
  std::vector<emulator::BulkStore>& stores = emulator::Worker::running().self().stores;
  for (const emulator::BulkStore& store : stores) {
    emulator::Worker::running().note_store(store.to, emulator::Semaphores::Stage::completed, store.place);
    store.write();
  }
  stores.clear();
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
