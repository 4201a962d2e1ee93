// The two sides of `introspect` (shape.h), and what they share.
#pragma once

#include "schema/shape.h"

namespace tertulia::schema::internal {

[[nodiscard]] base::Result<SchemaShape> introspect_sqlite(db::Connection& connection,
                                                          std::span<const std::string> tables);
[[nodiscard]] base::Result<SchemaShape> introspect_postgres(db::Connection& connection,
                                                            std::span<const std::string> tables);

// A declared type by its one name: the written table of synonyms stands in shape.cc.
[[nodiscard]] std::string canonical_type(db::Engine engine, std::string_view declared);

// A default or predicate without what does not matter: blanks, case, outer parentheses, and the
// casts that PostgreSQL adds to literals. DEFAULT NULL is no default.
[[nodiscard]] std::string canonical_expression(std::string_view sql);

// "'a', 'b'" for an IN list; the names are our own constants.
[[nodiscard]] std::string literal_list(std::span<const std::string> names);

[[nodiscard]] std::string foreign_key_words(const std::vector<std::string>& columns,
                                            std::string_view parent,
                                            const std::vector<std::string>& parent_columns,
                                            std::string_view rest);

}  // namespace tertulia::schema::internal
