// embed_sql FOLDER NAMESPACE OUT_DIR writes sql.h and sql.cc with the named statements of a folder:
//   NAME.sql                               for both engines
//   NAME.sqlite.sql, NAME.postgres.sql     twins
// A statement begins with a line "-- name: identifier". Lines that several statements have in
// common stand once in the folder, after a line "-- part: identifier", and where "-- use:
// identifier" says so. A name that stands twice or in one twin only, an empty statement, twins that
// use other parameters, and a part that is not there or not used fail the build.
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

// The name in a line that begins so; empty where it does not.
std::string name_after(const std::string& begin, const std::string& line,
                       const std::string& where) {
  if (line.rfind(begin, 0) != 0) return {};
  const std::string name = line.substr(begin.size());
  if (!std::regex_match(name, std::regex("[a-z][a-z0-9_]*"))) fail(where, "a name is [a-z0-9_]");
  return name;
}

void read_parts(const fs::path& path, Statements& parts) {
  std::ifstream file(path);
  std::string line, name;
  int number = 0;
  while (std::getline(file, line)) {
    const std::string where = path.string() + ":" + std::to_string(++number);
    if (const std::string part = name_after("-- part: ", line, where); !part.empty()) {
      name = part;
      if (!parts.emplace(name, Statement{"", where}).second) fail(where, name + " stands twice");
    } else if (line.rfind("-- name: ", 0) == 0) {
      name.clear();
    } else if (!name.empty() && line.rfind("--", 0) != 0 && !line.empty()) {
      parts[name].text += line + "\n";
    }
  }
}

void read(const fs::path& path, const Statements& parts, std::set<std::string>& used,
          Statements& into) {
  std::ifstream file(path);
  std::string line, name;
  bool in_part = false;
  int number = 0;
  while (std::getline(file, line)) {
    ++number;
    const std::string where = path.string() + ":" + std::to_string(number);
    if (const std::string found = name_after("-- name: ", line, where); !found.empty()) {
      name = found;
      in_part = false;
      if (!into.emplace(name, Statement{"", where}).second) fail(where, name + " stands twice");
      continue;
    }
    in_part = in_part || line.rfind("-- part: ", 0) == 0;
    if (in_part) continue;
    if (const std::string part = name_after("-- use: ", line, where); !part.empty()) {
      if (!parts.contains(part)) fail(where, "there is no part " + part);
      used.insert(part);
      line = parts.at(part).text;
      line.pop_back();
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
  Statements parts;
  std::set<std::string> used_parts;
  for (const auto& path : paths)
    if (path.extension() == ".sql") read_parts(path, parts);
  for (const auto& path : paths) {
    const std::string name = path.filename().string();
    if (name.ends_with(".sqlite.sql")) {
      read(path, parts, used_parts, sqlite);
    } else if (name.ends_with(".postgres.sql")) {
      read(path, parts, used_parts, postgres);
    } else if (name.ends_with(".sql")) {
      read(path, parts, used_parts, common);
    }
  }
  for (const auto& [name, part] : parts)
    if (!used_parts.contains(name)) fail(part.where, "no statement uses the part " + name);
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
