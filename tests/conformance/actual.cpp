// What another implementation wrote: every file and tensor is compared or named, in any form in which people store it.
#include "skipv1/conformance/actual.hpp"

#include <cmath>
#include <map>

#include "skipv1/conformance/gradients.hpp"
#include "skipv1/conformance/json_file.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/conformance/narrow_numbers.hpp"
#include "skipv1/conformance/report.hpp"
#include "skipv1/core/bfloat16.hpp"
#include "skipv1/io/npy.hpp"
#include "tests/catch.hpp"
#include "tests/conformance/case_folder.hpp"

using namespace skipv1;
using namespace skipv1::conformance;
using namespace skipv1::testing;

namespace {

bool all_pass(const std::vector<Comparison>& all) {
  return std::all_of(all.begin(), all.end(), [](const Comparison& x) { return x.pass; });
}

double to_bfloat16(double x) { return static_cast<double>(bfloat16(x)); }
/// Of numbers that are neither tiny nor huge.
double to_float16(double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(x, 11 - exponent)), exponent - 11);
}

}  // namespace

TEST_CASE("gradients that are not there are named where what was compared is listed") {
  const auto gradient = [](const char* name, const char* note) {
    Comparison x{"gradients", name, 0, 1, note[0] == 0};
    x.note = note;
    return x;
  };
  std::vector<Comparison> all = {Comparison{"logits", "logits"}, gradient("a", ""), gradient("b", is_missing), gradient("c", "")};
  CHECK(list_compared(all) == "logits, 2 of 3 gradients (missing: b)");
  all.push_back(gradient("d", is_missing)), all.push_back(gradient("e", is_missing));
  CHECK(list_compared(all) == "logits, 2 of 5 gradients (missing: b and 2 more)");
}

TEST_CASE("gradients are compared in the order of the backward pass") {
  const auto at = [](const std::vector<std::string>& order, const std::string& name) {
    const auto found = std::find(order.begin(), order.end(), name);
    REQUIRE(found != order.end());
    return found - order.begin();
  };
  for (const char* variant : {"skipv1", "denseformer", "mla", "resformer"}) {
    Config c = small(variant, 4, false);
    c.attention.kv_latent_size = 8, c.attention.rotary_size = 2;
    c.attention.learn_value_mix = c.attention.variant == "resformer";
    if (!c.latent()) c.attention.kv_latent_size = c.attention.rotary_size = 0;
    const ParameterLayout layout(c);
    const std::vector<std::string> order = backward_order(layout);
    CHECK(order.size() == layout.entries().size());
    const std::string first = "model.layers.0.", second = "model.layers.1.";
    std::vector<std::string> expected = {"lm_head.weight",
                                         "model.norm.weight",
                                         second + "mlp.down_proj.weight",
                                         second + "mlp.up_proj.weight",
                                         second + "self_attn.o_proj.weight",
                                         second + "self_attn.q_proj.weight",
                                         second + "input_layernorm.weight",
                                         first + "mlp.down_proj.weight",
                                         first + "self_attn.q_proj.weight",
                                         first + "input_layernorm.weight",
                                         "model.embed_tokens.weight"};
    if (c.mixing().depth) {
      expected.insert(expected.begin() + 2, "model.depth_weights.1");
      expected.insert(expected.begin() + 8, "model.depth_weights.0");
    } else if (c.latent()) {
      expected.insert(expected.begin() + 5, second + "self_attn.kv_down_proj.weight");
      expected.insert(expected.begin() + 5, second + "self_attn.v_up_proj.weight");
    } else {
      expected.insert(expected.begin() + 5, second + "self_attn.v_proj.weight");
    }
    for (std::size_t i = 0; i + 1 < expected.size(); ++i) {
      INFO(variant << ": " << expected[i] << " before " << expected[i + 1]);
      CHECK(at(order, expected[i]) < at(order, expected[i + 1]));
    }
  }
}

TEST_CASE("values detached from layer 0 are found at its v_proj, where the forward pass holds") {
  const CaseFolder s;
  write_npy<double>(s.actual / "logits.npy", s.c.logits);
  s.write_gradients([](const Parameters<double>& g) {
    for (const char* name :
         {"model.layers.0.self_attn.v_proj.weight", "model.layers.0.input_layernorm.weight", "model.embed_tokens.weight"})
      g[name].data()[0] += 1;
  });
  CHECK(first_difference(s.compare())
            .starts_with("the forward pass holds; gradients first differ at model.layers.0.self_attn.v_proj.weight, first at "));
  std::filesystem::remove(s.actual / "logits.npy");
  CHECK(first_difference(s.compare()).starts_with("nothing of the forward pass was compared; gradients first differ at "));
}

TEST_CASE("gradients that are all the expected ones times one factor are said to be that, with the factor") {
  const CaseFolder s;
  write_npy<double>(s.actual / "logits.npy", s.c.logits);
  const auto said = [&](double factor, double change) {
    s.write_gradients([&](const Parameters<double>& g) {
      for (std::size_t i = 0; i < g.flat().size(); ++i) g.flat().data()[i] *= factor;
      g.flat().data()[0] += change;
    });
    std::vector<Comparison> all = s.compare();
    recognise_actual(s.c, s.actual, all);
    return first_difference(all);
  };
  const std::string all = "the forward pass holds; all gradients are ";
  const std::string end = " times the expected ones: clipped? divided by another number of targets?";
  CHECK(said(0.034, 0) == all + "0.034" + end);
  CHECK(said(1.002, 0) == all + "1.002" + end);
  CHECK(said(-1, 0) == all + "-1 times the expected ones: of minus the loss?");
  CHECK(said(1.0001, 0).starts_with("the forward pass holds; gradients first differ at "));
  CHECK(said(1, 0).empty());
  CHECK(said(0.034, 1).starts_with("the forward pass holds; gradients first differ at "));
  CHECK(said(0, 0).starts_with("the forward pass holds; gradients first differ at "));
}

TEST_CASE("a file, tensor or key that belongs to nothing is refused by its name") {
  const CaseFolder s;
  write_npy<double>(s.actual / "logits.npy", s.c.logits);
  REQUIRE(all_pass(s.compare()));
  for (const char* name : {"layer_1.values.npy", "layer9.keys.npy", "layer1.queries.npy", "logits.pt", "loss.txt"}) {
    write_npy<double>(s.actual / name, s.c.logits);
    CHECK_THAT(s.error(), Catch::Contains(std::string("belongs to nothing that is compared: ") + name + ';'));
    std::filesystem::remove(s.actual / name);
  }
  std::filesystem::create_directory(s.actual / "layer0");
  CHECK_THAT(s.error(), Catch::Contains("compared: layer0 (a folder);"));
  std::filesystem::remove(s.actual / "layer0");
  std::filesystem::remove(s.actual / "logits.npy");
  std::filesystem::create_directory(s.actual / "logits.npy");
  CHECK_THAT(s.error(), Catch::Contains("compared: logits.npy (a folder);"));
  std::filesystem::remove(s.actual / "logits.npy");
  for (const char* type : {"<i4", "<f16"}) {  // the same types are asked for whichever is found
    const std::string header = "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (0,), }";
    write(s.actual / "logits.npy", std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header);
    CHECK_THAT(s.error(), Catch::EndsWith("elements are '" + std::string(type) + "': expected '<f2', '<f4' or '<f8'"));
  }
  write_npy<double>(s.actual / "logits.npy", s.c.logits);
  write(s.actual / "actual.npz", "PK");
  CHECK_THAT(s.error(), Catch::Contains("actual.npz: archives are not read: np.save each array"));
  std::filesystem::remove(s.actual / "actual.npz");
  write(s.actual / "expected.json", R"({"loss": 1, "perplexity": 2})");
  CHECK_THAT(s.error(), Catch::Contains("\"perplexity\" is not a key that is known here"));
  std::filesystem::remove(s.actual / "expected.json");
  write_safetensors<double>(s.actual / "actual.safetensors", {{"layer1.value", s.c.logits}});
  CHECK_THAT(s.error(), Catch::Contains("tensor \"layer1.value\" belongs to nothing that is compared"));
  write_safetensors<double>(s.actual / "actual.safetensors", {{"logits", s.c.logits}});
  CHECK_THAT(s.error(), Catch::Contains("logits is there twice"));
  std::filesystem::remove(s.actual / "actual.safetensors");
  write_npy<std::int32_t>(s.actual / "tokens.npy", s.c.targets);
  const auto line = [&](const std::string& name) {
    return (s.actual / (name + ".npy")).string() + ": is not the case's own: the results beside it are of something else " +
           "(skipv1-run: --" + name + ' ' + (s.c.folder / (name + ".npy")).string() + ")";
  };
  CHECK(s.error() == line("tokens"));
  std::filesystem::remove(s.actual / "tokens.npy");
  write_npy<std::int32_t>(s.actual / "targets.npy", s.c.tokens);  // as of skipv1-run without --targets
  CHECK(s.error() == line("targets"));
}

TEST_CASE("a case's own results are not held against themselves; a copy's equal bits are") {
  const CaseFolder s;
  std::filesystem::copy(s.c.folder, s.actual);
  CHECK(all_pass(s.compare()));
  const std::string why = ", which would be held against itself: must ";
  for (const char* name : {"logits.npy", "grads.safetensors", "expected.json"}) {
    std::filesystem::rename(s.actual / name, s.folder / "kept");
    std::filesystem::create_hard_link(s.c.folder / name, s.actual / name);
    CHECK(s.error() ==
          (s.actual / name).string() + ": is the case's own " + name + why + "be what another implementation computed");
    std::filesystem::remove(s.actual / name);
    std::filesystem::rename(s.folder / "kept", s.actual / name);
  }
  for (const char* name : {"tokens.npy", "config.json", "model.safetensors"}) {  // what was read, not what was computed
    std::filesystem::remove(s.actual / name);
    std::filesystem::create_hard_link(s.c.folder / name, s.actual / name);
  }
  CHECK(all_pass(s.compare()));
  CHECK(error_of([&] { compare_actual(s.c, s.c.folder / ".", ""); }) ==
        (s.c.folder / ".").string() + ": is the case itself" + why + "be a folder of what another implementation computed");
}

TEST_CASE("of logits that are not finite no mistake is named, nor of the loss that follows from them") {
  const CaseFolder s;
  Tensor<double> logits(s.c.logits.shape());
  copy(View<double>(logits), View<double>(s.c.logits));
  const auto compared = [&] {
    write_npy<double>(s.actual / "logits.npy", logits);
    std::vector<Comparison> all = s.compare();
    recognise_actual(s.c, s.actual, all);
    REQUIRE(all.size() == 2);
    return all;
  };
  write(s.actual / "expected.json", json_text({{"loss", s.c.loss / std::log(2.0)}}));
  CHECK(compared()[1].mistakes == std::vector<std::string>{"the loss is in bits instead of nats"});
  logits(0, 4, 2) = logits(1, 0, 0) = NAN;
  CHECK_THAT(compared()[0].note, Catch::StartsWith("2 of 132 are not finite, first at [b=0, t=4, v=2]: "));
  for (const Comparison& x : compared()) CHECK(x.mistakes.empty());
}

TEST_CASE("a loss that is not finite, as Python's json writes it, differs") {
  const CaseFolder s;
  for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
    write(s.actual / "expected.json", std::string(R"({"loss": )") + word + "}");
    const std::vector<Comparison> all = s.compare();
    REQUIRE(all.size() == 1);
    CHECK_FALSE(all[0].pass);
    CHECK_THAT(all[0].note, Catch::Contains(word[0] == 'N' ? "actual nan" : word[0] == 'I' ? "actual inf" : "actual -inf"));
  }
  write(s.actual / "expected.json", R"({"NaN\" NaN": 1})");
  CHECK_THAT(s.error(), Catch::Contains("is not a key that is known here"));
  write(s.actual / "expected.json", R"({"loss": nan})");
  CHECK_THAT(s.error(), Catch::Contains("not JSON"));
}

TEMPLATE_TEST_CASE("one actual.safetensors holds everything, in any float type", "", double, float, bfloat16) {
  const CaseFolder s;
  std::vector<NamedTensor<double>> tensors = named_tensors(s.c.gradients);
  const std::vector<std::pair<std::string, Tensor<double>>> stages = trace(s.c);
  for (const auto& [name, x] : stages) tensors.push_back({name, x});
  tensors.push_back({"logits", s.c.logits});
  tensors.push_back({"loss", {&s.c.loss, {}}});
  for (NamedTensor<double>& x : tensors)
    if (x.name.starts_with("model.")) x.name = "module." + x.name;
  write_safetensors(s.actual / "actual.safetensors", tensors, dtype_of<TestType>());
  const std::vector<Comparison> all = s.compare();
  CHECK(all_pass(all));
  CHECK(all.size() == tensors.size());
  CHECK(list_compared(all) == std::to_string(stages.size()) + " trace tensors, logits, loss, " +
                                  std::to_string(s.c.gradients.layout().entries().size()) + " gradients");
  const double bound = all[0].bound;
  CHECK(bound == (sizeof(TestType) == 8 ? 1e-12 : s.c.bounds.find(sizeof(TestType) == 4 ? "f32" : "bf16", "trace", "embedding")));
  CHECK(s.compare("f32")[0].bound == s.c.bounds.find("f32", "trace", "embedding"));
}

TEST_CASE("each tensor of the trace lies where the pass has it") {
  Config config = small("skipv1", 2, true);
  for (const bool gpt2 : {false, true}) {
    config.architecture = gpt2 ? Architecture::gpt2 : Architecture::llama;
    const CaseFolder s(config);
    std::map<std::string, Tensor<double>> x;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : trace(s.c)) x.emplace(name, tensor), names.push_back(name);
    CHECK(names == trace_names(config));
    const auto same = [&](const std::string& a, const std::string& b) {
      return testing::same_bits(x.at(a).data(), x.at(b).data(), x.at(a).size());
    };
    CHECK(same("embedding", "layer0.input"));
    CHECK(same("layer0.output", "layer1.input"));
    CHECK(same("layer1.queries_unrotated", "layer1.queries_rotated") == gpt2);
    const View<double> before = x.at("layer1.queries_unrotated"), after = x.at("layer1.queries_rotated");
    double at_start = 0;
    for (std::size_t h = 0; h < 4; ++h)
      for (std::size_t d = 0; d < 6; ++d) at_start = std::max(at_start, std::abs(before(0, 0, h, d) - after(0, 0, h, d)));
    CHECK(at_start < 1e-14);  // position 0 is not rotated
    for (const char* name : {"layer1.residual", "final_norm"}) CHECK(x.at(name).shape() == Shape{2, 6, 24});
    // The residual stream: residual = input + W_o attention (+ bias).
    const View<double> w = s.c.weights["model.layers.1.self_attn.o_proj.weight"], in = x.at("layer1.input"),
                       attention = x.at("layer1.attention"), residual = x.at("layer1.residual");
    double sum = in(1, 5, 3) + (gpt2 ? s.c.weights["model.layers.1.self_attn.o_proj.bias"](3) : 0.0);
    for (std::size_t i = 0; i < 24; ++i) sum += w(3, i) * attention(1, 5, i / 6, i % 6);
    CHECK(std::abs(residual(1, 5, 3) - sum) < 1e-12);
    // The logits of a tied head, from the final norm.
    const View<double> head = s.c.weights["model.embed_tokens.weight"], normed = x.at("final_norm");
    double logit = 0;
    for (std::size_t i = 0; i < 24; ++i) logit += head(7, i) * normed(1, 2, i);
    CHECK(std::abs(s.c.logits(1, 2, 7) - logit) < 1e-12);
  }
}

TEST_CASE("the report has index, expected and actual number of each comparison") {
  const CaseFolder s;
  Tensor<double> logits(s.c.logits.shape());
  copy(View<double>(logits), View<double>(s.c.logits));
  logits(1, 3, 2) += 1;
  write_npy<double>(s.actual / "logits.npy", logits);
  write(s.actual / "expected.json", R"({"loss": NaN, "parameters": 3})");
  Report report;
  report.add("x", s.compare());
  const Json json = parse_json(report.json().dump());
  REQUIRE(json.size() == 3);
  CHECK(json[0]["index"] == Json({1, 3, 2}));
  CHECK(json[0]["expected"] == s.c.logits(1, 3, 2));
  CHECK(json[0]["actual"] == logits(1, 3, 2));
  CHECK(json[1]["index"] == Json::array());
  CHECK(json[1]["actual"].is_null());
  CHECK(json[2]["expected"] == s.c.parameters);
  CHECK(json[2]["actual"] == 3);
}

TEST_CASE("the type of 16 bits that has all numbers is found at the ends of its range, too") {
  const auto type = [](std::vector<double> x) { return narrow_type(View<const double>(x.data(), {x.size()})); };
  CHECK(type({}).empty());
  CHECK(type({0, 1, -0.5, 255}) == "bfloat16");
  CHECK(type({1e30, 65504}).empty());
  CHECK(type({257, 65504, -0x1p-24, 0x1.ff8p-15, 0x1.ffcp-1}) == "float16");
  for (const double x : {65520.0, 2049.0, 0x1.8p-24, 0x1.ffep-1, 0.1, static_cast<double>(0.1f)}) CHECK(type({257, x}).empty());
  CHECK(type({to_bfloat16(1e30), 0x1p-126, to_bfloat16(0.1)}) == "bfloat16");
  CHECK(type({1, NAN}).empty());
  CHECK(type({257, INFINITY}).empty());
}

TEST_CASE("numbers of 16 bits in wider files are called so where their differences are that small") {
  const CaseFolder s;
  const auto write = [&](const char* file, auto narrow, double factor, auto scalar) {
    Tensor<decltype(scalar)> x(s.c.logits.shape());
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<decltype(scalar)>(narrow(s.c.logits.data()[i] * factor));
    write_npy<decltype(scalar)>(s.actual / file, x);
  };
  const auto found = [&](const std::string& dtype = "") {
    std::vector<Comparison> all = s.compare(dtype);
    recognise_actual(s.c, s.actual, all);
    return narrow_numbers(s.c, s.actual, all).value_or(NarrowNumbers{});
  };
  const auto as_it_is = [](double x) { return x; };
  for (const double factor : {1.0, 1.003}) {  // stored so; computed so
    write("logits.npy", to_float16, factor, 0.0);
    CHECK(found().type == "float16");
    CHECK(found().tensor == "logits");
    CHECK(found("f32").type == "float16");
    CHECK(found("bf16").type.empty());  // they hold
    write("logits.npy", to_float16, factor, 0.0f);
    CHECK(found().type == "float16");
    write("logits.npy", to_bfloat16, factor, 0.0f);
    CHECK(found().type == "bfloat16");
    write("logits.npy", as_it_is, factor, 0.0);
    CHECK(found().type.empty());
  }
  write("logits.npy", to_float16, 1.03, 0.0);
  CHECK(found().type.empty());  // more than float16 errs by
  write("logits.npy", to_bfloat16, 1.03, 0.0);
  CHECK(found().type == "bfloat16");
  s.write_gradients([](const Parameters<double>& g) { g.flat().data()[0] += 1e-3; });
  CHECK(found().type == "bfloat16");  // as of weights in float32 under autocast
  write("logits.npy", to_bfloat16, 1.2, 0.0);
  CHECK(found().type.empty());
}
