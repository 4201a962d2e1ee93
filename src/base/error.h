// Error says why an operation could not be done: a closed code for programs, and three texts for
// people. `message` may be shown to any client; `detail` is for the log only (it may hold SQL, file
// names, a server's words); `remedy` names what to do, best as one command. One function each maps
// a code to an exit status and to an HTTP status.
#pragma once

#include <string>
#include <string_view>

namespace tertulia::base {

enum class Code {
  not_found,     // the named thing is not there
  conflict,      // somebody else holds it, or it changed meanwhile
  invalid,       // the input is wrong; nothing was changed
  unavailable,   // a peer (model, server) could not be reached or refused to work
  storage,       // the database or the disk failed
  storage_full,  // the disk has no room: what was to be written was not, and may be when it has
  drift,         // the database's schema is not the one this program needs
  timeout,       // time ran out
  cancelled,     // somebody asked to stop
  rate_limited,  // a peer asks to come back later
  incomplete,    // an answer broke off before its end
  denied,        // not allowed
  internal,      // a defect of this program
};

[[nodiscard]] std::string_view code_name(Code code);

// The program's exit status for an error of this code (see docs/cli.md).
[[nodiscard]] int exit_status(Code code);

// The HTTP status for an error of this code.
[[nodiscard]] int http_status(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;
  std::string detail = {};
  std::string remedy = {};

  // The same error, told in the words of the caller: "CONTEXT: message".
  [[nodiscard]] Error in(std::string_view context) const;
};

}  // namespace tertulia::base
