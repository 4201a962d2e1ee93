// embed_sql FOLDER NAMESPACE OUT_DIR writes sql.h and sql.cc with the named statements of a folder:
//   NAME.sql                               for both engines
//   NAME.sqlite.sql, NAME.postgres.sql     twins
// A statement begins with a line "-- name: identifier". A name that stands twice or in one twin
// only, an empty statement, and twins that use other parameters fail the build.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

struct Statement {
  std::string text;
  std::string where;
};
using Statements = std::map<std::string, Statement>;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  std::cerr << where << ": error: " << what << "\n";
  std::exit(1);
}

void read(const fs::path& path, Statements& into) {
  std::ifstream file(path);
  std::string line, name;
  int number = 0;
  while (std::getline(file, line)) {
    ++number;
    const std::string where = path.string() + ":" + std::to_string(number);
    if (line.rfind("-- name: ", 0) == 0) {
      name = line.substr(9);
      if (!std::regex_match(name, std::regex("[a-z][a-z0-9_]*")))
        fail(where, "a name is [a-z0-9_]");
      if (!into.emplace(name, Statement{"", where}).second) fail(where, name + " stands twice");
      continue;
    }
    if (line.rfind("--", 0) == 0 || line.find_first_not_of(" \t") == std::string::npos) continue;
    if (name.empty()) fail(where, "a statement without a name");
    into[name].text += line + "\n";
  }
}

std::set<std::string> parameters(const std::string& text) {
  static const std::regex parameter("\\$[0-9]+");
  return {std::sregex_token_iterator(text.begin(), text.end(), parameter),
          std::sregex_token_iterator()};
}

int main(int argc, char** argv) {
  if (argc != 4) fail("embed_sql", "usage: embed_sql FOLDER NAMESPACE OUT_DIR");
  const fs::path folder = argv[1], out = argv[3];
  const std::string space = argv[2];
  Statements common, sqlite, postgres;
  std::set<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.insert(entry.path());
  for (const auto& path : paths) {
    const std::string name = path.filename().string();
    if (name.ends_with(".sqlite.sql")) {
      read(path, sqlite);
    } else if (name.ends_with(".postgres.sql")) {
      read(path, postgres);
    } else if (name.ends_with(".sql")) {
      read(path, common);
    }
  }
  for (const auto& [name, statement] : sqlite) {
    if (!postgres.contains(name)) fail(statement.where, name + " has no twin for PostgreSQL");
    if (parameters(statement.text) != parameters(postgres[name].text) &&
        statement.text.find("$") != std::string::npos) {
      // A twin may use fewer parameters, never others.
      for (const auto& used : parameters(postgres[name].text))
        if (!parameters(statement.text).contains(used))
          fail(postgres[name].where, name + " uses " + used + ", its twin does not");
    }
  }
  for (const auto& [name, statement] : postgres)
    if (!sqlite.contains(name)) fail(statement.where, name + " has no twin for SQLite");
  std::map<std::string, std::pair<Statement, Statement>> all;
  for (const auto& [name, statement] : common) all[name] = {statement, statement};
  for (const auto& [name, statement] : sqlite) {
    if (all.contains(name)) fail(statement.where, name + " stands twice");
    all[name] = {statement, postgres[name]};
  }
  std::ostringstream header, source;
  header << "// Made by embed_sql from the named statements; do not edit.\n#pragma once\n\n"
         << "#include <span>\n\n#include \"db/connection.h\"\n\nnamespace " << space << " {\n\n";
  source << "// Made by embed_sql from the named statements; do not edit.\n#include "
            "\"store/sql.h\"\n\n"
         << "namespace " << space << " {\n\n";
  std::string list;
  for (const auto& [name, texts] : all) {
    if (texts.first.text.empty()) fail(texts.first.where, name + " is empty");
    if (texts.second.text.empty()) fail(texts.second.where, name + " is empty");
    header << "extern const db::Sql " << name << ";\n";
    source << "const db::Sql " << name << "{\"" << name << "\",\nR\"sql(" << texts.first.text
           << ")sql\",\nR\"sql(" << texts.second.text << ")sql\"};\n";
    list += "    &" + name + ",\n";
  }
  header << "\n// Every statement, by name.\nstd::span<const db::Sql* const> all();\n\n}  // "
            "namespace "
         << space << "\n";
  source << "\nstd::span<const db::Sql* const> all() {\n  static const db::Sql* const list[] = {\n"
         << list << "  };\n  return list;\n}\n\n}  // namespace " << space << "\n";
  fs::create_directories(out);
  std::ofstream(out / "sql.h") << header.str();
  std::ofstream(out / "sql.cc") << source.str();
  return 0;
}
