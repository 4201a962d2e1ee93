// Taking over a SQLite file of the older system, as far as its shape goes: what it is, and how its
// tables become those of this program's head with every row kept. What its rows mean to flows and
// sessions is src/adopt's.
//
// `recognise` only reads. `adopt_structure` works inside the caller's transaction, which was begun
// with foreign keys off (rebuild.h) and legacy_alter_table on; where it fails the caller rolls back
// and the file is as it was.
//
// What was found and done goes to adopted_notes, values that lost their place to adopted_leftovers.
// A time in the older system's own form (YYYY-MM-DD HH:MM:SS.ffffff) is written as ISO 8601, and
// leaves no leftover: it can be read back from what stands there. Any other change of a value does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"
#include "schema/compare.h"

namespace tertulia::schema {

// The kinds of notes.
namespace note {
inline constexpr std::string_view kOrphan = "orphan";          // a reference that leads nowhere
inline constexpr std::string_view kFilled = "filled";          // a value that must be there was not
inline constexpr std::string_view kUnreadable = "unreadable";  // a value that means nothing
inline constexpr std::string_view kRenamed = "renamed";        // a name that was not unique
inline constexpr std::string_view kRenumbered = "renumbered";  // an order that was used twice
inline constexpr std::string_view kDropped = "dropped";        // a trigger or index
inline constexpr std::string_view kMissing = "missing";  // a table or column that was not there
inline constexpr std::string_view kIgnored = "ignored";  // what had or has no effect
inline constexpr std::string_view kSpeaker = "speaker";  // a speaker of another session
inline constexpr std::string_view kUnfit = "unfit";      // a session that cannot be gone on with
inline constexpr std::string_view kAdopted = "adopted";  // what became of a flow or session
inline constexpr std::string_view kCopied = "copied";    // what a copy did about an orphan (copy.h)
}  // namespace note

struct AdoptionNote {
  std::string_view kind;
  std::string_view table;
  std::optional<std::int64_t> row;
  std::string_view column;  // empty: none
  std::string words;
};
[[nodiscard]] base::Result<void> write_note(db::Connection& connection, const AdoptionNote& note,
                                            base::Timestamp now);
// Keeps a value that is about to change or go.
[[nodiscard]] base::Result<void> keep_leftover(db::Connection& connection, std::string_view table,
                                               std::int64_t row, std::string_view column,
                                               std::string_view value);

enum class Origin { fresh, ours, older, foreign };

struct Recognition {
  Origin origin = Origin::fresh;
  std::string why;                   // of foreign: one sentence
  std::vector<std::string> tables;   // ours that are there, in the order of declaration
  std::vector<Difference> missing;   // tables, columns and indexes of versions 1 to 4: of older
  std::vector<std::string> unknown;  // tables that are not ours, which are left alone
  // The last version whose tables and columns are all there: 0 to 4.
  int satisfied = 0;
};
[[nodiscard]] base::Result<Recognition> recognise(db::Connection& connection);

struct AdoptedTable {
  std::string table;
  std::int64_t rows = 0;
  bool was_there = true;
};
// Brings the file to this program's head. Conflict where rows cannot be kept; internal where the
// result is not the head's schema to the letter.
[[nodiscard]] base::Result<std::vector<AdoptedTable>> adopt_structure(
    db::Connection& connection, const Recognition& recognition, base::Timestamp now);

// Notes every reference that leads nowhere and is not noted yet: `db verify` then takes it as
// known. After all that repairs references.
[[nodiscard]] base::Result<void> note_orphans(db::Connection& connection, base::Timestamp now);

}  // namespace tertulia::schema
