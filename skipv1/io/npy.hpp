// NumPy's .npy files (numpy.lib.format, versions 1.0 to 3.0), into and out of tensors.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skipv1/core/tensor.hpp"
#include "skipv1/io/dtype.hpp"
#include "skipv1/io/file.hpp"

namespace skipv1 {

/// What an .npy file says about its array.
struct NpyHeader {
  std::string descr;  ///< NumPy's name of the type of an element, such as "<f8"
  bool fortran_order = false;
  Shape shape;
  std::uint64_t data = 0;  ///< the byte at which the elements begin
};

namespace detail {

/// Reads the header's text, a Python dictionary such as {'descr': '<i4', 'fortran_order': False, 'shape': (2, 11), }.
class NpyHeaderParser {
 public:
  NpyHeaderParser(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  NpyHeader parse() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    const auto once = [&](bool& seen) { require(!std::exchange(seen, true), name_, ": header: a key is there twice"); };
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        once(descr);
        skip_space();
        require(!rest_.starts_with('['), name_, ": elements are records of several fields: must be a number each");
        header.descr = quoted();
      } else if (key == "fortran_order") {
        once(order);
        header.fortran_order = truth();
      } else if (key == "shape") {
        once(shape);
        header.shape = tuple();
      } else {
        fail(name_, ": header: unknown key \"", key, "\"");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    require(rest_.empty(), name_, ": header: more after its end");
    require(descr && order && shape, name_, ": header: descr, fortran_order and shape must all be there");
    return header;
  }

 private:
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { require(take(c), name_, ": header: expected '", c, "'"); }
  std::string quoted() {
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'') expect(quote);
    const std::size_t end = rest_.find(quote);
    require(end != rest_.npos, name_, ": header: a string has no end");
    const std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool truth() {
    skip_space();
    const bool value = rest_.starts_with("True");
    require(value || rest_.starts_with("False"), name_, ": header: fortran_order must be True or False");
    rest_.remove_prefix(value ? 4 : 5);
    return value;
  }
  Shape tuple() {
    std::vector<std::size_t> extents;
    expect('(');
    while (!take(')')) {
      skip_space();
      std::size_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      require(error == std::errc(), name_, ": header: shape must hold integers of at most 64 bits, none of them negative");
      require(extents.size() < 4, name_, ": header: shape has more than 4 extents");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      extents.push_back(extent);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return Shape(extents.begin(), extents.end());
  }

  std::string_view rest_;
  const std::string& name_;
};

/// Bytes of one element; 0 if `descr` names a type that is not read.
inline std::size_t npy_width(const std::string& descr) {
  if (descr.size() != 3 || (descr[0] != '<' && descr[0] != '>' && descr[0] != '|')) return 0;
  const std::string kind = descr.substr(1);
  if (kind == "i1" || kind == "u1") return 1;
  if (descr[0] == '|') return 0;
  if (kind == "f8" || kind == "i8" || kind == "u8") return 8;
  if (kind == "f4" || kind == "i4" || kind == "u4") return 4;
  return kind == "f2" || kind == "i2" || kind == "u2" ? 2 : 0;
}

/// `number` with its bytes in reverse order.
template <class T>
T swapped(T number) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &number, sizeof(T));
  std::reverse(bytes.begin(), bytes.end());
  std::memcpy(&number, bytes.data(), sizeof(T));
  return number;
}

/// Reads the elements in the order of the file, each stored as a `Stored` with the file's byte order.
template <class Stored, class T, class Convert>
void read_npy_numbers(Source& from, const NpyHeader& header, View<T> to, const Convert& convert) {
  const bool swap = header.descr[0] == '>';
  read_numbers<Stored>(from, header.data, to,
                       [&](Stored number, std::size_t i) { return convert(swap ? swapped(number) : number, i); });
}

/// `x`, whose elements lie in Fortran order (the first index fastest), in C order.
template <class T>
Tensor<T> from_fortran_order(const Tensor<T>& x) {
  const Shape& shape = x.shape();
  Tensor<T> y(shape);
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t rest = i, place = 0;
    for (std::size_t axis = shape.rank(); axis-- > 0; rest /= shape[axis]) {
      std::size_t stride = 1;
      for (std::size_t before = 0; before < axis; ++before) stride *= shape[before];
      place += rest % shape[axis] * stride;
    }
    y.data()[i] = x.data()[place];
  }
  return y;
}

/// Room for what the header says. Throws, naming the file, where there is none: a file may say more than a machine holds.
template <class T>
Tensor<T> npy_tensor(const NpyHeader& header, const std::string& name) {
  try {
    return Tensor<T>(header.shape);
  } catch (const std::bad_alloc&) {
    fail(name, ": shape ", header.shape, ": so many elements need more memory than there is");
  }
}

/// How numpy names T; null for a type that is not written.
template <class T>
constexpr const char* npy_descr = std::is_same_v<T, double>         ? "<f8"
                                  : std::is_same_v<T, float>        ? "<f4"
                                  : std::is_same_v<T, std::int32_t> ? "<i4"
                                                                    : nullptr;

}  // namespace detail

/// Reads the header. Throws unless the file is exactly as long as its header says and holds float16, float32, float64 or integers
/// of 8 to 64 bits, of either byte order; `wanted` is what an error says of the types.
inline NpyHeader read_npy_header(Source& from, const char* wanted = "expected '<f2', '<f4', '<f8' or integers ('|i1' to '<u8')") {
  const std::string& name = from.name();
  const std::string start = from.text(0, std::min<std::uint64_t>(from.size(), 12));
  require(!start.starts_with("PK\3\4"), name, ": an archive such as np.savez writes, not an .npy file: np.save writes one array");
  require(start.size() == 12 && start.starts_with("\x93NUMPY"), name, ": not an .npy file");
  const int major = start[6], minor = start[7];
  require(major >= 1 && major <= 3 && minor == 0, name, ": .npy version ", major, ".", minor, ": 1.0, 2.0 and 3.0 are read");
  std::uint32_t length = 0;
  std::memcpy(&length, start.data() + 8, major == 1 ? 2 : 4);
  const std::uint64_t begin = major == 1 ? 10 : 12, rest = from.size() - begin;
  require(length <= rest, name, ": ends within its header of ", length, " bytes, of which it has ", rest);
  NpyHeader header = detail::NpyHeaderParser(from.text(begin, length), name).parse();
  header.data = begin + length;
  const std::size_t width = detail::npy_width(header.descr);
  require(!header.descr.ends_with("V2"), name, ": elements are '", header.descr,
          "', which says nothing of bfloat16: store them as float32, or as BF16 in a safetensors file");
  const char* known = header.descr == "|b1" ? ", true or false" : header.descr == "|O" ? ", Python objects" : "";
  require(width != 0, name, ": elements are '", header.descr, "'", known, ": ", wanted);
  const std::optional<std::uint64_t> bytes = byte_count(header.shape, width);
  require(bytes.has_value(), name, ": shape ", header.shape, " overflows");
  require(*bytes == from.size() - header.data, name, ": shape ", header.shape, " of '", header.descr, "' takes ", *bytes,
          " bytes, but ", from.size() - header.data, " follow the header");
  return header;
}

/// Which integers a file may hold, and what an error says of the others.
struct NpyRange {
  std::int64_t least = std::numeric_limits<std::int32_t>::min(), most = std::numeric_limits<std::int32_t>::max();
  std::string rule = "must be " + std::to_string(least) + " to " + std::to_string(most);
};

/// Reads an array, in C or Fortran order: float and double from any of its float types, int32 from its integers. Throws on any
/// other type, on an integer that is not of the `range`, and as `read_npy_header`.
template <class T>
Tensor<T> read_npy(Source& from, const NpyRange& range = {}) {
  const char* wanted = std::is_floating_point_v<T> ? "expected '<f2', '<f4' or '<f8'" : "expected integers, such as '<i4'";
  const NpyHeader header = read_npy_header(from, wanted);
  const bool real = header.descr[1] == 'f';
  const char width = header.descr[2];
  require(real == std::is_floating_point_v<T>, from.name(), ": elements are '", header.descr, "': ", wanted);
  Tensor<T> x = detail::npy_tensor<T>(header, from.name());
  const View<T> to = x;
  if constexpr (std::is_floating_point_v<T>) {
    const auto convert = [](auto number, std::size_t) { return static_cast<T>(number); };
    if (width == '8') detail::read_npy_numbers<double>(from, header, to, convert);
    if (width == '4') detail::read_npy_numbers<float>(from, header, to, convert);
    if (width == '2') detail::read_npy_numbers<float16>(from, header, to, convert);
  } else {
    const auto read = [&]<class Stored>(Stored) {
      detail::read_npy_numbers<Stored>(from, header, to, [&](Stored number, std::size_t i) {
        require(std::cmp_greater_equal(number, range.least) && std::cmp_less_equal(number, range.most), from.name(), ": element ",
                i, " is ", +number, ": ", range.rule);
        return static_cast<T>(number);
      });
    };
    const bool natural = header.descr[1] == 'u';
    if (width == '8') natural ? read(std::uint64_t{}) : read(std::int64_t{});
    if (width == '4') natural ? read(std::uint32_t{}) : read(std::int32_t{});
    if (width == '2') natural ? read(std::uint16_t{}) : read(std::int16_t{});
    if (width == '1') natural ? read(std::uint8_t{}) : read(std::int8_t{});
  }
  return header.fortran_order ? detail::from_fortran_order(x) : x;
}

/// The same from a file.
template <class T>
Tensor<T> read_npy(const std::filesystem::path& path, const NpyRange& range = {}) {
  Source from(path);
  return read_npy<T>(from, range);
}

/// Writes float64, float32 or int32, as NumPy does: version 1.0, the elements at a multiple of 64 bytes. Whole or not at all.
template <class T>
void write_npy(const std::filesystem::path& path, View<T> x) {
  constexpr const char* descr = detail::npy_descr<std::remove_const_t<T>>;
  static_assert(descr != nullptr, "float64, float32 and int32 are written");
  std::string shape;
  for (const std::size_t extent : x.shape()) shape += std::to_string(extent) + ", ";
  if (x.shape().rank() > 1) shape.resize(shape.size() - 2);
  std::string text = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  text.resize((10 + text.size()) / 64 * 64 + 63 - 10, ' ');
  text += '\n';
  write_whole(path, [&](std::ostream& out) {
    out.write("\x93NUMPY\x01\x00", 8);
    out.put(static_cast<char>(text.size() & 0xff)).put(static_cast<char>(text.size() >> 8));
    out << text;
    write_numbers<std::remove_const_t<T>>(out, x, [](std::remove_const_t<T>, std::size_t) {});
  });
}

}  // namespace skipv1
