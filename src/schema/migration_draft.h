// A migration's texts, drafted from where the history stands and what the model declares. For
// authors (script/new-migration); no program that runs on a database drafts anything.
//
// It drafts what both engines do in place: tables, columns and indexes, new or gone. A column that
// changes its type, its default or whether it may be NULL, a key or a check more or less on a table
// that stays: for those SQLite must rebuild the table, and the draft is refused with their names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/description.h"
#include "schema/migration.h"
#include "schema/shape.h"

namespace tertulia::schema {

struct MigrationDraft {
  std::vector<std::string> changes;  // "adds column roles.motto", in words
  std::vector<std::string> up;       // statements, without semicolons
  std::vector<std::string> down;
  std::string irreversible;  // why there is no way down; then `down` is empty
  std::string fingerprint;   // after the up; left to `draft_from_model`
};

// Leads from `head` to `wanted` and back; nothing where they are equal. `declared` are the tables
// of `wanted`, each after those it refers to. Invalid where it cannot be drafted, with all reasons.
[[nodiscard]] base::Result<MigrationDraft> draft_migration(
    db::Engine engine, const SchemaShape& head, const SchemaShape& wanted,
    std::span<const TableDescription> declared);

// From the end of `history` to the declared model, on the engine of `connection`; proved in scratch
// tables, there and back, before it is returned. Invalid also where the history makes a table that
// the model has no more and `kFormerTables` does not name yet: fingerprints cover it.
[[nodiscard]] base::Result<MigrationDraft> draft_from_model(db::Connection& connection,
                                                            std::span<const Migration> history);

struct DraftedFile {
  std::string name;  // "up.sqlite.sql"; "up.sql" where both engines read the same
  std::string text;
};
// `why` is the first comment; without it, what changes.
[[nodiscard]] std::vector<DraftedFile> migration_files(const MigrationDraft& sqlite,
                                                       const MigrationDraft& postgres,
                                                       std::string_view why);

}  // namespace tertulia::schema
