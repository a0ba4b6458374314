// The page's fourth part: what each thread of a kernel does, in the order in which the emulator's fibers do it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/kernel/launch.cuh"
#include "kernels.cuh"

namespace playground {

/// Rows for a kernel, drawn with a fixed seed, where a sector begins.
struct Rows {
  std::size_t rows, d;
  std::vector<float> memory;
  float *x, *weight, *y;

  Rows(std::size_t rows_, std::size_t d_) : rows(rows_), d(d_), memory((2 * rows_ + 1) * d_ + 64) {
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    x = memory.data() + (at % 128 == 0 ? 0 : (128 - at % 128) / sizeof(float));
    weight = x + rows * d, y = weight + d;
    Random random(1);
    for (std::size_t i = 0; i < (rows + 1) * d; ++i) x[i] = static_cast<float>(random.normal());
  }
  /// Where an address lies, as the page has it: "x", "weight" or "y", and the element.
  Json place(const void* address) const {
    const auto i = static_cast<std::size_t>(static_cast<const float*>(address) - x);
    if (i < rows * d) return {"x", i};
    return i < (rows + 1) * d ? Json{"weight", i - rows * d} : Json{"y", i - (rows + 1) * d};
  }
};

inline Json to_json(const emulator::Step& step, const Rows& data) {
  constexpr const char* kinds[] = {"load", "store", "waits", "arrives", "exchanges", "value", "returns"};
  using Kind = emulator::Step::Kind;
  Json json{{"kind", kinds[static_cast<std::size_t>(step.kind)]},
            {"block", step.block.x},
            {"thread", step.thread},
            {"line", step.place.line}};
  if (step.place.file) {
    const std::string file = step.place.file;
    json["file"] = file.substr(file.rfind('/') + 1);
  }
  if (step.kind == Kind::load || step.kind == Kind::store)
    json["at"] = data.place(step.address), json["count"] = step.bytes / sizeof(float);
  if (*step.what) json["what"] = step.what;
  if (step.kind == Kind::exchanges) json["gives"] = step.gives, json["takes"] = step.takes, json["from"] = step.from;
  if (step.kind == Kind::value) json["takes"] = step.takes;
  return json;
}

struct KernelChoice {
  const char *name, *title;
  void (*kernel)(float*, const float*, const float*, std::size_t, std::size_t);
  std::size_t rows, d, blocks, threads;
};
inline const std::vector<KernelChoice>& kernel_choices() {
  static const std::vector<KernelChoice> all = {
      {"thread", "one thread, one row", one_thread_one_row, 32, 16, 1, 32},
      {"warp", "one warp, one row", one_warp_one_row, 2, 128, 1, 64},
      {"block", "one block, one row", one_block_one_row<true>, 2, 256, 2, 64},
      {"race", "one block, one row, its barrier forgotten", one_block_one_row<false>, 2, 256, 2, 64},
  };
  return all;
}

/// Runs the kernel called "kernel" and tells everything its threads did; where the emulator found a fault, up to there.
inline Json kernel_reply(const Json& request) {
  JsonFields fields(request);
  std::string name;
  fields.read("kernel", name);
  fields.finish();
  const auto& all = kernel_choices();
  const auto found = std::find_if(all.begin(), all.end(), [&](const KernelChoice& c) { return c.name == name; });
  require(found != all.end(), "kernel \"", name, "\" is unknown");
  const Rows data(found->rows, found->d);
  Json steps = Json::array();
  const emulator::Watcher see = [&](const emulator::Step& step) { steps.push_back(to_json(step, data)); };
  const auto start = [&] {
    launch({found->name, found->blocks, found->threads}, found->kernel, data.y, static_cast<const float*>(data.x),
           static_cast<const float*>(data.weight), data.rows, data.d);
  };
  Json reply{{"rows", data.rows}, {"d", data.d}, {"blocks", found->blocks}, {"threads", found->threads}};
  try {
    emulator::GlobalTraffic traffic;
    emulator::watch(see, [&] { traffic = emulator::count_traffic(start); });
    const auto counted = [](const emulator::Traffic& t) {
      return Json{{"accesses", t.accesses}, {"sectors", t.sectors}, {"bytes", t.bytes}};
    };
    reply["loads"] = counted(traffic.loads), reply["stores"] = counted(traffic.stores);
  } catch (const Error& error) {
    reply["fault"] = error.what();
  }
  reply["x"] = std::vector<float>(data.x, data.x + data.rows * data.d);
  reply["y"] = std::vector<float>(data.y, data.y + data.rows * data.d);
  reply["steps"] = steps;
  return reply;
}
inline Json kernel_list() {
  Json list = Json::array();
  for (const KernelChoice& c : kernel_choices()) list.push_back({{"name", c.name}, {"title", c.title}});
  return list;
}

}  // namespace playground
