// What the playground's page computes, as a program: without options the numbers that README.md shows; with --requests everything
// that a page may ask, one JSON object per line, answered line by line. The tests hold WebAssembly's answers against these.
#include <cstdio>
#include <sstream>

#include "skipv1/io/cli.hpp"
#include "answers.hpp"
#include "kernel_part.hpp"
#include "reply.hpp"

using namespace skipv1;

namespace {

Json answer(playground::Answers& answers, const std::string& name, const Json& request) {
  if (name == "kernels") return playground::kernel_list();
  if (name == "kernel") return playground::kernel_reply(request);
  return answers(name, request);
}

void show_routing(playground::Answers& answers, const Json& config) {
  for (const char* variant : {"mha", "skipv1", "skipkv1", "yoco"}) {
    Json own = config;
    own["attention"] = {{"variant", variant}};
    const Json r = answers("routing", {{"config", own}, {"bytes", 2u}});
    std::printf("%-8s %4zu bytes per token in bf16, %zu parameters\n", variant, r["bytes_per_token"].get<std::size_t>(),
                r["parameters"].get<std::size_t>());
  }
}

void show_text(playground::Answers& answers) {
  const std::string prompt = "And the king said unto ";
  Json bytes = Json::array();
  for (const char c : prompt) bytes.push_back(static_cast<unsigned char>(c));
  answers("prompt", {{"prompt", bytes}, {"temperature", 0}, {"top_p", 1}, {"seed", 1u}});
  std::string text = prompt;
  Json last;
  for (int i = 0; i < 60; ++i) {
    last = answers("next", Json::object());
    text += static_cast<char>(last["byte"].get<int>());
  }
  std::printf("\n%s\ncaches after %zu bytes of text, in f32: SkipV1 %zu bytes, MHA %zu bytes\n", text.c_str(),
              last["length"].get<std::size_t>(), last["cache_bytes"].get<std::size_t>(),
              last["mha_cache_bytes"].get<std::size_t>());
}

void show_race(playground::Answers& answers) {
  const Json about = answers("race", {{"width", 6u}, {"seed", 1u}, {"steps", 1500u}});
  std::printf("\none step %.4f, MHA by tutorial 04 %.4f\n", about["one_step"].get<double>(), about["mha_bound"].get<double>());
  const Json losses = answers("steps", {{"count", 20u}})["losses"];
  std::printf("losses of step 20: MHA %.6f, SkipV1 %.6f\n", losses[0][19].get<double>(), losses[1][19].get<double>());
}

void show_kernels() {
  std::printf("\n");
  for (const playground::KernelChoice& choice : playground::kernel_choices()) {
    const Json r = playground::kernel_reply({{"kernel", choice.name}});
    std::printf("%s: %zu steps", choice.title, r["steps"].size());
    if (r.contains("fault"))
      std::printf("\n  %s\n", r["fault"].get<std::string>().c_str());
    else
      std::printf(", %zu loads of a warp touch %zu sectors and use %zu bytes of them\n",
                  r["loads"]["accesses"].get<std::size_t>(), r["loads"]["sectors"].get<std::size_t>(),
                  r["loads"]["bytes"].get<std::size_t>());
  }
}

void answer_lines(playground::Answers& answers, const std::string& file) {
  Source source{std::filesystem::path(file)};
  std::istringstream in(source.text(0, source.size()));
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const std::string reply =
        playground::reply_to(line, [&](const std::string& name, const Json& request) { return answer(answers, name, request); });
    std::printf("%s\n", reply.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "The playground's numbers: a routing table's cache, a text continued, two models trained, a kernel's steps.\n"
      "Example: 12-in-the-browser --model data/king-james"};
  std::string model = "data/king-james", requests;
  app.add_option("--model", model, "checkpoint of a model of bytes")->capture_default_str();
  app.add_option("--requests", requests, "answer this file's requests instead, one JSON object per line");
  return run_program(app, argc, argv, [&] {
    playground::Answers answers(model);
    if (!requests.empty()) return answer_lines(answers, requests);
    show_routing(answers, answers("model", Json::object())["config"]);
    show_text(answers);
    show_race(answers);
    show_kernels();
  });
}
