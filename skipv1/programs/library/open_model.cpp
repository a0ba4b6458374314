#include "skipv1/programs/open_model.hpp"

#include "skipv1/io/imports.hpp"
#include "skipv1/training/run_folder.hpp"
#include "skipv1/uptraining/convert.hpp"

namespace skipv1 {

template <class T>
Checkpoint<T> open_model(const std::filesystem::path& path, const std::string& strategy) {
  if (!strategy.empty()) parse_strategy(strategy);  // what is wrong is said before the work
  Checkpoint<T> model = read_model(path, import_checkpoint<T>);
  return strategy.empty() ? std::move(model) : converted_model(model, path, strategy);
}

template <class T>
Checkpoint<T> converted_model(const Checkpoint<T>& model, const std::filesystem::path& path, const std::string& strategy) {
  const Strategy by = parse_strategy(strategy);
  return at_place(path.string(), [&] {
    return Checkpoint<T>{converted_config(model.config), convert(model.config, model.parameters, by)};
  });
}

template Checkpoint<float> open_model(const std::filesystem::path&, const std::string&);
template Checkpoint<double> open_model(const std::filesystem::path&, const std::string&);
template Checkpoint<double> converted_model(const Checkpoint<double>&, const std::filesystem::path&, const std::string&);

}  // namespace skipv1
