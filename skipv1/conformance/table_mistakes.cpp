#include <cmath>
#include <functional>

#include "skipv1/conformance/mistake_lists.hpp"

namespace skipv1::conformance {

namespace {

/// Changes what slot h of layer l reads, in place.
using Slot = std::function<void(std::size_t l, std::size_t h, HeadName&)>;
/// Reorders what a layer reads.
using Row = std::function<void(std::size_t l, std::vector<HeadName>&)>;
enum class Of { keys, values };

class Tables {
 public:
  explicit Tables(const Config& config) : shape_(config.routing_shape()), right_(make_routing(config)) {
    for (const HeadName& name : right_.keys) shares_keys_ |= name.layer != layer_of(name, right_.keys);
  }

  /// A mistake of rows; where keys are shared, too, of keys and values or of one of the two.
  void rows(const std::string& words, const Row& change) {
    if (shares_keys_) return rows_of_either(words, change);
    add(words, {Of::keys, Of::values}, change);
  }
  void rows_of_either(const std::string& words, const Row& change) {
    add(words, {Of::keys, Of::values}, change);
    add(words + " (of values alone)", {Of::values}, change);
    add(words + " (of keys alone)", {Of::keys}, change);
  }
  void slots(const std::string& words, const Slot& change) {
    rows(words, [change](std::size_t l, std::vector<HeadName>& row) {
      for (std::size_t h = 0; h < row.size(); ++h) change(l, h, row[h]);
    });
  }
  /// A mistake of values.
  void values(const std::string& words, const Slot& change) {
    add(words, {Of::values}, [change](std::size_t l, std::vector<HeadName>& row) {
      for (std::size_t h = 0; h < row.size(); ++h) change(l, h, row[h]);
    });
  }
  void table(const std::string& words, const std::function<void(Routing&)>& change) { all_.push_back({words, change}); }

  bool shares_keys() const { return shares_keys_; }
  const RoutingShape& shape() const { return shape_; }
  const Routing& right() const { return right_; }
  std::vector<TableMistake> take() { return std::move(all_); }

 private:
  std::size_t layer_of(const HeadName& name, const std::vector<HeadName>& table) const {
    return static_cast<std::size_t>(&name - table.data()) / right_.heads;
  }
  void add(const std::string& words, std::vector<Of> parts, const Row& change) {
    all_.push_back({words, [=](Routing& routing) {
                      for (const Of part : parts) {
                        std::vector<HeadName>& reads = part == Of::keys ? routing.keys : routing.values;
                        const std::vector<std::size_t>& owned = part == Of::keys ? routing.owned_keys : routing.owned_values;
                        for (std::size_t l = 0; l < routing.layers; ++l) change_row(l, reads, owned, routing.heads, change);
                      }
                    }});
  }
  static void change_row(std::size_t l, std::vector<HeadName>& reads, const std::vector<std::size_t>& owned, std::size_t heads,
                         const Row& change) {
    const auto begin = reads.begin() + static_cast<std::ptrdiff_t>(l * heads);
    std::vector<HeadName> row(begin, begin + static_cast<std::ptrdiff_t>(heads));
    change(l, row);
    for (const HeadName& name : row) {
      require(name.none() || (name.layer <= l && name.head < owned[name.layer]), "no such head");
      require(!name.pooled() || name.other < owned[name.layer], "no such head");
    }
    std::copy(row.begin(), row.end(), begin);
  }

  RoutingShape shape_;
  Routing right_;
  bool shares_keys_ = false;
  std::vector<TableMistake> all_;
};

bool earlier(std::size_t l, const HeadName& name) { return !name.none() && name.layer < l; }

void add_sharing(Tables& t) {
  const std::size_t layers = t.shape().layers;
  t.rows("the wrong half is reused: the source layer's first heads instead of its last",
         [](std::size_t l, std::vector<HeadName>& row) {
           std::size_t least = no_head;
           for (const HeadName& name : row)
             if (earlier(l, name)) least = std::min(least, name.head);
           for (HeadName& name : row)
             if (earlier(l, name)) name.head -= least;
         });
  t.rows("shared heads are read in reversed order", [](std::size_t l, std::vector<HeadName>& row) {
    std::size_t least = no_head, most = 0;
    for (const HeadName& name : row)
      if (earlier(l, name)) least = std::min(least, name.head), most = std::max(most, name.head);
    for (HeadName& name : row)
      if (earlier(l, name)) name.head = least + most - name.head;
  });
  t.slots("shared heads are read one layer too early", [](std::size_t l, std::size_t, HeadName& name) {
    if (earlier(l, name) && name.layer > 0) --name.layer;
  });
  t.slots("shared heads are read one layer too late", [](std::size_t l, std::size_t, HeadName& name) {
    if (earlier(l, name)) ++name.layer;
  });
  t.slots("layer 0 is the source of all shared heads", [](std::size_t l, std::size_t, HeadName& name) {
    if (earlier(l, name)) name.layer = 0;
  });
  t.slots("shared heads are the layer's before", [](std::size_t l, std::size_t, HeadName& name) {
    if (earlier(l, name)) name.layer = l - 1;
  });
  t.slots("the last layer of an odd number reads the pair before it", [layers](std::size_t l, std::size_t, HeadName& name) {
    if (layers % 2 == 1 && l + 1 == layers && l >= 2) name.layer = l - 2;
  });
  t.table("keys are shared where only values are", [](Routing& routing) {
    for (std::size_t i = 0; i < routing.keys.size(); ++i) {
      const HeadName& value = routing.values[i];
      if (value.none() || value.pooled() || value.layer == i / routing.heads) continue;
      require(value.head < routing.owned_keys[value.layer], "no such head");
      routing.keys[i] = value;
    }
  });
}

void add_groups(Tables& t) {
  const RoutingShape s = t.shape();
  t.rows_of_either("query head h reads group h mod H_kv instead of floor(h H_kv / H)",
                   [s](std::size_t, std::vector<HeadName>& row) {
                     const std::vector<HeadName> right = row;
                     for (std::size_t h = 0; h < row.size(); ++h) row[h] = right[h % s.kv_heads * (s.heads / s.kv_heads)];
                   });
  t.slots("keys and values are read at the query head's own index, up to the last group",
          [s](std::size_t, std::size_t h, HeadName& name) {
            if (!name.none()) name.head = std::min(h, s.kv_heads - 1);
          });
  t.rows("reused heads stand before a layer's own instead of after them", [](std::size_t l, std::vector<HeadName>& row) {
    std::stable_partition(row.begin(), row.end(), [&](const HeadName& name) { return earlier(l, name); });
  });
}

void add_skipping(Tables& t) {
  const RoutingShape s = t.shape();
  const std::size_t own = s.own();
  if (own > 0)
    t.slots("skipped slots repeat the layer's own heads", [s, own](std::size_t l, std::size_t h, HeadName& name) {
      if (earlier(l, name)) name = {l, (s.group(h) - own) % own};
    });
  if (own < s.kv_heads) {
    const std::vector<std::size_t> owned = t.right().owned_values;
    t.values("layer 1 is the source of all shared values, its heads repeated where it owns fewer",
             [owned](std::size_t l, std::size_t, HeadName& name) {
               if (!earlier(l, name) || l < 2) return;
               require(owned[1] > 0, "no such head");
               name.layer = 1, name.head %= owned[1];
               if (name.pooled()) name.other %= owned[1];
             });
  }
  t.values("skipped slots are zero, as in SkipV0", [](std::size_t l, std::size_t, HeadName& name) {
    if (earlier(l, name)) name = HeadName{};
  });
  t.values("SkipV0 reuses layer 0's heads", [s](std::size_t, std::size_t h, HeadName& name) {
    if (name.none()) name = {0, s.group(h)};
  });
  if (own < s.kv_heads) {
    const std::size_t skipped = s.kv_heads - own, begin = own * (s.heads / s.kv_heads);  // of the slots
    const auto in_turn = [=](std::size_t from) {
      return [=](std::size_t l, std::size_t h, HeadName& name) {
        if (earlier(l, name)) name.head = own + (h + from) % skipped;
      };
    };
    t.values("reused heads are repeated in turn instead of group by group (repeat for repeat_interleave)",
             in_turn(skipped - begin % skipped));
    if (begin % skipped != 0)
      t.values("reused heads are repeated in turn, by the query head's index, instead of group by group", in_turn(0));
  }
  t.values("the ratio counts query heads, after grouping", [s](std::size_t l, std::size_t h, HeadName& name) {
    const double skipped = std::ceil(s.skip_ratio * static_cast<double>(s.heads) - 0.5 - 1e-9);
    if (l > s.source_layer && static_cast<double>(h + 1) > static_cast<double>(s.heads) - skipped)
      name = {s.source_layer, s.group(h)};
  });
}

/// The injections (docs/spec/models.md, "Injections"), each with its typical mistakes.
void add_injections(Tables& t) {
  const RoutingShape s = t.shape();
  const std::size_t own = s.own(), heads = s.heads;
  const auto skipped = [](const Slot& change) {
    return [change](std::size_t l, std::size_t h, HeadName& name) {
      if (earlier(l, name)) change(l, h, name);
    };
  };
  if (s.injection == Injection::dynamic) {
    t.values("the injection counts layers from 1",
             skipped([=](std::size_t l, std::size_t h, HeadName& name) { name.head = (l + 1 + h - own) % heads; }));
    t.values("heads rotate the other way",
             skipped([=](std::size_t l, std::size_t h, HeadName& name) { name.head = (h - own + l * heads - l) % heads; }));
    t.values("heads rotate from H_own on instead of from 0",
             skipped([=](std::size_t l, std::size_t h, HeadName& name) { name.head = (h + l) % heads; }));
  }
  if (s.injection == Injection::odd_even)
    t.values("the injection counts layers from 1",
             skipped([=](std::size_t l, std::size_t h, HeadName& name) { name.head = l % 2 == 1 ? h - own : h; }));
  if (s.injection == Injection::pooling)
    t.values("heads 2j and 2j + 1 are pooled instead of j and H_own + j",
             skipped([=](std::size_t, std::size_t h, HeadName& name) { name.head = 2 * (h - own), name.other = name.head + 1; }));
  if (s.injection == Injection::pooling && heads % 2 == 1)
    t.values("heads j and j + H // 2 are pooled instead of j and H_own + j",
             skipped([=](std::size_t, std::size_t h, HeadName& name) { name.head = h - own, name.other = h - own + heads / 2; }));
}

/// The ratio rounded otherwise: one more head is skipped.
void add_ratios(Tables& t, const Config& config) {
  const RoutingShape s = t.shape();
  if (!config.variant().fields.skip_ratio) return;
  if (s.own() == 0) return;
  const std::size_t last = s.own() - 1;
  const bool zeros = std::any_of(t.right().values.begin(), t.right().values.end(), [](const HeadName& x) { return x.none(); });
  const Slot one_more = [=](std::size_t l, std::size_t h, HeadName& name) {
    if (l <= s.source_layer || s.group(h) != last || name.layer != l) return;
    name = zeros ? HeadName{} : HeadName{s.source_layer, last};
  };
  const char* words = "the number of skipped heads is rounded up: one more is skipped";
  if (t.shares_keys())
    t.slots(words, one_more);
  else
    t.values(words, one_more);
}

}  // namespace

std::vector<TableMistake> table_mistakes(const Config& config) {
  if (config.latent()) return {};
  Tables t(config);
  add_sharing(t);
  add_groups(t);
  add_skipping(t);
  add_injections(t);
  add_ratios(t, config);
  return t.take();
}

}  // namespace skipv1::conformance
