// A shape that was read from a database, described as declared tables are, so that render.h can
// write it down again: what a migration's way back needs of tables and columns that the model has
// no more. Columns stand with the key first, then by name: an introspection keeps no order.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "schema/description.h"
#include "schema/shape.h"

namespace tertulia::schema {

class ShapeWords final {
 public:
  // Invalid where a table has what no declared one can have, such as a key of two columns.
  [[nodiscard]] static base::Result<ShapeWords> of(const SchemaShape& shape);

  // Each table after those it refers to.
  [[nodiscard]] std::span<const TableDescription> tables() const { return tables_; }

 private:
  base::Result<void> add(const std::string& name, const TableShape& shape);
  base::Result<ColumnDescription> column(const std::string& table, const std::string& name,
                                         const TableShape& shape);
  base::Result<Index> index(const std::string& name, const TableShape& table,
                            const IndexShape& shape);
  // Descriptions are views; what they view lives here, and does not move when this does.
  std::string_view keep(std::string words) { return words_.emplace_back(std::move(words)); }

  std::deque<std::string> words_;
  std::vector<TableDescription> tables_;
};

}  // namespace tertulia::schema
