// The proof: is the database's schema the one that this program needs? To be asked before any other
// statement. It reads only, never creates a file, and costs a few milliseconds however many other
// tables there are: history first, then the fingerprint, and only if that differs the comparison
// object by object.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schema/compare.h"
#include "schema/migration.h"

namespace tertulia::schema {

enum class State {
  ready,       // equal: the program may run
  fresh,       // nothing there yet: to be made by migrating, without asking
  behind,      // migrations are pending
  ahead,       // made by a newer program
  drifted,     // differs from what its history says
  edited,      // the history names migrations that this program has otherwise
  unfinished,  // a migration broke off
  gap,         // a number is missing in the history
  older,       // of the older system, to be adopted
  foreign,     // of another program altogether
};
[[nodiscard]] std::string_view state_name(State state);

struct Proof {
  State state = State::fresh;
  int version = 0;                   // the database's
  int head = 0;                      // this program's
  std::vector<std::string> pending;  // by full name
  std::vector<Difference> differences;
  std::vector<std::string> notices;  // what is not ours and does no harm
  std::string why;                   // one sentence
  std::string remedy;                // one command; empty where nothing is to be done
  // Every migration that this program does not know lets older programs go on.
  bool is_compatible = false;

  [[nodiscard]] bool may_run() const {
    return state == State::ready || (state == State::ahead && is_compatible);
  }
  // For people: `why`, then what is pending or differs, a line each.
  [[nodiscard]] std::vector<std::string> lines() const;
  // Why the program does not run, with all of `lines` (only where it may not).
  [[nodiscard]] base::Error error() const;
};

// Works on a read-only connection, outside a transaction. What it says was so at one moment: on
// PostgreSQL it waits while another program migrates (timeout after a minute).
[[nodiscard]] base::Result<Proof> prove(db::Connection& connection,
                                        std::span<const Migration> migrations);
[[nodiscard]] base::Result<Proof> prove(db::Connection& connection);

// Opens the database for reading and proves it; a SQLite file that is absent is fresh, and is not
// made.
[[nodiscard]] base::Result<Proof> prove_at(const db::Location& location);

// The proof with nothing left out, and what only reading the rows can tell.
struct Verification {
  Proof proof;
  std::vector<std::string> broken_references;  // a line for each row
  std::vector<std::string> integrity;          // the engine's complaints about the file

  [[nodiscard]] bool good() const {
    return proof.state == State::ready && broken_references.empty() && integrity.empty();
  }
};
[[nodiscard]] base::Result<Verification> verify(db::Connection& connection);

}  // namespace tertulia::schema
