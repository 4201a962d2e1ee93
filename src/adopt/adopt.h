// Adopting a database of the older system, whole: its schema (schema/adoption.h), its templates as
// flows, its sessions as sessions that can be read and gone on with. One transaction: where
// anything fails the file is as it was. On a database that was adopted, or made by this program, it
// does nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "adopt/sessions.h"
#include "base/result.h"
#include "db/connection.h"
#include "schema/adoption.h"

namespace tertulia::adopt {

struct FlowLine {
  std::string name;     // adopted-7
  std::string title;    // what it was called
  std::string why_not;  // it can be read only; empty: it can be performed
};

struct NoteLine {
  std::string kind;
  std::string table;
  std::optional<model::Id> row;
  std::string column;
  std::string words;
};

struct Adoption {
  schema::Recognition found;
  bool done = false;  // false: there was nothing to adopt
  std::vector<schema::AdoptedTable> tables;
  std::vector<FlowLine> flows;
  SessionCounts sessions;
  std::int64_t leftovers = 0;
  std::vector<NoteLine> notes;
};

// The connection must have been opened for writing and be outside a transaction. Invalid where the
// file is empty or not of the older system: the error says what it is, and the command.
[[nodiscard]] base::Result<Adoption> adopt_database(db::Connection& connection,
                                                    const SessionSettings& settings);

}  // namespace tertulia::adopt
