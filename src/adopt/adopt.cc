#include "adopt/adopt.h"

#include <fmt/format.h>

#include "adopt/translate.h"
#include "db/value.h"
#include "schema/rebuild.h"
#include "store/flows.h"
#include "store/sql.h"

namespace tertulia::adopt {
namespace {

base::Result<void> read_notes(db::Connection& connection, Adoption& adoption) {
  auto notes = connection.each(store::sql::list_adopted_notes, {},
                               [&](const db::Row& row) -> base::Result<void> {
                                 NoteLine line{.kind = std::string(row.text(0)),
                                               .table = std::string(row.text(1)),
                                               .row = {},
                                               .column = std::string(row.text(3)),
                                               .words = std::string(row.text(4))};
                                 if (!row.is_null(2)) line.row = row.integer(2);
                                 adoption.notes.push_back(std::move(line));
                                 return {};
                               });
  if (!notes) return notes.error();
  auto leftovers = db::read_integer(connection, store::sql::count_adopted_leftovers);
  if (!leftovers) return leftovers.error();
  adoption.leftovers = *leftovers;
  return {};
}

base::Result<void> adopt_all(db::Connection& connection, const SessionSettings& settings,
                             Adoption& adoption) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  auto tables = schema::adopt_structure(connection, adoption.found, settings.now);
  if (!tables) return tables.error();
  adoption.tables = *std::move(tables);
  auto roles = store::list_roles(connection);
  if (!roles) return roles.error();
  auto flows = Flows::adopt(connection, *roles, settings.now);
  if (!flows) return flows.error();
  auto sessions = adopt_sessions(connection, *flows, *roles, settings);
  if (!sessions) return sessions.error();
  adoption.sessions = *sessions;
  if (auto noted = schema::note_orphans(connection, settings.now); !noted) return noted;
  for (const AdoptedFlow& flow : flows->all())
    adoption.flows.push_back({flow_name(flow.template_id), flow.title, flow.why_not});
  if (auto read = read_notes(connection, adoption); !read) return read;
  return transaction->commit();
}

}  // namespace

base::Result<Adoption> adopt_database(db::Connection& connection, const SessionSettings& settings) {
  Adoption adoption;
  auto found = schema::recognise(connection);
  if (!found) return found.error();
  adoption.found = *std::move(found);
  switch (adoption.found.origin) {
    case schema::Origin::ours:
      return adoption;
    case schema::Origin::fresh:
      return base::Error{.code = base::Code::invalid,
                         .message = "the file is empty: there is nothing to adopt",
                         .remedy = "tertulia db init"};
    case schema::Origin::foreign:
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("this is no database of the older system: {}; it was not touched",
                                 adoption.found.why),
          .remedy = "name another file"};
    case schema::Origin::older:
      break;
  }
  auto off = schema::ForeignKeysOff::begin(connection);
  if (!off) return off.error();
  // Setting tables aside must not rewrite what other tables and views say of them.
  if (auto set = connection.run_script("PRAGMA legacy_alter_table = ON"); !set) return set.error();
  auto adopted = adopt_all(connection, settings, adoption);
  auto set = connection.run_script("PRAGMA legacy_alter_table = OFF");
  auto on = off->end();
  if (!adopted) return adopted.error();
  if (!set) return set.error();
  if (!on) return on.error();
  adoption.done = true;
  return adoption;
}

}  // namespace tertulia::adopt
