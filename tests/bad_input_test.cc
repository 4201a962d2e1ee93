// Bad input: says what is wrong, where, and what to do; and changes nothing.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/flows.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;

void expect_in(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in:\n" << text;
}

TEST(BadInputTest, AllMistakesOfAFlowAreToldWithTheirPlaces) {
  World world;
  ASSERT_EQ(world.run({"db", "init"}).status, 0);
  const std::string flow = world.write("bad.yaml", R"(tertulia: 1
name: bad
roles:
  writer: { prompt: You write., modle: x }
steps:
  - speak: writter
    task: "{{topik}}"
  - loop:
      steps: [ { speak: writer, contxt: all } ]
  - call: writer
)");
  const Finished run = world.run({"run", flow, "--model", "rehearsal"});
  EXPECT_EQ(run.status, 2);
  expect_in(run.err, {"bad.yaml:4:", "'modle'", "did you mean 'model'", "bad.yaml:6:", "'writter'",
                      "did you mean 'writer'", "bad.yaml:7:", "topik", "bad.yaml:9:", "'contxt'",
                      "bad.yaml:10:", "there is no flow 'writer'", "nothing was stored"});
  EXPECT_EQ(world.run({"flow", "list", "--json"}).out.find("\"bad\""), std::string::npos);
  EXPECT_EQ(world.run({"session", "list", "--json"}).out, "{\"items\":[]}\n");
}

TEST(BadInputTest, WhatIsTooMuchIsRefusedWithTheLimit) {
  World world;
  const std::string head = "tertulia: 1\nname: big\nroles: { a: { prompt: p } }\nsteps:\n";
  std::string blocks;
  for (int i = 0; i < 10'000; ++i) blocks += std::string(static_cast<size_t>(i), ' ') + "-\n";
  struct Case {
    std::string name;
    std::string text;
    std::string words;
  };
  for (const Case& each :
       {Case{"flow-nested", head + std::string(10'000, '['), "nested deeper than"},
        Case{"block-nested", "a:\n" + std::string(200, '-') + "\n" + head, ""},
        Case{"huge", head + std::string(3'000'000, '#'), "bytes"},
        Case{"nul", head + std::string("  - speak: a\0b\n", 15), "NUL"},
        Case{"latin1", head + "  - speak: caf\xe9\n", "UTF-8"},
        Case{"aliases", "a: &x [1]\nb: *x\n", "anchors"}, Case{"empty", "", "mapping"}}) {
    const Finished check =
        world.run({"flow", "check", world.write(each.name + ".yaml", each.text)});
    EXPECT_EQ(check.status, 2) << each.name << check.out;
    expect_in(check.err, {each.words});
  }
  const Finished deep =
      world.run({"flow", "check", world.write("deep.yaml", blocks.substr(0, 900'000))});
  EXPECT_EQ(deep.status, 2) << deep.out << deep.err;
}

TEST(BadInputTest, WrongUsageIsExitTwo) {
  World world;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", "debate", "--nonsense"},
                                             {"nonsense"},
                                             {"session", "show", "99"},
                                             {"session", "log", "x"},
                                             {"run", "debbate"},
                                             {"run", "debate", "--model", "nonsense"},
                                             {"run", "debate", "--model", "rehearsal?latancy=1s"},
                                             {"run", "debate", "--var", "x=1"},
                                             {"run", "debate", "--role", "nobody=Chair"},
                                             {"run", "debate", "--var", "x"},
                                             {"session", "list", "--db", "mysql://x/y"}}) {
    const Finished run = world.run(arguments);
    EXPECT_EQ(run.status, 2) << arguments.back() << run.out << run.err;
    EXPECT_FALSE(run.err.empty());
  }
  expect_in(world.run({"run", "debbate"}).err, {"did you mean 'debate'"});
  expect_in(world.run({"run", "debate", "--model", "rehearsal?latancy=1s"}).err, {"latency"});
  EXPECT_EQ(world.run({"--help"}).status, 0);
}

TEST(BadInputTest, WhatIsNoDatabaseIsExitThreeAndUntouched) {
  World world;
  const std::string notes = "Somebody's notes. " + std::string(2000, 'x');
  world.database = world.write("notes.txt", notes);
  const Finished run = world.run({"run", "debate", "--model", "rehearsal"});
  EXPECT_EQ(run.status, 3) << run.err;
  expect_in(run.err, {"not a SQLite database", "notes.txt"});
  EXPECT_EQ(read_file(world.database), notes);
  const Finished status = world.run({"db", "status"});
  EXPECT_EQ(status.status, 3);

  world.database = fs::path(world.database).parent_path().string();
  const Finished folder = world.run({"db", "status"});
  EXPECT_EQ(folder.status, 3) << folder.err;
  expect_in(folder.err, {"folder"});

  world.database = "postgresql://nobody:secret@127.0.0.1:1/none";
  const Finished server = world.run({"session", "list"});
  EXPECT_EQ(server.status, 3) << server.err;
  expect_in(server.err, {"127.0.0.1"});
  EXPECT_EQ(server.err.find("secret"), std::string::npos);
}

TEST(BadInputTest, AZeroByteFileIsAFreshDatabase) {
  World world;
  world.database = world.write("empty.db", "");
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  const Finished run = world.run({"run", flow, "--model", "rehearsal"});
  EXPECT_EQ(run.status, 0) << run.err;
}

TEST(BadInputTest, DoctorAndStatusMakeNothing) {
  World world;
  EXPECT_EQ(world.run({"doctor"}).status, 0);
  EXPECT_EQ(world.run({"db", "status"}).status, 3);
  EXPECT_FALSE(fs::exists(world.database));
}

TEST(BadInputTest, AWrongConfigurationIsToldWithItsPlace) {
  World world;
  const std::string config =
      world.write("config.yaml", "model: main\nmodels:\n  main:\n    providr: openai\n");
  const Finished run = world.run({"model", "list", "--config", config});
  EXPECT_EQ(run.status, 2);
  expect_in(run.err, {"config.yaml:4:5", "'providr'", "did you mean 'provider'"});
  const std::string key = world.write(
      "key.yaml", "models: { m: { provider: openai, model: x, key: sk-secret-1234 } }\n");
  const Finished leaked = world.run({"model", "list", "--config", key});
  EXPECT_EQ(leaked.status, 2);
  EXPECT_EQ(leaked.err.find("sk-secret"), std::string::npos);
}

}  // namespace
}  // namespace tertulia::test
