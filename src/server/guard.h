// Guard decides, from a request's head alone, whether it is let in: before its body is read, before
// anything is looked up. It is the one place for who may speak to the server and how.
//
// - The Host field must be one of the names that the server is configured to have, exactly: another
//   name is how a web page elsewhere reaches a server on this machine (DNS rebinding).
// - A page of another origin is refused, whatever it asks (Origin, Sec-Fetch-Site), unless CORS
//   allows it by name.
// - What changes something is sent as application/json, which a plain form cannot.
// - A token comes in the Authorization field, never in the address, which logs keep.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http.h"

namespace tertulia::server {

struct GuardOptions {
  std::vector<std::string> hosts;         // as they stand in Host fields: "localhost:5010"
  std::vector<std::string> cors_origins;  // "https://app.example"; none: CORS is off
  bool needs_token = false;               // else a request without one is a local caller's
  std::string scheme = "http";
};

// Who holds the token, or why nobody may use it (denied).
using TokenLookup = std::function<base::Result<Caller>(std::string_view token)>;

// The head of a request, as it came.
struct Head {
  std::string method;
  std::string target;
  int version = 11;  // 10 or 11
  // By lower-case name, in the order in which they came; a name may come twice.
  std::vector<std::pair<std::string, std::string>> fields;

  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
  // The only one of that name, or "".
  [[nodiscard]] std::string_view one(std::string_view name) const;
};

class Guard final {
 public:
  Guard(GuardOptions options, TokenLookup tokens);

  // Nothing where the head is let in; else the refusal. Does not look at the token.
  [[nodiscard]] std::optional<Response> refuse(const Head& head) const;

  // The caller, or the refusal (401).
  [[nodiscard]] std::optional<Response> identify(const Head& head, Caller& caller) const;

  // The refusal (403) where the caller's scope is below what is needed.
  [[nodiscard]] static std::optional<Response> refuse_scope(const Caller& caller, Scope needed);

  // Fields that a browser of an allowed origin needs with the answer; empty where CORS is off.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> cors_fields(
      const Head& head) const;

 private:
  const GuardOptions options_;
  const TokenLookup tokens_;
};

// Compares in a time that does not depend on where they differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace tertulia::server
