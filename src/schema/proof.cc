#include "schema/proof.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "db/value.h"
#include "schema/adoption.h"
#include "schema/declared.h"
#include "schema/history.h"
#include "schema/scratch.h"

namespace tertulia::schema {
namespace {

// Indexes that are not ours do no harm and are common: they must not cost a full comparison.
std::vector<std::string> take_away_foreign_indexes(SchemaShape& shape) {
  std::vector<std::string> notices;
  for (auto& table : shape.tables) {
    const TableDescription* declared = find_declared(table.first);
    if (declared == nullptr) continue;
    std::erase_if(table.second.indexes, [&](const auto& index) {
      const bool is_ours = std::any_of(declared->indexes.begin(), declared->indexes.end(),
                                       [&](const Index& each) { return each.name == index.first; });
      if (!is_ours)
        notices.push_back(fmt::format("{}: index {} {} is not Tertulia's", table.first, index.first,
                                      index.second.words()));
      return !is_ours;
    });
  }
  return notices;
}

class Proving final {
 public:
  Proving(db::Connection& connection, std::span<const Migration> migrations)
      : connection_(connection), migrations_(migrations) {}

  base::Result<Proof> prove() {
    auto situation = read_situation(connection_);
    if (!situation) return situation.error();
    proof_.version = situation->version();
    proof_.head = static_cast<int>(migrations_.size());
    auto [standing, why] = judge(*situation, migrations_);
    base::Result<void> done;
    switch (standing) {
      case Standing::fresh:
        conclude(State::fresh, "the database is empty", "tertulia db init");
        break;
      case Standing::foreign:
        done = prove_foreign(std::move(why));
        break;
      case Standing::unfinished:
        conclude(State::unfinished, std::move(why),
                 can_go_on(*situation, migrations_, true) ? "tertulia db migrate"
                                                          : "restore the backup made before it");
        break;
      case Standing::gap:
        conclude(State::gap, std::move(why), "restore a backup");
        break;
      case Standing::edited:
        conclude(State::edited, std::move(why), "use the program that made this database");
        break;
      case Standing::current:
        done = prove_current(situation->shape);
        break;
      case Standing::behind:
        done = prove_behind(situation->shape);
        break;
      case Standing::ahead:
        done = prove_ahead(*situation);
        break;
    }
    if (!done) return done.error();
    return std::move(proof_);
  }

 private:
  void conclude(State state, std::string why, std::string remedy) {
    proof_.state = state;
    proof_.why = std::move(why);
    proof_.remedy = std::move(remedy);
  }

  const Migration& at(int version) const {
    return migrations_[static_cast<std::size_t>(version) - 1];
  }

  // The older system's, or another program's.
  base::Result<void> prove_foreign(std::string words) {
    if (connection_.engine() == db::Engine::sqlite) {
      auto found = recognise(connection_);
      if (!found) return found.error();
      if (found->origin == Origin::older) {
        proof_.differences = std::move(found->missing);
        auto file =
            db::read_text(connection_, "SELECT file FROM pragma_database_list WHERE name = 'main'");
        if (!file) return file.error();
        conclude(State::older, "this is a database of the older system",
                 fmt::format("tertulia db adopt {}", *file));
        return {};
      }
      if (!found->why.empty()) words = std::move(found->why);
    }
    conclude(State::foreign, fmt::format("this database is another program's: {}", words),
             "name another database with --db");
    return {};
  }

  base::Result<void> prove_current(SchemaShape& shape) {
    conclude(
        State::ready,
        fmt::format("the schema is {}, as this program needs it", at(proof_.version).full_name()),
        {});
    if (fingerprint(shape) == at(proof_.version).fingerprint) return {};
    SchemaShape ours = shape;
    proof_.notices = take_away_foreign_indexes(ours);
    if (fingerprint(ours) == at(proof_.version).fingerprint) return {};
    auto expected = declared_shape(connection_);
    if (!expected) return expected.error();
    take(compare(*expected, shape));
    if (proof_.differences.empty()) return {};
    const bool all_can_be_added =
        std::all_of(proof_.differences.begin(), proof_.differences.end(),
                    [](const Difference& difference) { return difference.can_be_added; });
    drifted(all_can_be_added ? "tertulia db repair"
                             : "restore a backup, or change by hand what is named, then run: "
                               "tertulia db status");
    return {};
  }

  base::Result<void> prove_behind(const SchemaShape& shape) {
    for (const auto& migration : migrations_.subspan(static_cast<std::size_t>(proof_.version)))
      proof_.pending.push_back(migration.full_name());
    conclude(State::behind,
             fmt::format("the schema is {}, this program needs {}", at(proof_.version).full_name(),
                         at(proof_.head).full_name()),
             "tertulia db migrate");
    if (fingerprint(shape) == at(proof_.version).fingerprint) return {};
    auto expected = shape_of_version(connection_, migrations_, proof_.version);
    if (!expected) return expected.error();
    take(compare(*expected, shape));
    // `db repair` adds what the head lacks, and this is not the head.
    for (auto& difference : proof_.differences)
      if (difference.can_be_added)
        difference.remedy = "restore a backup, or add it by hand and run: tertulia db migrate";
    if (!proof_.differences.empty())
      drifted("restore a backup, or change by hand what is named, then run: tertulia db migrate");
    return {};
  }

  // What a newer program added is its own affair; what this one needs must be there.
  base::Result<void> prove_ahead(const Situation& situation) {
    proof_.is_compatible = std::all_of(situation.rows.begin() + proof_.head, situation.rows.end(),
                                       [](const HistoryRow& row) { return row.compatible; });
    conclude(State::ahead,
             fmt::format("the schema is {} (by Tertulia {}), this program knows {}",
                         situation.rows.back().full_name(), situation.rows.back().program_version,
                         at(proof_.head).full_name()),
             fmt::format("use Tertulia {} or newer; or roll back with it: tertulia db rollback "
                         "--to {}",
                         situation.rows.back().program_version, proof_.head));
    if (!proof_.is_compatible) return {};
    auto expected = declared_shape(connection_);
    if (!expected) return expected.error();
    take(compare(*expected, situation.shape));
    std::erase_if(proof_.differences, [](const Difference& difference) {
      return difference.kind == Difference::Kind::unexpected;
    });
    if (!proof_.differences.empty()) drifted(proof_.remedy);
    return {};
  }

  void take(Comparison comparison) {
    proof_.differences = std::move(comparison.differences);
    proof_.notices = std::move(comparison.notices);
  }

  void drifted(std::string remedy) {
    const auto count = proof_.differences.size();
    conclude(State::drifted,
             fmt::format("the schema differs from {} in {} place{}",
                         at(std::min(proof_.version, proof_.head)).full_name(), count,
                         count == 1 ? "" : "s"),
             std::move(remedy));
  }

  db::Connection& connection_;
  std::span<const Migration> migrations_;
  Proof proof_;
};

}  // namespace

std::string_view state_name(State state) {
  switch (state) {
    case State::ready:
      return "ready";
    case State::fresh:
      return "fresh";
    case State::behind:
      return "behind";
    case State::ahead:
      return "ahead";
    case State::drifted:
      return "drifted";
    case State::edited:
      return "edited";
    case State::unfinished:
      return "unfinished";
    case State::gap:
      return "gap";
    case State::older:
      return "older";
    case State::foreign:
      return "foreign";
  }
  return {};
}

std::vector<std::string> Proof::lines() const {
  std::vector<std::string> lines = {why};
  for (const auto& name : pending) lines.push_back(fmt::format("pending: {}", name));
  for (const auto& difference : differences) lines.push_back(difference.words());
  for (const auto& notice : notices) lines.push_back(fmt::format("notice: {}", notice));
  return lines;
}

base::Error Proof::error() const {
  return {.code = base::Code::drift,
          .message = fmt::format("{}", fmt::join(lines(), "\n")),
          .remedy = remedy};
}

base::Result<Proof> prove(db::Connection& connection, std::span<const Migration> migrations) {
  return Proving(connection, migrations).prove();
}

base::Result<Proof> prove(db::Connection& connection) {
  return prove(connection, migrations(connection.engine()));
}

base::Result<Proof> prove_at(const db::Location& location) {
  auto connection = db::open(location, {.access = db::Access::read});
  if (connection) return prove(**connection);
  if (connection.error().code != base::Code::not_found || location.engine != db::Engine::sqlite)
    return connection.error();
  return Proof{.state = State::fresh,
               .version = 0,
               .head = static_cast<int>(migrations(location.engine).size()),
               .pending = {},
               .differences = {},
               .notices = {},
               .why = fmt::format("there is no database at {} yet", location.shown()),
               .remedy = "tertulia db init"};
}

}  // namespace tertulia::schema
