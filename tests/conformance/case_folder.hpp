// A case to hold something against.
#pragma once

#include <functional>

#include "skipv1/conformance/actual.hpp"
#include "skipv1/conformance/new_case.hpp"
#include "skipv1/io/checkpoint.hpp"
#include "tests/io/files.hpp"
#include "tests/io/models.hpp"

namespace skipv1::testing {

using namespace skipv1::conformance;

/// A small case in a folder, and an empty folder for what is held against it.
struct CaseFolder {
  Folder folder{"conformance-actual"};
  std::filesystem::path actual = folder / "actual";
  Case c;

  explicit CaseFolder(const Config& config = small("skipv1", 2, true)) : c(make(config)) {
    std::filesystem::create_directory(actual);
  }
  std::vector<Comparison> compare(const std::string& dtype = "") const { return compare_actual(c, actual, dtype); }
  std::string error() const {
    return error_of([&] { compare(); });
  }
  /// `c`'s own gradients as another implementation's, changed by `change`.
  void write_gradients(const std::function<void(const Parameters<double>&)>& change) const {
    const Parameters<double> g(c.config);
    copy(g.flat(), c.gradients.flat());
    change(g);
    write_parameters(actual / "grads.safetensors", g);
  }

 private:
  Case make(const Config& config) {
    write_config(folder / "config.json", config);
    NewCase options;
    options.seed = 5, options.length = 6;
    make_case(folder / "config.json", options, folder / "case");
    return read_case(folder / "case");
  }
};

}  // namespace skipv1::testing
