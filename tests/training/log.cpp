#include "skipv1/training/log.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
LogRow log_row(std::size_t step) {
  LogRow r{step, 100 * step, 1.0 / static_cast<double>(step), 0.1, 1e-3};
  r.seconds = 0.5;
  if (step % 2 == 0) r.valid_nats_per_token = 2.25, r.valid_bits_per_byte = 1.5;
  return r;
}
const std::string header = "step,tokens,loss,gradient_norm,learning_rate,valid_nats_per_token,valid_bits_per_byte,seconds\n";
}  // namespace

TEST_CASE("a row is a line of CSV and a line of JSON") {
  const Folder folder("log");
  Log log(folder.path(), 0);
  log.add({});
  log.add(log_row(1));
  log.add(log_row(2));  // in the files at once
  CHECK(file_content(folder / "log.csv") ==
        header + "0,0,,,,,,0.0\n1,100,1.0,0.1,0.001,,,0.5\n2,200,0.5,0.1,0.001,2.25,1.5,0.5\n");
  CHECK(
      file_content(folder / "log.jsonl") ==
      R"({"step":0,"tokens":0,"loss":null,"gradient_norm":null,"learning_rate":null,"valid_nats_per_token":null,"valid_bits_per_byte":null,"seconds":0.0}
{"step":1,"tokens":100,"loss":1.0,"gradient_norm":0.1,"learning_rate":0.001,"valid_nats_per_token":null,"valid_bits_per_byte":null,"seconds":0.5}
{"step":2,"tokens":200,"loss":0.5,"gradient_norm":0.1,"learning_rate":0.001,"valid_nats_per_token":2.25,"valid_bits_per_byte":1.5,"seconds":0.5}
)");
}

TEST_CASE("a log goes on behind a checkpoint's step, without what came after it") {
  const Folder folder("log");
  {
    Log log(folder.path(), 0);
    for (std::size_t step = 1; step <= 5; ++step) log.add(log_row(step));
  }
  const std::string csv = file_content(folder / "log.csv"), json = file_content(folder / "log.jsonl");
  {
    Log log(folder.path(), 3);
    log.add(log_row(4));
    log.add(log_row(5));
  }
  CHECK(file_content(folder / "log.csv") == csv);
  CHECK(file_content(folder / "log.jsonl") == json);
  for (std::size_t cut = 1; cut <= 26; ++cut) {  // killed within a line
    write_file(folder / "log.csv", csv.substr(0, csv.size() - cut));
    write_file(folder / "log.jsonl", json.substr(0, json.size() - cut));
    Log log(folder.path(), 4);
    log.add(log_row(5));
    CHECK(file_content(folder / "log.csv") == csv);
    CHECK(file_content(folder / "log.jsonl") == json);
  }
  Log restarted(folder.path(), 0);
  CHECK(file_content(folder / "log.csv") == header);
  CHECK(file_content(folder / "log.jsonl").empty());
}

TEST_CASE("a new log takes the place of a log alone") {
  for (const char* name : {"log.csv", "log.jsonl"}) {
    const Folder folder("log-of-others");
    for (const char* other : {"day,notes\n1,slept\n", "{\"a\": 1}", "x"}) {
      write_file(folder / name, other);
      CHECK_THAT(message([&] { Log(folder.path(), 0); }),
                 Catch::Contains(std::string(name) + ": is there, and no log of a run: a new one does not take its place"));
      CHECK(file_content(folder / name) == other);
    }
    for (const std::string& cut : {std::string(), std::string(name == std::string("log.csv") ? "st" : "{\"st")}) {
      write_file(folder / name, cut);
      CHECK(Log(folder.path(), 0).rows() == 0);
    }
  }
}

TEST_CASE("a log that lacks rows which a checkpoint knows of is not gone on with, and stays as it is") {
  const Folder folder("log-shortened");
  {
    Log log(folder.path(), 0, 7);  // with step 0 it begins anew, whatever there was
    for (std::size_t step = 1; step <= 5; ++step) log.add(log_row(step));
    CHECK(log.rows() == 5);
  }
  CHECK(Log(folder.path(), 5, 5).rows() == 5);
  CHECK(Log(folder.path(), 4, 4).rows() == 4);  // what is later than the checkpoint goes
  for (const char* name : {"log.csv", "log.jsonl"}) {
    const std::string whole = file_content(folder / name);
    const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1, before = whole.rfind('\n', last - 2) + 1;
    for (const std::string& changed :
         {whole.substr(0, last), whole.substr(0, before) + whole.substr(last), whole + whole.substr(last)}) {
      write_file(folder / name, changed);
      CHECK_THAT(message([&] { Log(folder.path(), 4, 4); }), Catch::StartsWith((folder / name).string() + ": has ") &&
                                                                 Catch::Contains("the checkpoint of that step knows of 4"));
      CHECK(file_content(folder / name) == changed);
      write_file(folder / name, whole);
    }
    std::filesystem::remove(folder / name);
    CHECK_THAT(message([&] { Log(folder.path(), 4, 4); }), Catch::Contains("has 0 rows up to step 4"));
    CHECK_FALSE(std::filesystem::exists(folder / name));
    write_file(folder / name, whole);
  }
  CHECK(Log(folder.path(), 3).rows() == 3);  // of a run of before nobody knows how many there were
}

TEST_CASE("both forms read back the same") {
  const Folder folder("log");
  Log log(folder.path(), 0);
  log.add({});
  for (std::size_t step = 1; step <= 3; ++step) log.add(log_row(step));
  const LogColumns csv = read_log(folder.path()), json = read_log(folder / "log.jsonl");
  REQUIRE(csv.size() == 8);
  REQUIRE(json.size() == 8);
  for (const auto& [name, column] : csv) {
    REQUIRE(json.at(name).size() == 4);
    REQUIRE(column.size() == 4);
    for (std::size_t i = 0; i < 4; ++i)
      CHECK((json.at(name)[i] == column[i] || (std::isnan(column[i]) && std::isnan(json.at(name)[i]))));
  }
  CHECK(csv.at("loss")[3] == 1.0 / 3);  // to the last bit
  CHECK(std::isnan(csv.at("valid_nats_per_token")[1]));
  CHECK(csv.at("valid_nats_per_token")[2] == 2.25);
}

TEST_CASE("other tables are read too; what is no table is an error with its line") {
  const Folder folder("log");
  write_file(folder / "a.csv", "x,y\r\n1,2\r\n3,\r\n");
  CHECK(read_log(folder / "a.csv").at("x") == std::vector<double>{1, 3});
  write_file(folder / "excel.csv", "\xef\xbb\xbfx,y\r\n1,2\r\n\r\n\n");
  CHECK(read_log(folder / "excel.csv") == LogColumns{{"x", {1}}, {"y", {2}}});
  write_file(folder / "blank.jsonl", "{\"x\": 1}\n\n");
  CHECK(read_log(folder / "blank.jsonl") == LogColumns{{"x", {1}}});
  write_file(folder / "empty.csv", "\n");
  CHECK_THAT(message([&] { read_log(folder / "empty.csv"); }), Catch::Contains("empty.csv: is empty"));
  write_file(folder / "gap.csv", "x,y\n\n1,2\n");
  CHECK_THAT(message([&] { read_log(folder / "gap.csv"); }), Catch::Contains("line 2 has 1 fields"));
  write_file(folder / "b.jsonl", "{\"x\": 1}\n{\"y\": 2, \"name\": \"text\"}\n");
  CHECK(read_log(folder / "b.jsonl").at("y")[1] == 2);
  write_file(folder / "mixed.jsonl", "{\"x\": null}\n{\"x\": 1}\n{\"x\": \"3\"}\n");
  CHECK_THAT(message([&] { read_log(folder / "mixed.jsonl"); }),
             Catch::EndsWith("mixed.jsonl: line 3: \"x\" is \"3\", in a line before it is a number"));
  CHECK(read_log(folder / "b.jsonl").at("x").size() == 2);
  write_file(folder / "c.csv", "x,y\n1,2,3\n");
  CHECK_THAT(message([&] { read_log(folder / "c.csv"); }), Catch::Contains("c.csv: line 2 has 3 fields, the first line 2"));
  write_file(folder / "twice.csv", "x,y,x\n1,2,3\n");
  CHECK_THAT(message([&] { read_log(folder / "twice.csv"); }), Catch::Contains("line 1: two columns are called \"x\""));
  write_file(folder / "twice.jsonl", "{\"x\": 1, \"x\": 2}\n");
  CHECK_THAT(message([&] { read_log(folder / "twice.jsonl"); }),
             Catch::Contains("line 1: ") && Catch::Contains("is there twice"));
  write_file(folder / "d.csv", "x,y\n1,two\n");
  CHECK_THAT(message([&] { read_log(folder / "d.csv"); }), Catch::Contains("line 2: \"two\" is not a number"));
  write_file(folder / "e.jsonl", "{\"x\": 1}\n{\"x\":\n");
  CHECK_THAT(message([&] { read_log(folder / "e.jsonl"); }), Catch::Contains("e.jsonl: line 2: not JSON"));
  CHECK_THAT(message([&] { read_log(folder / "none"); }), Catch::Contains("cannot be read"));
}

TEST_CASE("a log that cannot be written is an error") {
  if (!std::filesystem::exists("/dev/full")) return;
  const Folder folder("log");
  Log log(folder.path(), 0);
  log.add(log_row(1));
  std::filesystem::remove(folder / "log.csv");
  std::filesystem::create_symlink("/dev/full", folder / "log.csv");
  CHECK_THAT(message([&] { Log(folder.path(), 0); }), Catch::Contains("log.csv: cannot be written"));
}

TEST_CASE("a log that a link leads to is removed where it is, and the link stays") {
  const Folder folder("log-link");
  std::filesystem::create_directory(folder / "disk");
  std::filesystem::create_symlink("disk/rows.csv", folder / "log.csv");
  Log log(folder.path(), 0);
  CHECK(std::filesystem::exists(folder / "disk/rows.csv"));
  log.remove();
  CHECK(!std::filesystem::exists(folder / "disk/rows.csv"));
  CHECK(std::filesystem::is_symlink(folder / "log.csv"));
}

TEST_CASE("a log is removed where it is this one's own, and added to only there") {
  const Folder folder("log");
  Log log(folder.path(), 0);
  log.add(log_row(1));
  std::filesystem::rename(folder / "log.csv", folder / "away.csv");
  write_file(folder / "log.csv", "precious");
  CHECK_THAT(message([&] { log.add(log_row(2)); }), Catch::Contains("log.csv: another file has taken its place"));
  log.remove();
  CHECK(file_content(folder / "log.csv") == "precious");
  CHECK_FALSE(std::filesystem::exists(folder / "log.jsonl"));
}
