// Safetensors files: 8 bytes that say how long the header is, the header in JSON, the tensors' bytes.
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <optional>

#include "skipv1/core/tensor.hpp"
#include "skipv1/io/dtype.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1 {

namespace detail {
/// The layer, counted from 0, that a tensor's name says: "model.layers.3.…", "h.3.…"; none where it says none.
inline std::optional<std::size_t> layer_of(std::string_view name) {
  for (const std::string_view before : {"layers.", "h."}) {
    const std::size_t at = name.starts_with(before) ? 0 : name.find("." + std::string(before));
    if (at == name.npos) continue;
    const char* const begin = name.data() + at + before.size() + (at ? 1 : 0);
    std::size_t layer = 0;
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
    if (error == std::errc() && end != name.data() + name.size() && *end == '.') return layer;
  }
  return {};
}
}  // namespace detail

/// Whether reading or writing a tensor refuses NaN and infinity.
enum class Values { any, finite };

/// A safetensors file open for reading. The header is read and checked at once, tensors when they are asked for.
class SafetensorsFile {
 public:
  struct Entry {
    Dtype dtype;
    Shape shape;
    std::uint64_t begin = 0, end = 0;  ///< where its bytes are, counted from the header's end
  };

  /// Throws if the file breaks a rule of the format: the line says which, and where.
  explicit SafetensorsFile(Source source) : source_(std::move(source)) {
    std::uint64_t length = 0;
    source_.read(0, &length, 8);
    require(length <= 100'000'000, name(), ": not a safetensors file: header of ", length,
            " bytes, at most 100000000 are allowed");
    const std::string text = source_.text(8, length);
    data_ = 8 + length;
    at_place(name() + ": header", [&] { read_header(text); });
    check_places();
  }
  explicit SafetensorsFile(const std::filesystem::path& path) : SafetensorsFile(Source(path)) {}

  const std::string& name() const { return source_.name(); }
  /// All tensors, by name.
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Elements of all tensors together.
  std::size_t elements() const {
    std::size_t n = 0;
    for (const auto& [key, entry] : entries_) n += entry.shape.size();
    return n;
  }
  /// The entry called `key`, or null.
  const Entry* find(const std::string& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
  }
  /// The entry called `key`. Throws if there is none.
  const Entry& at(const std::string& key) const {
    const Entry* entry = find(key);
    require(entry != nullptr, name(), ": tensor \"", key, "\" is missing");
    return *entry;
  }

  /// Reads the tensor called `key` into `to`, of the same shape; F64, F32, BF16 and F16 become `T`, rounded to nearest. Throws if
  /// there is none, if shape or dtype do not fit, and, where `values` says so, if an element is not finite.
  template <class T>
  void read(const std::string& key, View<T> to, Values values = Values::finite) {
    const Entry& entry = at(key);
    const std::string place = tensor(key);
    require(entry.shape == to.shape(), place, ": shape ", entry.shape, ", expected ", to.shape());
    with_dtype(entry.dtype, place, [&](auto stored) {
      read_numbers<decltype(stored)>(source_, data_ + entry.begin, to, [&](auto number, std::size_t i) {
        const T x = static_cast<T>(number);
        require(values == Values::any || std::isfinite(static_cast<Sum<T>>(x)), place, ": element ", i, " is ",
                static_cast<double>(number), ": must be finite");
        return x;
      });
    });
  }
  /// The tensor called `key`.
  template <class T>
  Tensor<T> read(const std::string& key, Values values = Values::finite) {
    Tensor<T> x(at(key).shape);
    read<T>(key, x, values);
    return x;
  }

 private:
  std::string tensor(const std::string& key) const { return name() + ": tensor \"" + detail::brief(key) + '"'; }

  void read_header(const std::string& text) {
    require(text.starts_with('{'), "expected a JSON object at its first byte");
    const Json header = parse_json(text);
    for (const auto& item : header.items()) {
      at_place('"' + detail::brief(item.key()) + '"', [&] {
        if (item.key() == "__metadata__") {
          JsonFields fields(item.value());
          for (const auto& entry : item.value().items()) fields.read(entry.key(), metadata_[entry.key()]);
        } else {
          entries_.emplace(item.key(), read_entry(item.value()));
        }
      });
    }
  }

  static Entry read_entry(const Json& object) {
    JsonFields fields(object);
    std::string dtype;
    fields.read("dtype", dtype);
    const std::vector<std::uint64_t> extents = integers(fields, "shape"), places = integers(fields, "data_offsets");
    fields.finish();
    const Dtype* known = find_dtype(dtype);
    require(known != nullptr, "dtype \"", detail::brief(dtype), "\" is unknown");
    require(places.size() == 2 && places[0] <= places[1], "data_offsets: expected begin <= end");
    require(extents.size() <= 4, "shape of ", extents.size(), " dimensions: at most 4 are supported");
    const Entry entry{*known, Shape(extents.begin(), extents.end()), places[0], places[1]};
    const std::optional<std::uint64_t> bytes = byte_count(entry.shape, known->width);
    require(bytes.has_value(), "shape ", entry.shape, " overflows");
    require(*bytes == entry.end - entry.begin, "shape ", entry.shape, " of ", dtype, " takes ", *bytes,
            " bytes, but data_offsets span ", entry.end - entry.begin);
    return entry;
  }

  static std::vector<std::uint64_t> integers(JsonFields& fields, const std::string& key) {
    const Json& array = *fields.find(key);
    bool good = array.is_array();
    for (std::size_t i = 0; good && i < array.size(); ++i) good = array[i].is_number_unsigned();
    fields.expect(good, key, "an array of integers, none negative", array);
    return array.get<std::vector<std::uint64_t>>();
  }

  /// The tensors must fill the bytes after the header: no overlap, no hole, nothing beyond.
  void check_places() const {
    std::vector<std::reference_wrapper<const std::pair<const std::string, Entry>>> sorted(entries_.begin(), entries_.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return std::pair(a.get().second.begin, a.get().second.end) < std::pair(b.get().second.begin, b.get().second.end);
    });
    const std::uint64_t size = source_.size() - data_;
    std::uint64_t end = 0;
    for (const auto& item : sorted) {
      const auto& [key, entry] = item.get();
      require(entry.end <= size, tensor(key), ": ends at byte ", entry.end, " of the data, but the file has only ", size);
      require(entry.begin >= end, tensor(key), ": begins at byte ", entry.begin,
              " of the data and overlaps another, which ends at ", end);
      require(entry.begin == end, tensor(key), ": bytes ", end, " to ", entry.begin,
              " of the data before it belong to no tensor");
      end = entry.end;
    }
    require(end == size, name(), ": the last ", size - end, " bytes belong to no tensor");
  }

  Source source_;
  std::uint64_t data_ = 0;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written, under its name.
template <class T>
struct NamedTensor {
  std::string name;
  View<const T> tensor;
};

namespace detail {
/// Writes the elements of `x` as numbers of type `Stored`. Throws, where `values` says so, if one is not finite there: nobody
/// would read it.
template <class Stored, class T>
void write_tensor(std::ostream& out, const NamedTensor<T>& x, Values values) {
  write_numbers<Stored>(out, x.tensor, [&](Stored stored, std::size_t i) {
    const auto written = static_cast<Sum<Stored>>(stored);
    if (values == Values::any || std::isfinite(written)) return;
    const auto value = static_cast<double>(x.tensor.data()[i]);
    const std::string place = "tensor \"" + x.name + "\": element " + std::to_string(i);
    require(!std::isfinite(value), place, " is ", value, ", which is ", written, " in ", dtype_of<Stored>().name,
            ": must be finite");
    fail(place, " is ", value, ": must be finite");
  });
}
}  // namespace detail

/// Writes `tensors` in the order given, all of them as `dtype` (F64, F32 or BF16, rounded to nearest). The same tensors give the
/// same bytes. The metadata is what PyTorch's reader of weights wants to see. Throws, unless `values` are any, if an element is
/// not finite in `dtype`.
template <class T>
void write_safetensors(std::ostream& out, const std::vector<NamedTensor<T>>& tensors, const Dtype& dtype = dtype_of<T>(),
                       Values values = Values::finite) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::set<std::string> names;
  std::uint64_t end = 0;
  for (const NamedTensor<T>& x : tensors) {
    const std::uint64_t begin = std::exchange(end, end + x.tensor.size() * dtype.width);
    require(names.insert(x.name).second, "tensor \"", x.name, "\" would be written twice");
    header[x.name] = {{"dtype", dtype.name},
                      {"shape", std::vector<std::size_t>(x.tensor.shape().begin(), x.tensor.shape().end())},
                      {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data are aligned
  const std::uint64_t length = text.size();
  out.write(reinterpret_cast<const char*>(&length), 8);
  out << text;
  for (const NamedTensor<T>& x : tensors) {
    if (dtype == dtype_of<double>()) {
      detail::write_tensor<double>(out, x, values);
    } else if (dtype == dtype_of<float>()) {
      detail::write_tensor<float>(out, x, values);
    } else {
      require(dtype == dtype_of<bfloat16>(), "tensor \"", x.name, "\": dtype ", dtype.name, ": F64, F32 and BF16 are written");
      detail::write_tensor<bfloat16>(out, x, values);
    }
  }
}

/// The same to a file, whole or not at all.
template <class T>
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor<T>>& tensors,
                       const Dtype& dtype = dtype_of<T>(), Values values = Values::finite) {
  write_whole(path, [&](std::ostream& out) { write_safetensors(out, tensors, dtype, values); });
}

}  // namespace skipv1
