#include "skipv1/io/npy.hpp"

#include <bit>
#include <cmath>
#include <limits>

#if __has_include(<xtensor/io/xnpy.hpp>)
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xnpy.hpp>
#endif

#include "skipv1/core/random.hpp"
#include "skipv1/core/xtensor.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

/// An .npy file of version 1.0 with this header and these bytes after it.
std::string npy(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + raw(static_cast<std::uint16_t>(header.size())) + header + data;
}
std::string dictionary(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

template <class T>
Tensor<T> parse_npy(const std::string& file) {
  Source from(bytes_of(file), "x.npy");
  return read_npy<T>(from);
}
template <class T = double>
std::string npy_error(const std::string& file) {
  return error_of([&] { parse_npy<T>(file); });
}

template <class T>
Tensor<T> npy_noise(Shape shape) {
  Random random(7);
  Tensor<T> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(1000 * random.normal());
  return x;
}

template <class T>
bool same_npy_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && testing::same_bits(a.data(), b.data(), a.size());
}

}  // namespace

TEMPLATE_TEST_CASE("an array comes back from .npy to the bit", "", double, float, std::int32_t) {
  const Folder folder("npy");
  const auto path = folder / "x.npy";
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4}, Shape{2, 3, 1, 70}, Shape{0, 3}, Shape{9000}}) {
    const Tensor<TestType> x = npy_noise<TestType>(shape);
    write_npy(path, View<TestType>(x));
    CHECK(same_npy_bits(read_npy<TestType>(path), x));
    Source from(path);
    CHECK(read_npy_header(from).data % 64 == 0);
  }
  CHECK(folder.count() == 1);
}

TEST_CASE("values that are not finite, and minus zero, come back from .npy") {
  const Folder folder("npy-special");
  Tensor<double> x({4});
  x(0) = std::numeric_limits<double>::quiet_NaN(), x(1) = -std::numeric_limits<double>::infinity(), x(2) = -0.0, x(3) = 5e-324;
  write_npy(folder / "x.npy", View<double>(x));
  CHECK(same_npy_bits(read_npy<double>(folder / "x.npy"), x));
}

TEST_CASE("xtensor's own reader and writer agree with ours") {
  const Folder folder("npy-xtensor");
  const Tensor<double> x = npy_noise<double>({3, 4, 5});
  const std::string path = (folder / "x.npy").string();
  write_npy(path, View<double>(x));
  CHECK((xt::load_npy<double>(path) == as_xtensor<double>(x)));
  xt::dump_npy(path, as_xtensor<double>(x));
  CHECK(same_npy_bits(read_npy<double>(path), x));
}

TEST_CASE("numbers become the type asked for") {
  const std::string halves = raw(0.5f) + raw(-3.25f);
  CHECK(parse_npy<double>(npy(dictionary("<f4", "(2,)"), halves))(1) == -3.25);
  CHECK(parse_npy<float>(npy(dictionary("<f8", "(1,)"), raw(1.0 / 3)))(0) == 1.0f / 3);
  CHECK(parse_npy<std::int32_t>(npy(dictionary("<i8", "(1, 1)"), raw(std::int64_t{-2147483648})))(0, 0) == -2147483647 - 1);
  const std::string wide = npy(dictionary("<i8", "(2,)"), raw(std::int64_t{1}) + raw(std::int64_t{2147483648}));
  CHECK(npy_error<std::int32_t>(npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }", raw(1))) ==
        "x.npy: elements are records of several fields: must be a number each");
  CHECK(npy_error<std::int32_t>("PK\3\4and so on") ==
        "x.npy: an archive such as np.savez writes, not an .npy file: np.save writes one array");
  CHECK(npy_error<std::int32_t>(wide) == "x.npy: element 1 is 2147483648: must be -2147483648 to 2147483647");
  CHECK(npy_error<std::int32_t>(npy(dictionary("<f4", "(2,)"), halves)) ==
        "x.npy: elements are '<f4': expected integers, such as '<i4'");
  CHECK(parse_npy<std::int32_t>(npy(dictionary("<u2", "(2,)"), raw(std::uint16_t{50256}) + raw(std::uint16_t{7})))(0) == 50256);
  CHECK(parse_npy<std::int32_t>(npy(dictionary(">i2", "(1,)"), std::string("\xff\xfe", 2)))(0) == -2);
  CHECK(parse_npy<std::int32_t>(npy(dictionary("|u1", "(2,)"), "\xff\1"))(0) == 255);
  CHECK(parse_npy<std::int32_t>(npy(dictionary("|i1", "(2,)"), "\xff\1"))(0) == -1);
  CHECK(parse_npy<std::int32_t>(npy(dictionary("<u8", "(1,)"), raw(std::uint64_t{2147483647})))(0) == 2147483647);
  CHECK(npy_error<std::int32_t>(npy(dictionary("<u4", "(1,)"), raw(std::uint32_t{4294967295}))) ==
        "x.npy: element 0 is 4294967295: must be -2147483648 to 2147483647");
  CHECK(npy_error<std::int32_t>(npy(dictionary("|b1", "(2,)"), "\1\1")) ==
        "x.npy: elements are '|b1', true or false: expected integers, such as '<i4'");
  CHECK(npy_error<double>(npy(dictionary("<c8", "(1,)"), "12345678")) ==
        "x.npy: elements are '<c8': expected '<f2', '<f4' or '<f8'");
  CHECK(npy_error<float>(npy(dictionary("<i4", "(2,)"), halves)) == "x.npy: elements are '<i4': expected '<f2', '<f4' or '<f8'");
}

TEST_CASE("any float type, byte order and order of the axes is read") {
  const std::string half = raw(std::uint16_t{0x3800}) + raw(std::uint16_t{0xc500});
  CHECK(parse_npy<double>(npy(dictionary("<f2", "(2,)"), half))(0) == 0.5);
  CHECK(parse_npy<float>(npy(dictionary("<f2", "(2,)"), half))(1) == -5);
  CHECK(parse_npy<double>(npy(dictionary(">f2", "(1,)"), std::string("\x38\x00", 2)))(0) == 0.5);
  CHECK(parse_npy<double>(npy(dictionary(">f8", "(1,)"), std::string("\xbf\xf0\0\0\0\0\0\0", 8)))(0) == -1);
  CHECK(parse_npy<std::int32_t>(npy(dictionary(">i4", "(1,)"), std::string("\0\0\1\2", 4)))(0) == 258);
  std::string numbers;
  for (int i = 0; i < 24; ++i) numbers += raw(static_cast<float>(i));
  const std::string c = npy(dictionary("<f4", "(2, 3, 4)"), numbers);
  const Tensor<double> x = parse_npy<double>(c), y = parse_npy<double>(edited(c, "False", "True "));
  CHECK(x(1, 2, 0) == 20);
  CHECK(y.shape() == x.shape());
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 4; ++k) CHECK(y(i, j, k) == static_cast<double>(i + 2 * j + 6 * k));
}

TEST_CASE("headers are read as Python writes them") {
  const std::string data = raw(1.0) + raw(2.0);
  CHECK(parse_npy<double>(npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f8\"}", data))(1) == 2);
  CHECK(parse_npy<double>(npy(dictionary("<f8", "( 1 , 2 )"), data)).shape() == Shape{1, 2});
  for (const std::string version : {"\2", "\3"}) {
    const std::string header = dictionary("<f8", "(2,)");
    const std::string start = "\x93NUMPY" + version + '\0' + raw(static_cast<std::uint32_t>(header.size()));
    CHECK(parse_npy<double>(start + header + data)(0) == 1);
  }
}

TEST_CASE("malformed .npy files are refused in one line that says why") {
  const auto says = [](const std::string& file, const std::string& part) {
    const std::string line = npy_error(file);
    UNSCOPED_INFO(line);
    return line.starts_with("x.npy: ") && line.find(part) != line.npos && line.find('\n') == line.npos;
  };
  const std::string two = raw(1.0) + raw(2.0), good = npy(dictionary("<f8", "(2,)"), two);
  REQUIRE(npy_error(good).empty());
  CHECK(says("", "not an .npy file"));
  CHECK(says(good.substr(0, 11), "not an .npy file"));
  CHECK(says("PK" + good, "not an .npy file"));
  CHECK(says(edited(good, std::string("\x01\x00", 2), std::string("\x04\x00", 2)), "version 4.0"));
  CHECK(says(good.substr(0, 30), "header of"));
  CHECK(says(good.substr(0, good.size() - 1), "takes 16 bytes, but 15 follow"));
  CHECK(says(good + '\0', "takes 16 bytes, but 17 follow"));
  CHECK(says(edited(good, "<f8", "<c8"), "'<c8'"));
  CHECK(says(edited(good, "<f8", "|f8"), "'|f8'"));
  CHECK(says(edited(good, "<f8", "|V2"), "store them as float32, or as BF16 in a safetensors file"));
  CHECK(says(edited(good, "<f8", "<f2"), "takes 4 bytes, but 16 follow"));
  CHECK(says(edited(good, "False", "maybe"), "True or False"));
  CHECK(says(edited(good, "(2,)", "(-1)"), "shape must hold integers"));
  CHECK(says(npy(dictionary("<f8", "(2"), two), "shape must hold integers"));
  CHECK(says(npy(dictionary("<f8", "(1, 1, 1, 1, 2)"), two), "more than 4"));
  CHECK(says(npy(dictionary("<f8", "(4294967296, 4294967296)"), two), "overflows"));
  CHECK(says(npy(dictionary("<f8", "(2305843009213693954,)"), two), "overflows"));  // 16 bytes modulo 2^64
  CHECK(says(npy(dictionary("<f8", "(0, 9223372036854775808)"), ""), "overflows"));
  CHECK(says(npy(dictionary("<f8", "(99999999999999999999,)"), two), "64 bits"));
  CHECK(says(npy(dictionary("<f8", "(1000000000000,)"), two), "takes 8000000000000 bytes"));
  CHECK(says(npy("{'descr': '<f8', 'shape': (2,)}", two), "must all be there"));
  CHECK(says(npy("{'descr': '<f8', 'descr': '<f8'}", two), "twice"));
  CHECK(says(npy("{'descr': '<f8', 'order': 1}", two), "unknown key \"order\""));
  CHECK(says(npy("{'descr': '<f8", two), "has no end"));
  CHECK(says(npy("{'descr': [('a', '<f8')]}", two), "records of several fields"));
  CHECK(says(npy(dictionary("<f8", "(2,)") + "x", two), "after its end"));
  CHECK(says(npy("{", two), "expected"));
  CHECK(says(npy("", two), "expected '{'"));
}
