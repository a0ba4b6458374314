#include "skipv1/io/safetensors.hpp"

#include <limits>

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

std::string safetensors(const std::string& header, const std::string& data) {
  return raw(std::uint64_t{header.size()}) + header + data;
}

SafetensorsFile parse(const std::string& file) { return SafetensorsFile(Source(bytes_of(file), "x.safetensors")); }

/// A file with the one tensor "a".
std::string one(const std::string& dtype, const std::string& shape, const std::string& data) {
  return safetensors(
      "{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[0," + std::to_string(data.size()) + "]}}",
      data);
}
/// A file with two tensors of four bytes, "a" at `a` and "b" at `b`, and `size` bytes of data.
std::string two(const std::string& a, const std::string& b, std::size_t size) {
  const std::string start = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)",
                    middle = R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)";
  return safetensors(start + a + middle + b + "}}", std::string(size, '\0'));
}

template <class T>
Tensor<T> noise(Shape shape, std::uint64_t seed) {
  Random random(seed);
  Tensor<T> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(random.normal());
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("tensors come back from a safetensors file to the bit", "", double, float) {
  const Folder folder("safetensors");
  const Shape shapes[] = {{}, {5}, {3, 4}, {2, 0, 3}, {1, 2, 3, 4}, {130, 70}};
  std::vector<Tensor<TestType>> tensors;
  std::vector<NamedTensor<TestType>> named;
  for (const Shape& shape : shapes) tensors.push_back(noise<TestType>(shape, tensors.size()));
  for (const Tensor<TestType>& x : tensors) named.push_back({"x" + std::to_string(9 - named.size()) + "/\"\\\xc3\xa9", x});
  const auto path = folder / "x.safetensors";
  write_safetensors(path, named);

  SafetensorsFile file(path);
  REQUIRE(file.entries().size() == tensors.size());
  CHECK(file.metadata().at("format") == "pt");
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor<TestType> x = file.template read<TestType>(named[i].name);
    CHECK(x.shape() == shapes[i]);
    CHECK(same_bits(x.data(), tensors[i].data(), x.size()));
    CHECK(file.at(named[i].name).begin == end);  // in the order given
    end = file.at(named[i].name).end;
  }
  const std::string first = contents(path);
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), 8);
  CHECK(length % 8 == 0);
  write_safetensors(path, named);
  CHECK(contents(path) == first);
  CHECK(folder.count() == 1);
}

TEST_CASE("all four dtypes become the scalar asked for") {
  const std::string half = raw(std::uint16_t{0x3555}), brain = raw(std::uint16_t{0xc049});  // 0.333251953125, -3.140625
  CHECK(parse(one("F16", "[1]", half)).read<float>("a")(0) == 0.333251953125f);
  CHECK(parse(one("BF16", "[1]", brain)).read<double>("a")(0) == -3.140625);
  CHECK(parse(one("F32", "[1]", raw(0.1f))).read<double>("a")(0) == static_cast<double>(0.1f));
  CHECK(parse(one("F64", "[1]", raw(0.1))).read<float>("a")(0) == 0.1f);
}

TEST_CASE("tensors are written in another dtype, rounded to nearest") {
  const Folder folder("safetensors-dtype");
  const auto path = folder / "x.safetensors";
  Tensor<double> x({3});
  x(0) = 1.0 + 0x1p-8, x(1) = 1.0 + 3 * 0x1p-8, x(2) = 0.1;  // two ties for bfloat16: to even
  const std::vector<NamedTensor<double>> named = {{"a", x}};
  write_safetensors(path, named, *find_dtype("BF16"));
  const Tensor<double> brain = SafetensorsFile(path).read<double>("a");
  CHECK(brain(0) == 1.0);
  CHECK(brain(1) == 1.0 + 0x1p-6);
  CHECK(brain(2) == 0.10009765625);
  write_safetensors(path, named, *find_dtype("F32"));
  CHECK(SafetensorsFile(path).read<double>("a")(2) == static_cast<double>(0.1f));
  CHECK(error_of([&] { write_safetensors(path, named, *find_dtype("F16")); }) ==
        "tensor \"a\": dtype F16: F64, F32 and BF16 are written");
  CHECK(error_of([&] { write_safetensors<double>(path, {{"a", x}, {"a", x}}); }) == "tensor \"a\" would be written twice");
  CHECK(SafetensorsFile(path).read<double>("a")(2) == static_cast<double>(0.1f));  // what was there is still there
  CHECK(folder.count() == 1);
}

TEST_CASE("weights must be finite unless any value will do") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::string file = one("F32", "[3]", raw(1.0f) + raw(nan) + raw(inf));
  CHECK(error_of([&] { parse(file).read<float>("a"); }) == "x.safetensors: tensor \"a\": element 1 is nan: must be finite");
  const Tensor<double> x = parse(file).read<double>("a", Values::any);
  CHECK((std::isnan(x(1)) && x(2) == std::numeric_limits<double>::infinity()));
  const std::string large = one("F64", "[1]", raw(1e300));
  CHECK(parse(large).read<double>("a")(0) == 1e300);
  CHECK(error_of([&] { parse(large).read<float>("a"); }).find("element 0 is 1e+300") != std::string::npos);
}

TEST_CASE("a tensor is read only into its own shape and under its own name") {
  const std::string file = one("F32", "[2,1]", raw(1.0f) + raw(2.0f));
  Tensor<float> x({1, 2});
  CHECK(error_of([&] { parse(file).read<float>("a", x); }) == "x.safetensors: tensor \"a\": shape (2, 1), expected (1, 2)");
  CHECK(error_of([&] { parse(file).read<float>("b"); }) == "x.safetensors: tensor \"b\" is missing");
  CHECK(error_of([&] { parse(one("I32", "[1]", raw(1))).read<float>("a"); }).find("dtype I32: only F64, F32, BF16 and F16") !=
        std::string::npos);
}

TEST_CASE("metadata and an empty file are fine") {
  CHECK(parse(safetensors("{}", "")).entries().empty());
  const SafetensorsFile file = parse(safetensors(R"({"__metadata__":{"by":"hand","x":""}}  )", ""));
  CHECK((file.entries().empty() && file.metadata().at("by") == "hand"));
}

TEST_CASE("malformed safetensors files are refused in one line that says why") {
  const auto says = [](const std::string& file, const std::string& part) {
    const std::string line = error_of([&] { parse(file); });
    UNSCOPED_INFO(line);
    return line.starts_with("x.safetensors: ") && line.find(part) != line.npos && line.find('\n') == line.npos;
  };
  const std::string good = two("[0,4]", "[4,8]", 8), header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  REQUIRE(error_of([&] { parse(good); }).empty());
  CHECK(says("", "too short"));
  CHECK(says("1234567", "too short"));
  CHECK(says(raw(std::uint64_t{500}) + header, "too short"));
  CHECK(says(raw(std::uint64_t{1} << 63) + header, "header of 9223372036854775808 bytes"));
  CHECK(says(raw(~std::uint64_t{0}) + header, "header of"));
  CHECK(says(good.substr(0, good.size() - 1), "\"b\": ends at byte 8 of the data, but the file has only 7"));
  CHECK(says(good + "x", "last 1 bytes belong to no tensor"));
  CHECK(says(two("[0,4]", "[5,9]", 9), "\"b\": bytes 4 to 5 of the data before it belong to no tensor"));
  CHECK(says(two("[4,8]", "[8,12]", 12), "\"a\": bytes 0 to 4"));
  CHECK(says(two("[0,4]", "[3,7]", 8), "\"b\": begins at byte 3 of the data and overlaps"));
  CHECK(says(two("[0,4]", "[0,4]", 4), "overlaps"));
  CHECK(says(two("[4,0]", "[4,8]", 8), "begin <= end"));
  CHECK(says(two("[0,4]", "[18446744073709551612,18446744073709551615]", 8), "span 3"));
  CHECK(says(two("[0,4]", "[18446744073709551608,18446744073709551612]", 8), "ends at byte 18446744073709551612"));
  CHECK(says(two("[0,4]", "[-4,0]", 8), "integers, none negative"));
  CHECK(says(two("[0,4]", "[4.0,8]", 8), "integers"));
  CHECK(says(two("[0,4]", "[4]", 8), "begin <= end"));
  CHECK(says(two("[0,4]", "{\"begin\":4}", 8), "integers"));
  CHECK(says(one("F32", "[2]", "1234"), "shape (2) of F32 takes 8 bytes, but data_offsets span 4"));
  CHECK(says(one("F32", "[4611686018427387905]", "1234"), "overflows"));
  CHECK(says(one("F32", "[4294967296,4294967296,0]", ""), "overflows"));
  CHECK(says(one("F32", "[1,1,1,1,1]", "1234"), "5 dimensions"));
  CHECK(says(one("F33", "[1]", "1234"), "dtype \"F33\" is unknown"));
  CHECK(says(one("F32", "[1.5]", "1234"), "\"shape\": expected an array of integers"));
  CHECK(says(one("F32", "1", "1234"), "\"shape\""));
  CHECK(says(edited(good, "\"b\"", "\"a\""), "\"a\" is there twice"));
  CHECK(says(edited(good, "\"shape\"", "\"Shape\""), "\"shape\" is missing"));
  CHECK(says(edited(good, "\"dtype\":\"F32\"", "\"dtype\":null "), "\"dtype\": expected a string, found null"));
  CHECK(says(edited(good, "[0,4]}", "[0,4],\"x\":0}").replace(0, 8, raw(std::uint64_t{good.size() - 10})), "\"x\" is not a key"));
  CHECK(says(safetensors("[]", ""), "JSON object"));
  CHECK(says(safetensors(" {}", ""), "first byte"));
  CHECK(says(safetensors("{\"a\":", ""), "not JSON"));
  CHECK(says(safetensors("{\"a\xff\":{}}", ""), "not JSON"));
  CHECK(says(safetensors("{} {}", ""), "not JSON"));
  CHECK(says(safetensors("{\"a\":3}", ""), "expected an object, found 3"));
  CHECK(says(safetensors("{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}", ""), "levels"));
  CHECK(says(safetensors("{\"__metadata__\":{\"x\":1}}", ""), "\"__metadata__\": \"x\": expected a string, found 1"));
  CHECK(says(safetensors("{\"__metadata__\":[]}", ""), "expected an object"));
}

TEST_CASE("what no reader takes is not written: an element that is not finite, or not in the file's dtype") {
  const Folder folder("safetensors-finite");
  const auto path = folder / "x.safetensors";
  const auto line = [&](double value, const char* dtype) {
    Tensor<double> x({3});
    x(0) = 1, x(1) = value, x(2) = 1;
    const std::vector<NamedTensor<double>> named = {{"a", x}};
    const std::string error = error_of([&] { write_safetensors(path, named, *find_dtype(dtype)); });
    if (error.empty()) CHECK_NOTHROW(SafetensorsFile(path).read<double>("a"));
    CHECK(std::filesystem::exists(path) == error.empty());
    std::filesystem::remove(path);
    CHECK(folder.count() == 0);
    return error;
  };
  CHECK(line(3.4e38, "F32") == "");
  CHECK(line(3.4e38, "BF16") == "tensor \"a\": element 1 is 3.4e+38, which is inf in BF16: must be finite");
  CHECK(line(-1e39, "F32") == "tensor \"a\": element 1 is -1e+39, which is -inf in F32: must be finite");
  CHECK(line(1e300, "F64") == "");
  CHECK(line(std::numeric_limits<double>::infinity(), "F64") == "tensor \"a\": element 1 is inf: must be finite");
  CHECK(line(std::numeric_limits<double>::quiet_NaN(), "F32") == "tensor \"a\": element 1 is nan: must be finite");
  Tensor<double> x({1});
  x(0) = std::numeric_limits<double>::infinity();
  const std::vector<NamedTensor<double>> named = {{"a", x}};
  write_safetensors(path, named, dtype_of<float>(), Values::any);
  CHECK(SafetensorsFile(path).read<double>("a", Values::any)(0) == x(0));
}
