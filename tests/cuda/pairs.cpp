// Every operation is a pair: a function of ops/NAME.hpp stands in ops/NAME.cuh too, with the same arguments of the same types in
// the same order, up to the memory space and a `Version` at the end. The types are compared by the compiler, the arguments' names
// in the text. A `reference` has the first of those arguments, or all of them.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "skipv1/ops/adamw.cuh"
#include "skipv1/ops/add.cuh"
#include "skipv1/ops/add.hpp"
#include "skipv1/ops/attention/attention.cuh"
#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/attention/reference.hpp"
#include "skipv1/ops/cross_entropy.cuh"
#include "skipv1/ops/depth_average.cuh"
#include "skipv1/ops/depth_average.hpp"
#include "skipv1/ops/embedding.cuh"
#include "skipv1/ops/embedding.hpp"
#include "skipv1/ops/head_copy.cuh"
#include "skipv1/ops/head_copy.hpp"
#include "skipv1/ops/layer_norm.cuh"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/linear_attention.cuh"
#include "skipv1/ops/linear_gelu.cuh"
#include "skipv1/ops/linear_gelu.hpp"
#include "skipv1/ops/rms_norm.cuh"
#include "skipv1/ops/rms_norm.hpp"
#include "skipv1/ops/rope.cuh"
#include "skipv1/ops/rope.hpp"
#include "skipv1/ops/scatter.cuh"
#include "skipv1/ops/scatter.hpp"
#include "skipv1/ops/swiglu.cuh"
#include "skipv1/ops/swiglu.hpp"
#include "skipv1/ops/value_mix.cuh"
#include "skipv1/ops/value_mix.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// A type in device memory, moved to the host's.
template <class X>
struct Moved {
  using type = X;
};
template <class X>
using moved = typename Moved<X>::type;
template <class X>
struct Moved<const X> {
  using type = const moved<X>;
};
template <class X>
struct Moved<const X&> {
  using type = const moved<X>&;
};
template <class T>
struct Moved<View<T, Device>> {
  using type = View<moved<T>, Cpu>;
};
template <class T>
struct Moved<Head<T, Device>> {
  using type = Head<T, Cpu>;
};
template <class T>
struct Moved<HeadPair<T, Device>> {
  using type = HeadPair<T, Cpu>;
};
template <class T>
struct Moved<RoutedHeads<T, Device>> {
  using type = RoutedHeads<T, Cpu>;
};
template <>
struct Moved<Sequences<Device>> {
  using type = Sequences<Cpu>;
};

template <class...>
struct List {};
/// The CPU's type of a device function with these arguments: moved, without the `Version`.
template <class Result, class Done, class... Arguments>
struct CpuForm;
template <class Result, class... Done>
struct CpuForm<Result, List<Done...>> {
  using type = Result (*)(Done...);
};
template <class Result, class... Done>
struct CpuForm<Result, List<Done...>, Version> : CpuForm<Result, List<Done...>> {};
template <class Result, class... Done, class Next, class... Rest>
struct CpuForm<Result, List<Done...>, Next, Rest...> : CpuForm<Result, List<Done..., moved<Next>>, Rest...> {};
template <class Function>
struct CpuFormOf;
template <class Result, class... Arguments>
struct CpuFormOf<Result (*)(Arguments...)> : CpuForm<Result, List<>, Arguments...> {};
template <class Function>
using cpu_form = typename CpuFormOf<Function>::type;

/// A reference reads the heads alone; who else reads them it need not know.
template <class X>
struct Plain {
  using type = X;
};
template <class T>
struct Plain<const RoutedHeads<T>&> {
  using type = View<const HeadPair<const T>>;
};
/// Whether the arguments of the reference are the first ones of the CPU's form, or all.
template <class Reference, class Form>
struct Begins : std::false_type {};
template <class... Form>
struct Begins<List<>, List<Form...>> : std::true_type {};
template <class Next, class... Reference, class FormNext, class... Form>
struct Begins<List<Next, Reference...>, List<FormNext, Form...>>
    : std::bool_constant<(
          std::is_same_v<Next, FormNext> ||
          std::is_same_v<Next, typename Plain<FormNext>::type>)&&Begins<List<Reference...>, List<Form...>>::value> {};
template <class Result, class... Reference, class... Form>
constexpr bool begins(Result (*)(Reference...), Result (*)(Form...)) {
  return Begins<List<Reference...>, List<Form...>>::value;
}

#define SKIPV1_CPU_FORM(name, T) cpu_form<decltype(&skipv1::SKIPV1_FLAVOUR::name<T>)>
/// The function on the device has a twin on the CPU.
#define SKIPV1_PAIR(name)                                                \
  static_assert(                                                         \
      []<class T>(T) {                                                   \
        return requires { SKIPV1_CPU_FORM(name, T)(&skipv1::name<T>); }; \
      }(0.0),                                                            \
      #name ": the functions on the device and on the CPU differ in their arguments")
/// They have a reference, too.
#define SKIPV1_PAIR_WITH_REFERENCE(name)                                                          \
  SKIPV1_PAIR(name);                                                                              \
  static_assert(begins(&skipv1::reference::name<double>, SKIPV1_CPU_FORM(name, double)(nullptr)), \
                #name ": the reference differs in its arguments")

SKIPV1_PAIR_WITH_REFERENCE(add);
SKIPV1_PAIR_WITH_REFERENCE(attention_forward);
SKIPV1_PAIR_WITH_REFERENCE(attention_backward);
SKIPV1_PAIR_WITH_REFERENCE(copy_head);
SKIPV1_PAIR_WITH_REFERENCE(cross_entropy);
SKIPV1_PAIR_WITH_REFERENCE(depth_average_forward);
SKIPV1_PAIR_WITH_REFERENCE(depth_average_backward);
SKIPV1_PAIR_WITH_REFERENCE(embedding_forward);
SKIPV1_PAIR_WITH_REFERENCE(embedding_backward);
SKIPV1_PAIR_WITH_REFERENCE(gelu_forward);
SKIPV1_PAIR_WITH_REFERENCE(gelu_backward);
SKIPV1_PAIR_WITH_REFERENCE(gelu_linear_backward);
SKIPV1_PAIR_WITH_REFERENCE(layer_norm_forward);
SKIPV1_PAIR_WITH_REFERENCE(layer_norm_backward);
SKIPV1_PAIR_WITH_REFERENCE(linear_attention_forward);
SKIPV1_PAIR_WITH_REFERENCE(linear_attention_backward);
SKIPV1_PAIR_WITH_REFERENCE(linear_backward_bias);
SKIPV1_PAIR_WITH_REFERENCE(linear_backward_input);
SKIPV1_PAIR_WITH_REFERENCE(linear_backward_weight);
SKIPV1_PAIR_WITH_REFERENCE(linear_forward);
SKIPV1_PAIR_WITH_REFERENCE(linear_gelu_forward);
SKIPV1_PAIR_WITH_REFERENCE(norm);
SKIPV1_PAIR_WITH_REFERENCE(pool_forward);
SKIPV1_PAIR_WITH_REFERENCE(pool_backward);
SKIPV1_PAIR_WITH_REFERENCE(rms_norm_forward);
SKIPV1_PAIR_WITH_REFERENCE(rms_norm_backward);
SKIPV1_PAIR_WITH_REFERENCE(scatter_rows);
SKIPV1_PAIR_WITH_REFERENCE(swiglu_forward);
SKIPV1_PAIR_WITH_REFERENCE(swiglu_backward);
SKIPV1_PAIR_WITH_REFERENCE(value_mix_forward);
SKIPV1_PAIR_WITH_REFERENCE(value_mix_backward);
SKIPV1_PAIR(rope);        // the reference computes the angles that the fast ones have in a table
SKIPV1_PAIR(total_loss);  // one plain loop is all it is

// adamw has two forms, with master weights and without: each is named by its type.
template <class Space, class... More>
using Adamw = void (*)(View<double, Space>, View<double, Space>, View<double, Space>, ConstView<double, Space>, const AdamW&,
                       std::size_t, std::size_t, double, More...);
template <class Space, class... More>
using AdamwOfMaster = void (*)(View<double, Space>, View<double, Space>, View<double, Space>, View<double, Space>,
                               ConstView<double, Space>, const AdamW&, std::size_t, std::size_t, double, More...);
static_assert([]<class T>(T) {
  return requires {
    Adamw<Cpu>(&skipv1::adamw<T>), Adamw<Cpu>(&skipv1::reference::adamw<T>), AdamwOfMaster<Cpu>(&skipv1::adamw<T>);
    Adamw<Device, Version>(&skipv1::adamw<T>), AdamwOfMaster<Device, Version>(&skipv1::adamw<T>);
  };
}(0.0));

using Names = std::vector<std::string>;
/// The names of the arguments of each function by its name; a function may have several forms.
using Functions = std::map<std::string, std::set<Names>>;

/// The arguments' names in `View<T> y, ConstView<T> x = {}`.
Names argument_names(const std::string& list) {
  Names names(1);
  int depth = 0;
  for (char c : list) {
    depth += c == '<' || c == '{' || c == '(' ? 1 : c == '>' || c == '}' || c == ')' ? -1 : 0;
    if (c == ',' && depth == 0)
      names.emplace_back();
    else
      names.back() += c;
  }
  static const std::regex last(R"(^.*?(\w+)\s*(=.*)?$)");
  for (std::string& argument : names) argument = std::regex_replace(argument, last, "$1");
  return names;
}

/// What a header declares: on the CPU, on the device, in namespace reference; what is in namespace detail does not count.
struct Header {
  Functions cpu, device, reference;

  explicit Header(const std::filesystem::path& path) {
    std::ifstream in(path);
    REQUIRE(in.good());
    static const std::regex begins(R"(^namespace (?:skipv1::)?(detail|reference)\b.*)"),
        ends(R"(^\}  // namespace (?:skipv1::)?(?:detail|reference)\b.*)"), declaration(R"(^(?:void|double) (\w+)\(.*)");
    std::string inner, text, name;
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (std::regex_match(line, match, begins)) inner = match[1];
      if (std::regex_match(line, ends)) inner.clear();
      if (text.empty() && inner != "detail" && std::regex_match(line, match, declaration)) {
        name = match[1];
        line.erase(0, line.find('(') + 1);
      } else if (text.empty()) {
        continue;
      }
      text += line + ' ';
      const std::size_t end = text.rfind(") {");
      if (end == std::string::npos) continue;
      text.resize(end);
      Functions& of = inner == "reference" ? reference : text.find("Device>") != std::string::npos ? device : cpu;
      of[name].insert(argument_names(text));
      text.clear();
    }
  }
};

/// The project's folder: where CTest runs the tests, or where this source lies.
std::filesystem::path project() {
  const std::filesystem::path here = std::filesystem::current_path();
  return std::filesystem::exists(here / "skipv1/ops") ? here : std::filesystem::path(__FILE__).parent_path() / "../..";
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("every operation on the CPU has a twin on the device, with arguments of the same names", "[cuda]") {
  const std::filesystem::path root = project();
  const std::string documented = read(root / "docs/performance/pairs.md"), here = read(root / "tests/cuda/pairs.cpp");
  std::size_t count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root / "skipv1/ops")) {
    std::filesystem::path twin = file.path();
    if (twin.extension() != ".hpp" || !std::filesystem::exists(twin.replace_extension(".cuh"))) continue;
    const Header cpu(file.path()), device(twin);
    for (auto [name, forms] : cpu.cpu) {
      if (name == "rope_table") continue;  // made once, on the host
      INFO(name << " in " << twin.filename());
      std::set<Names> on_device;
      for (Names names : device.device.count(name) ? device.device.at(name) : std::set<Names>{}) {
        if (names.back() == "version") names.pop_back();
        on_device.insert(names);
      }
      CHECK(on_device == forms);
      CHECK(documented.find("| `" + name + "` | [" + twin.stem().string() + "](") != std::string::npos);
      CHECK(std::regex_search(here, std::regex("(PAIR|REFERENCE)\\(" + name + "\\)|&skipv1::" + name + "<")));
      ++count;
    }
  }
  CHECK(count >= 34);
}

TEST_CASE("a reference's arguments have the names of the fast version's", "[cuda]") {
  const std::filesystem::path ops = project() / "skipv1/ops";
  Functions fast, references;
  for (const auto& file : std::filesystem::recursive_directory_iterator(ops)) {
    if (file.path().extension() != ".hpp") continue;
    Header header(file.path());
    fast.merge(header.cpu), references.merge(header.reference);
  }
  for (const auto& [name, forms] : references) {
    if (name == "rope" || !fast.count(name)) continue;  // rope's reference computes its angles; helpers have no twin
    INFO(name);
    for (const Names& names : forms) {
      const auto begins = [&](const Names& form) {
        return names.size() <= form.size() && std::equal(names.begin(), names.end(), form.begin());
      };
      CHECK(std::any_of(fast[name].begin(), fast[name].end(), begins));
    }
  }
  CHECK(references.size() >= 32);
}
