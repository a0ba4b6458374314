#include "skipv1/conformance/report.hpp"

#include "skipv1/io/json.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/conformance/measure.hpp"

namespace skipv1::conformance {

Json Report::json() const {
  Json report = Json::array();
  for (const auto& [name, comparisons] : cases_)
    for (const Comparison& x : comparisons)
      report.push_back({{"case", name},
                        {"check", x.check},
                        {"tensor", x.tensor},
                        {"error", x.error},
                        {"bound", x.bound},
                        {"pass", x.pass},
                        {"index", x.index},
                        {"expected", x.expected},
                        {"actual", x.actual},
                        {"note", x.note},
                        {"mistakes", x.mistakes}});
  return report;
}

void write_trace(const Case& c, const std::filesystem::path& folder) {
  NewFiles files(folder);
  for (const auto& [name, tensor] : trace(c)) write_npy<double>(files.path() / (name + ".npy"), tensor);
  files.commit();
}

}  // namespace skipv1::conformance
