// The ten pictures of tutorial 00.
#pragma once

#include <string>
#include <vector>

#include "example.hpp"
#include "skipv1/plot/diagram.hpp"
#include "skipv1/plot/routing.hpp"
#include "skipv1/plot/rows.hpp"

namespace skipv1::whole_idea {

using namespace plot;

inline std::vector<std::string> texts(const Vector& v) { return {fixed(v[0], 0), fixed(v[1], 0)}; }
inline const char* const words[] = {"the", "cat", "sat"};

inline Drawing token_picture() {
  Diagram d(860, 210, "1. A token is a vector");
  for (std::size_t t = 0; t < 3; ++t) {
    const double left = 60 + 190 * static_cast<double>(t);
    d.box({left, 60, left + 88, 92}, words[t], white);
    d.arrow({left + 44, 94}, {left + 44, 124});
    d.cells({left, 126}, texts(tokens[t]), plain_colour);
    d.label({left + 44, 178}, "position " + std::to_string(t));
  }
  d.lines({590, 76}, {"An embedding table gives each", "token d numbers; here d = 2.", "Every layer reads such vectors",
                      "and adds to them."});
  return std::move(d.drawing());
}

inline Drawing attention_picture() {
  Diagram d(860, 320, "2. Attention: a mean of values, weighted by how well keys fit the query");
  const Attended a = attend();
  d.label({56, 76}, "key");
  d.label({56, 196}, "value");
  for (std::size_t s = 0; s < 3; ++s) {
    const double left = 100 + 150 * static_cast<double>(s);
    d.label({left + 44, 46}, words[s]);
    d.cells({left, 60}, texts(tokens[s]), key_colour);
    d.label({left + 44, 112}, "score " + fixed(a.score[s], 3));
    d.label({left + 44, 136}, "share " + fixed(a.share[s], 3));
    d.arrow({left + 44, 150}, {left + 44, 176});
    d.cells({left, 180}, texts(tokens[s]), value_colour);
    d.arrow({left + 44, 212}, {294, 250}, value_colour);
  }
  d.cells({250, 254}, {fixed(a.out[0], 3), fixed(a.out[1], 3)}, plain_colour);
  d.label({236, 269}, "output", Align::right);
  d.label({640, 46}, "query of \"sat\"");
  d.cells({596, 60}, texts(tokens[2]), query_colour);
  d.arrow({594, 75}, {494, 75}, query_colour);
  d.lines({560, 140}, {"score = query · key / √2", "share = its softmax", "output = sum of share × value"});
  return std::move(d.drawing());
}

inline Drawing cache_picture() {
  Diagram d(860, 300, "3. The cache: keys and values of all earlier tokens, in every layer");
  for (std::size_t l = 0; l < 3; ++l) {
    const double top = 216 - 72 * static_cast<double>(l);
    d.label({70, top + 26}, "layer " + std::to_string(l));
    for (std::size_t t = 0; t < 6; ++t) {
      const double left = 120 + 56 * static_cast<double>(t);
      d.box({left, top, left + 48, top + 24}, "K", key_colour);
      d.box({left, top + 27, left + 48, top + 51}, "V", value_colour);
    }
    d.dashed({460, top, 508, top + 51}, "new");
  }
  d.lines({550, 80}, {"A new token needs every earlier key", "and value, and no earlier query.", "Each token costs",
                      "2 × layers × heads × head width", "numbers: for 24 layers of width 1024", "49,152, or 96 KiB in bfloat16.",
                      "One sequence of 32,768 tokens: 3 GiB,", "read again for each new token."});
  return std::move(d.drawing());
}

inline Drawing phases_picture() {
  Diagram d(860, 300, "4. Prefill computes many rows at once, decoding one row at a time");
  const auto triangle = [&](double left, std::size_t from) {
    for (std::size_t t = 0; t < 6; ++t)
      for (std::size_t s = 0; s <= t; ++s) {
        const double across = left + 30 * static_cast<double>(s), down = 80 + 30 * static_cast<double>(t);
        t >= from ? d.box({across, down, across + 28, down + 28}, "", query_colour)
                  : d.dashed({across, down, across + 28, down + 28});
      }
  };
  triangle(60, 0);
  triangle(330, 5);
  d.label({150, 56}, "prefill: 6 queries");
  d.label({420, 56}, "decoding: 1 query");
  d.label({150, 276}, "keys →");
  d.label({420, 276}, "keys, from the cache →");
  d.lines({560, 96},
          {"Prefill: each key serves many queries;", "arithmetic is the bound.", "Decoding: each key and value is read",
           "for one query; memory is the bound.", "So what a token reads, not what it", "computes, sets its time."});
  return std::move(d.drawing());
}

inline Drawing copying_picture() {
  Diagram d(860, 310, "5. Copying a pair into a token of fixed width loses half of it");
  for (std::size_t i = 0; i < 2; ++i) {
    const double top = 70 + 110 * static_cast<double>(i);
    d.label({56, top + 15}, "pair " + std::to_string(i + 1));
    d.cells({100, top}, texts(x[i]), key_colour);
    d.label({144, top + 46}, "x");
    d.cells({210, top}, texts(y[i]), value_colour);
    d.label({254, top + 46}, "y = W x");
    d.arrow({306, top + 15}, {372, top + 15});
    d.box({380, top, 424, top + 30}, fixed(x[i][0], 0), key_colour);
    d.box({424, top, 468, top + 30}, fixed(y[i][0], 0), value_colour);
    d.label({424, top + 46}, "the first number of each");
  }
  const Vector seen = predict(1, 1);
  d.lines({560, 84}, {"A first layer writes a pair into the", "place of y, which is 2 numbers wide.",
                      "From Σ y xᵀ, 4 numbers, the next", "layer sees 1: 2 · 1 + 1 · 0 = 2.", "For the query (1, 1) it predicts",
                      "(" + fixed(seen[0], 0) + ", " + fixed(seen[1], 0) + ") instead of (3, 4)."});
  return std::move(d.drawing());
}

inline Drawing restored_picture() {
  Diagram d(860, 310, "6. The first layer's values bring the label back");
  for (std::size_t i = 0; i < 2; ++i) {
    const double top = 70 + 110 * static_cast<double>(i);
    d.label({60, top + 15}, "pair " + std::to_string(i + 1));
    d.cells({110, top}, texts(x[i]), key_colour);
    d.label({154, top + 46}, "all of x: key, in layer 1");
    d.cells({300, top}, texts(y[i]), first_colour);
    d.label({344, top + 46}, "raw y: value, of layer 0");
    d.label({250, top + 15}, "with");
  }
  const Vector one = predict(1, 2), all = predict(2, 2);
  d.lines({500, 84}, {"A head that reads layer 0's values has y", "uncompressed, and the room that y took",
                      "is free for x. All 4 numbers of Σ y xᵀ", "are seen, and the prediction is",
                      "(" + fixed(all[0], 0) + ", " + fixed(all[1], 0) + "), one full gradient step.",
                      "With x's first numbers alone: (" + fixed(one[0], 0) + ", " + fixed(one[1], 0) + ")."});
  return std::move(d.drawing());
}

inline Drawing table_picture(const Routing& skipv1) {
  const Drawing table = routing_picture(skipv1, "SkipV1");
  Diagram d(860, 90 + table.height(), "7. A variant is a routing table");
  d.drawing().paste(table, {20, 48});
  d.lines({520, 110}, {"Cell (l, h): which layer.head query", "head h of layer l reads. An orange",
                       "frame: another layer's head.", "A layer computes and keeps only the",
                       "heads that some cell names as its own.", "MHA, GQA, YOCO, CLA are other tables."});
  return std::move(d.drawing());
}

inline Drawing smaller_picture(const Routing& skipv1) {
  Diagram d(860, 300, "8. The cache is almost a quarter smaller");
  for (std::size_t l = 0; l < 4; ++l) {
    const double top = 210 - 50 * static_cast<double>(l);
    d.label({70, top + 18}, "layer " + std::to_string(l));
    for (std::size_t h = 0; h < 4; ++h) {
      const double key = 120 + 46 * static_cast<double>(h), value = 330 + 46 * static_cast<double>(h);
      d.box({key, top, key + 42, top + 36}, "K", key_colour);
      const Box place{value, top, value + 42, top + 36};
      if (h < skipv1.owned_values[l]) {
        d.box(place, "V", l == 0 && h >= 2 ? first_colour : value_colour);
      } else {
        d.dashed(place);
      }
    }
  }
  d.lines({540, 84},
          {"Of 2 · L · H heads, (L - 1) · H / 2", "need not be kept. L = 4: 26 of 32 stay,",
           "81 %; L = 24: 76 %; with L → ∞: 75 %.", "v_proj of later layers has half of the", "rows: fewer parameters, too."});
  return std::move(d.drawing());
}

inline Drawing kernel_picture() {
  Diagram d(860, 330, "9. The kernel reads heads where they lie");
  d.label({220, 56}, "by concatenation");
  d.box({40, 80, 190, 116}, "own values, layer l", value_colour);
  d.box({250, 80, 400, 116}, "values of layer 0", first_colour);
  d.arrow({115, 118}, {180, 158});
  d.arrow({325, 118}, {260, 158});
  d.box({100, 160, 220, 196}, "own", value_colour);
  d.box({220, 160, 340, 196}, "layer 0", first_colour);
  d.arrow({220, 198}, {220, 238});
  d.box({140, 240, 300, 276}, "attention");
  d.label({220, 300}, "values move three times: read, written, read");
  d.label({640, 56}, "in place");
  d.box({480, 80, 630, 116}, "own values, layer l", value_colour);
  d.box({680, 80, 830, 116}, "values of layer 0", first_colour);
  d.arrow({555, 118}, {620, 236});
  d.arrow({755, 118}, {680, 236});
  d.box({560, 240, 740, 276}, "attention, a pointer per head");
  d.label({650, 300}, "values move once");
  return std::move(d.drawing());
}

/// Differences that docs/results/README.md reports.
inline Drawing results_picture() {
  RowChart chart{
      "10. What is gained, and where not: SkipV1's held-out loss minus MHA's (left of the line SkipV1 is better)",
      "nats per token; n seeds: their mean; whiskers: its 95 % interval; small dots: single seeds",
      {"42M parameters, text read once, n = 5", "10M parameters, text read once, n = 5", "110M parameters, text read once, n = 5",
       "42M, three times the text, read once, n = 5", "42M, six times the text, read once, n = 5", "42M, text read twice, n = 3",
       "42M, text read four times, n = 3", "42M, text read eight times, n = 3", "14M on bytes, n = 2"},
      {{"", {-0.109, -0.112, -0.112, -0.075, -0.025, -0.086, -0.057, 0.193, (0.008 - 0.012) / 2}}}};
  chart.kind = RowChart::Kind::dots;
  chart.references = {0};
  chart.width = 860;
  RowValues& v = chart.values[0];
  const double none = std::nan("");
  v.low = {-0.116, -0.127, -0.118, -0.091, -0.037, -0.097, -0.074, 0.142, none},
  v.high = {-0.102, -0.097, -0.106, -0.060, -0.014, -0.075, -0.039, 0.244, none};
  v.points = {{}, {}, {}, {}, {}, {}, {}, {}, {0.008, -0.012}};
  v.texts = {"- 0.109", "- 0.112", "- 0.112", "- 0.075", "- 0.025", "- 0.086", "- 0.057", "+ 0.193", "+ 0.008, - 0.012"};
  return describe(chart);
}

}  // namespace skipv1::whole_idea
