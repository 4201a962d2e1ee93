#include "cli/server_choice.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace tertulia::cli {
namespace {

constexpr std::size_t kMostTokenBytes = 4096;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Who says it nearest: a flag, the environment, a file, nobody.
int rank(const Setting& setting) {
  if (setting.source.rfind("--", 0) == 0) return 3;
  if (setting.source.rfind("TERTULIA_", 0) == 0) return 2;
  return setting.source == "built-in" ? 0 : 1;
}

// A file with a token and nothing else.
base::Result<std::string> read_token(const std::string& path) {
  const auto failed = [&](const std::string& why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("the token file {}: {}", path, why),
                       .remedy = "write the token into it, alone, so that only you can read it"};
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed(std::strerror(errno));
  std::string text(kMostTokenBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return failed("cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return failed("is empty");
  text = text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
  if (text.size() >= kMostTokenBytes - 4 || text.find_first_of(" \t\r\n") != std::string::npos)
    return failed("holds more than a token");
  return text;
}

base::Result<std::string> token_for(const Config::Remote& remote, const ServerFlags& flags) {
  if (!flags.token_file.empty()) return read_token(flags.token_file);
  const std::string bound_to = environment("TERTULIA_SERVER");
  if (std::string token = environment("TERTULIA_TOKEN");
      !token.empty() && (bound_to.empty() || remote::is_same_server(bound_to, remote.url.value)))
    return token;
  if (!remote::is_same_server(remote.configured_url, remote.url.value)) return std::string();
  if (!remote.token_file.empty()) return read_token(remote.token_file);
  return remote.token_env.empty() ? std::string() : environment(remote.token_env.c_str());
}

}  // namespace

base::Result<std::optional<remote::ServerAddress>> choose_server(const Config& config,
                                                                 const ServerFlags& flags) {
  const Config::Remote& remote = config.remote;
  if (remote.url.value.empty() || rank(config.database) > rank(remote.url))
    return std::optional<remote::ServerAddress>();
  if (rank(config.database) == 3)
    return base::Error{.code = base::Code::invalid,
                       .message = "--db names a database and --server a server",
                       .remedy = "a command works on one of them: leave the other out"};
  auto token = token_for(remote, flags);
  if (!token) return token.error();
  const bool is_configured = remote::is_same_server(remote.configured_url, remote.url.value);
  return std::optional(remote::ServerAddress{.url = remote.url.value,
                                             .token = *std::move(token),
                                             .ca_file = !flags.ca_file.empty() ? flags.ca_file
                                                        : is_configured        ? remote.ca_file
                                                                               : std::string(),
                                             .allows_plain_http = flags.allows_plain_http});
}

base::Error not_through_server(const std::string& what) {
  return {.code = base::Code::invalid,
          .message = what + " works on the machine that has the database, and not through a server",
          .remedy =
              "leave --server out (or unset TERTULIA_SERVER) and name the database with --db, "
              "or give the command on the server's machine"};
}

}  // namespace tertulia::cli
