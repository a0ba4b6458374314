// Tutorial 00: from nothing to SkipV1 in ten pictures, with an example small enough for paper, whose numbers are printed.
#include <cstdio>
#include <filesystem>

#include "pictures.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"

using namespace skipv1;
using namespace skipv1::whole_idea;

namespace {

Routing table_of(const char* variant, std::size_t layers, std::size_t heads) {
  return find_variant(variant).route(RoutingShape{layers, heads, heads, 0.5, 0, Injection::second_half});
}

void print_attention() {
  std::printf("Attention of the third of three tokens, d = 2\n");
  const Attended a = attend();
  for (std::size_t s = 0; s < 3; ++s)
    std::printf("  token %zu  key = value = (%.0f, %.0f)  score %.4f  share %.4f\n", s, tokens[s][0], tokens[s][1], a.score[s],
                a.share[s]);
  std::printf("  output (%.4f, %.4f)\n\n", a.out[0], a.out[1]);
}

void print_copying() {
  std::printf("Two pairs y = W x and the query (1, 1), in tokens of two numbers\n");
  struct Row {
    const char* what;
    std::size_t a, b;
  };
  for (const Row& row : {Row{"MHA: the first number of x and of y were copied", 1, 1},
                         {"SkipV1: x's first as key, layer 0's y as value", 1, 2},
                         {"SkipV1: all of x as key, layer 0's y as value", 2, 2}}) {
    const Vector out = predict(row.a, row.b);
    std::printf("  %-48s finds %zu of W's 4 numbers, predicts (%.0f, %.0f), squared error %.0f\n", row.what, row.a * row.b,
                out[0], out[1], error(out));
  }
  std::printf("\n");
}

void print_caches() {
  std::printf("Cached heads per token, keys and values\n");
  for (const std::size_t layers : {2, 4, 24}) {
    const std::size_t heads = layers == 2 ? 2 : layers == 4 ? 4 : 16;
    std::size_t kept[2] = {0, 0};
    for (const int skip : {0, 1}) {
      const Routing table = table_of(skip ? "skipv1" : "mha", layers, heads);
      for (std::size_t l = 0; l < layers; ++l) kept[skip] += table.owned_keys[l] + table.owned_values[l];
    }
    std::printf("  %2zu layers of %2zu heads: MHA %3zu, SkipV1 %3zu, %.2f %%\n", layers, heads, kept[0], kept[1],
                100 * static_cast<double>(kept[1]) / static_cast<double>(kept[0]));
  }
}

void draw(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const Routing skipv1 = table_of("skipv1", 4, 4);
  save_figure(folder / "01-token.png", token_picture());
  save_figure(folder / "02-attention.png", attention_picture());
  save_figure(folder / "03-cache.png", cache_picture());
  save_figure(folder / "04-phases.png", phases_picture());
  save_figure(folder / "05-copying.png", copying_picture());
  save_figure(folder / "06-restored.png", restored_picture());
  save_figure(folder / "07-table.png", table_picture(skipv1));
  save_figure(folder / "08-smaller.png", smaller_picture(skipv1));
  save_figure(folder / "09-kernel.png", kernel_picture());
  save_figure(folder / "10-results.png", results_picture());
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "From nothing to SkipV1 in ten pictures: the example's numbers, and the pictures.\nExample: 00-the-whole-idea --figures "
      "figures"};
  std::string figures;
  app.add_option("--figures", figures, "draw the ten pictures into this folder, as PNG and SVG");
  return run_program(app, argc, argv, [&] {
    if (!figures.empty()) require_writable_folder(figures);
    print_attention();
    print_copying();
    print_caches();
    if (!figures.empty()) draw(figures);
  });
}
