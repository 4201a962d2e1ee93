// tertulia doctor and version: what is in force on this machine.
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <filesystem>

#include "cli/context.h"
#include "cli/terminal.h"
#include "db/sqlite_connection.h"
#include "schema/proof.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

json::object versions() {
  json::object out;
  out["tertulia"] = TERTULIA_VERSION;
  out["sqlite"] = db::sqlite_version();
  out["language"] = 1;
  return out;
}

base::Result<int> version(Context& context) {
  if (context.json) {
    print_json(versions());
  } else {
    fmt::print("tertulia {} (SQLite {}, flow language 1)\n", TERTULIA_VERSION,
               db::sqlite_version());
  }
  return kExitDone;
}

std::string free_space(const db::Location& location) {
  if (location.engine != db::Engine::sqlite) return "on the server";
  struct statvfs disk {};
  const auto folder = std::filesystem::absolute(location.target).parent_path();
  if (::statvfs(folder.c_str(), &disk) != 0) return "unknown";
  return fmt::format("{:.1f} GB free",
                     static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / 1e9);
}

// How the database behind a server stands; true where the server can work.
bool look_there(const remote::ApiClient& server, json::object& out) {
  auto told = server.get("/api/v1/schema");
  if (!told) {
    out["schema"] = told.error().message;
    if (!told.error().remedy.empty()) out["remedy"] = told.error().remedy;
    return false;
  }
  const auto text = [&](const char* name) {
    const json::value* value = told->if_contains(name);
    if (value == nullptr) return std::string();
    return value->is_string() ? std::string(value->get_string()) : base::to_text(*value);
  };
  out["schema"] = fmt::format("{}, version {} of {}", text("state"), text("version"), text("head"));
  const bool good = text("differences") == "[]";
  if (!good) out["remedy"] = text("remedy");
  return good;
}

// The same of the database here.
bool look_here(const db::Location& location, json::object& out) {
  out["disk"] = free_space(location);
  auto proof = schema::prove_at(location);
  if (!proof) {
    out["schema"] = proof.error().message;
    return false;
  }
  const bool good = proof->may_run() || proof->state == schema::State::fresh;
  out["schema"] = fmt::format("{}, version {} of {}", schema::state_name(proof->state),
                              proof->version, proof->head);
  if (!proof->remedy.empty() && !good) out["remedy"] = proof->remedy;
  return good;
}

base::Result<int> doctor(Context& context) {
  auto config = context.config();
  if (!config) return config.error();
  auto server = context.server();
  if (!server) return server.error();
  std::optional<db::Location> database;
  if (*server == nullptr) {
    auto location = context.location();
    if (!location) return location.error();
    database = *std::move(location);
  }
  json::object out = versions();
  const auto setting = [&](const char* name, std::string value, const std::string& source) {
    json::object one;
    one["value"] = std::move(value);
    one["source"] = source;
    out[name] = std::move(one);
  };
  if (database) {
    setting("database", database->shown(), (*config)->database.source);
  } else {
    setting("server", (*server)->url(), (*config)->remote.url.source);
    out["token"] = (*server)->has_token() ? "***" : "none";
  }
  setting("model", (*config)->model.value, (*config)->model.source);
  setting("log", (*config)->log.value, (*config)->log.source);
  json::array files;
  for (const auto& file : (*config)->files) files.emplace_back(file);
  out["config_files"] = std::move(files);
  json::array profiles;
  for (const auto& name : (*config)->profile_names()) profiles.emplace_back(name);
  out["profiles"] = std::move(profiles);
  const bool good = database ? look_here(*database, out) : look_there(**server, out);
  if (context.json) {
    print_json(out);
  } else {
    for (const auto& member : out) {
      const json::value& value = member.value();
      std::string words =
          value.is_string() ? std::string(value.get_string()) : base::to_text(value);
      if (value.is_object())
        words = fmt::format("{}  ({})", std::string_view(value.at("value").get_string()),
                            std::string_view(value.at("source").get_string()));
      fmt::print("{:<13} {}\n", std::string_view(member.key()), safe_for_terminal(words));
    }
  }
  return good ? kExitDone : kExitDatabase;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("doctor", "What is in force: versions, configuration, database");
  run_on_parse(
      *command, [&context] { return doctor(context); }, Place::anywhere);
  auto* versions_command = app.add_subcommand("version", "The program's version");
  run_on_parse(
      *versions_command, [&context] { return version(context); }, Place::anywhere);
  app.set_version_flag("--version", std::string("tertulia ") + TERTULIA_VERSION);
}

}  // namespace tertulia::cli
