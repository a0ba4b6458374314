// Who does what in decoding: query heads grouped by what they read, and the keys of all sequences shared out among the warps.
#pragma once

#include "skipv1/kernel/kernel.cuh"
#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

// A warp goes through a tile of K keys at a time, for up to 16 query rows: those of one sequence, of heads that read one key head
// and one value head.
constexpr unsigned decode_rows = 16;
constexpr std::size_t no_row = ~std::size_t{0};

/// Where the parts of a row are: those of warps `first, first + step …` of the grid, `count` of them, as row r of 16. One: the
/// row is done.
struct alignas(16) DecodeParts {
  std::uint32_t first, step, count, r;
};
/// What a call reads and writes. `partial` (warps of the grid, 2, 16, d_v + 4): weighted values, maximum and sum of rows whose
/// keys several warps share; `parts` (N, H).
struct Decode {
  bfloat16* out;
  float* lse;
  const bfloat16* q;
  const HeadPair<const bfloat16, Device>* heads;
  const HeadReader* readers;  ///< null: every query head counts as its pair's only reader
  AttentionSizes z;
  std::size_t max_rows;  ///< of one sequence, at most 16
  float scale;           ///< of either sign
  float* partial;
  DecodeParts* parts;
};

/// Query heads that read the same pair of heads, in groups of at most `most`. `first[i]`: the first head of group i; `next[h]`:
/// the next head of h's pair, H if there is none.
struct HeadGroups {
  Shared<std::uint16_t> next, first, leads;
  unsigned count, most;
};
SKIPV1_DEVICE HeadGroups group_heads(std::size_t offset, const HeadReader* readers, unsigned H, unsigned most) {
  const auto array = [&](unsigned i) { return dynamic_shared<std::uint16_t>(offset + i * H * sizeof(std::uint16_t), H); };
  HeadGroups groups{array(0), array(1), array(2), 0, most};
  for (unsigned h = thread().x; h < H; h += block_size().x) {
    const HeadReader reader = readers ? readers[h] : HeadReader{};
    groups.next[h] = reader.pair_next == HeadReader::none ? static_cast<std::uint16_t>(H) : reader.pair_next;
    groups.leads[h] = reader.pair_rank % most == 0;
  }
  sync_threads();
  for (unsigned h = thread().x; h < H; h += block_size().x) {
    unsigned before = 0;
    for (unsigned other = 0; other < h; ++other) before += groups.leads[other];
    if (groups.leads[h]) groups.first[before] = static_cast<std::uint16_t>(h);
  }
  for (unsigned h = 0; h < H; ++h) groups.count += groups.leads[h];
  sync_threads();
  return groups;
}

/// A run of tiles of one sequence, for a set of groups, one to each warp of a team; all of the sequence's where `begin` is 0 and
/// `end` is `tiles`.
struct DecodePiece {
  std::size_t b;
  AttentionSequence own;
  std::uint32_t set, begin, end, tiles;
};

/// How the tiles of all sequences and sets of groups are divided among teams of warps. The tiles lie end to end in one order;
/// team w of `teams` begins with tile `total w / teams`, rounded down, and has at least one. The warps of a team go through the
/// same positions of neighbouring heads. Where these are neighbours in memory as well, the team reads whole pages at once, not
/// 128 bytes of each.
struct DecodePlan {
  std::uint64_t total, share;             ///< share: total / teams, rounded down
  std::uint32_t rest, teams, sets, size;  ///< rest: total % teams; size: warps of a team

  SKIPV1_DEVICE_MEMBER std::uint64_t begin_of(std::uint32_t w) const { return share * w + rest * w / teams; }
  SKIPV1_DEVICE_MEMBER std::uint32_t team_of(std::uint64_t tile) const {
    return static_cast<std::uint32_t>(((tile + 1) * teams - 1) / total);
  }
};
SKIPV1_DEVICE DecodePlan make_plan(std::uint32_t tiles, std::uint32_t groups, std::uint32_t warps, std::uint32_t warps_of_block) {
  std::uint32_t size = warps_of_block;  // the largest that leaves no warp, or only a few, without a group
  while (groups % size != 0 && (size > 2 || groups < 16) && size > 1) size /= 2;
  const std::uint32_t sets = (groups + size - 1) / size;
  const std::uint64_t total = std::uint64_t{tiles} * sets;
  const std::uint32_t teams = total < warps / size ? static_cast<std::uint32_t>(total) : warps / size;
  const std::uint64_t share = total / (teams > 0 ? teams : 1);
  return {total, share, static_cast<std::uint32_t>(total - share * teams), teams, sets, size};
}
template <unsigned K>
SKIPV1_DEVICE std::uint32_t tiles_of(const AttentionSequence& own) {
  return own.rows == 0 ? 0 : static_cast<std::uint32_t>((own.past + own.rows + K - 1) / K);
}
template <unsigned K>
SKIPV1_DEVICE std::uint32_t tiles_of_all(const AttentionSizes& z) {
  std::uint32_t tiles = 0;
  for (std::size_t b = lane(); b < z.batch; b += warp_size) tiles += tiles_of<K>(sequence(z, b));
  return warp_sum(tiles);
}
/// The piece that begins at `tile` of all, which is below their number, and goes on to its sequence's end.
template <unsigned K>
SKIPV1_DEVICE DecodePiece find_piece(const AttentionSizes& z, const DecodePlan& plan, std::uint64_t tile) {
  for (std::size_t b0 = 0;; b0 += warp_size) {
    const std::uint64_t own =
        b0 + lane() < z.batch ? std::uint64_t{tiles_of<K>(sequence(z, b0 + lane()))} * plan.sets : std::uint64_t{0};
    std::uint64_t end = own;  // the sum over the lanes up to this one
    for (unsigned step = 1; step < warp_size; step *= 2) {
      const std::uint64_t below = shuffle(end, lane() - step);
      if (lane() >= step) end += below;
    }
    const std::uint64_t all = shuffle(end, warp_size - 1);
    if (tile >= all) {
      tile -= all;
      continue;
    }
    const unsigned which = warp_sum(tile < end ? 0u : 1u);
    const auto within = static_cast<std::uint32_t>(tile - shuffle(end - own, which));
    const AttentionSequence at = sequence(z, b0 + which);
    const std::uint32_t tiles = tiles_of<K>(at);
    return {b0 + which, at, within / tiles, within % tiles, tiles, tiles};
  }
}
template <unsigned K>
SKIPV1_DEVICE void next_piece(const AttentionSizes& z, std::uint32_t sets, DecodePiece& piece) {
  piece.begin = 0;
  piece.end = piece.tiles;
  if (++piece.set < sets) return;
  piece.set = 0;
  do {
    piece.own = sequence(z, ++piece.b);
    piece.tiles = tiles_of<K>(piece.own);
  } while (piece.tiles == 0);
  piece.end = piece.tiles;
}

/// The group of a team's warp in a piece; their number where it has none.
SKIPV1_DEVICE unsigned group_of(const HeadGroups& groups, const DecodePlan& plan, const DecodePiece& piece) {
  const unsigned group = piece.set * plan.size + warp() % plan.size;
  return group < groups.count ? group : groups.count;
}

/// Which of the call's (N, H) rows is row r of a group's 16, and how many keys it sees.
struct DecodeRow {
  std::size_t at = no_row, keys = 0;
};
SKIPV1_DEVICE DecodeRow row_of(const Decode& a, const HeadGroups& groups, unsigned group, const AttentionSequence& own,
                               unsigned r) {
  const unsigned H = static_cast<unsigned>(a.z.heads), rows = static_cast<unsigned>(a.max_rows);
  const unsigned member = r / rows, t = r % rows;
  unsigned h = groups.first[group];
  for (unsigned i = 0; i < member && h < H; ++i) h = groups.next[h];
  if (member >= groups.most || h >= H || t >= own.rows) return {};
  return {(own.begin + t) * a.z.heads + h, own.past + t + 1};
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
