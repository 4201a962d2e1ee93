// The splitter of migrations: its statements stand in the text, one after the other, and none is
// empty; on both engines.
#include "schema/script.h"
#include "target.h"

TERTULIA_FUZZ(migration_script) {
  using namespace tertulia;
  for (const auto engine : {db::Engine::sqlite, db::Engine::postgres}) {
    const auto script = schema::parse_script(engine, input);
    if (!script) {
      fuzz::must_hold(!script.error().message.empty(), "what is refused is told why");
      continue;
    }
    const char* last = input.data();
    for (const auto& statement : script->statements) {
      fuzz::must_hold(!statement.sql.empty(), "no statement is empty");
      fuzz::must_hold(statement.sql.data() >= last, "statements come one after the other");
      last = statement.sql.data() + statement.sql.size();
      fuzz::must_hold(last <= input.data() + input.size(), "statements are of the text");
    }
  }
}
