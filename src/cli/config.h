// Config is what is in force for this run of the program: built-in values, then the files, then the
// environment, then flags; each value knows where it came from. Keys of models are never in it,
// only where they are.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "llm/profile.h"

namespace tertulia::cli {

struct Setting {
  std::string value;
  std::string source;  // "built-in", a file's path, "TERTULIA_DB", "--db"
};

struct Config {
  Setting database;
  Setting model;   // a profile's name or a model's specification
  Setting log;     // error, warn, info, debug
  Setting listen;  // of `serve`
  struct Server {
    std::vector<std::string> hosts;         // that Host fields may name, beside the address
    std::vector<std::string> cors_origins;  // of pages that may use the API
    bool require_token = false;             // also on this machine
    std::string certificate;                // files, PEM
    std::string key;
    std::int64_t requests_per_minute = 60'000;  // of one caller; 0: no limit
  };
  Server server;
  // A server elsewhere, through which commands work instead of on the database.
  struct Remote {
    Setting url;            // empty: none
    std::string token_env;  // where the token for `configured_url` is
    std::string token_file;
    std::string configured_url;  // the files' own: their token goes nowhere else
    std::string ca_file;
  };
  Remote remote;
  std::map<std::string, llm::ModelProfile> models;
  std::map<std::string, std::string> model_sources;  // by profile: the file that has it
  std::vector<std::string> files;                    // read, in order

  // A profile by name, or by specification (provider/model[@base-url]); an error says what there
  // is.
  [[nodiscard]] base::Result<llm::ModelProfile> profile(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> profile_names() const;

  // Whether the configuration gives this profile's key to this profile's URL: what a session keeps
  // of its profiles may come from anywhere. A key that the environment binds to a protocol's own
  // server (OPENAI_API_KEY ...) needs no profile; llm::make_provider sees to it. Denied, with a
  // remedy, else.
  [[nodiscard]] base::Result<void> allows_key(const llm::ModelProfile& profile) const;
};

// What flags say; empty where they say nothing.
struct ConfigFlags {
  std::string config_file;
  std::string database;
  std::string model;
  std::string log;
  std::string listen;
  std::string server;
};

// Reads files and environment. Invalid with file, line and column where a file is wrong; unknown
// keys are errors.
[[nodiscard]] base::Result<Config> load_config(const ConfigFlags& flags);

}  // namespace tertulia::cli
