#include "schema/declared.h"

#include <boost/pfr/core.hpp>
#include <boost/pfr/tuple_size.hpp>
#include <utility>

namespace tertulia::schema {
namespace {

// In the order in which they refer to each other.
template <class... Rows>
struct RowTypes {};
using AllRowTypes =
    RowTypes<model::Role, model::FlowTemplate, model::FlowVersion, model::FlowStep, model::Session,
             model::SessionRole, model::Message, model::StepExecutionLog, model::MachineState,
             model::ModelCall, model::Lease, model::Batch, model::BatchInput, model::SessionEvents,
             model::ApiToken, model::IdempotencyKey, model::AdoptedLeftover, model::AdoptedNote>;

template <class Row>
using Columns = std::remove_cv_t<decltype(Declared<Row>::columns)>;

template <class Row, class Member>
Member member_type(const Column<Row, Member>&);

template <class Row, std::size_t... I>
constexpr bool members_have_columns(std::index_sequence<I...>) {
  return (std::is_same_v<boost::pfr::tuple_element_t<I, Row>,
                         decltype(member_type(
                             std::declval<std::tuple_element_t<I, Columns<Row>>>()))> &&
          ...);
}

template <class A, class B>
constexpr bool same_member(const A& a, const B& b) {
  if constexpr (std::is_same_v<A, B>) {
    return a.member == b.member;
  } else {
    return false;
  }
}

// Together with an equal count: a column for each member and a member for each column.
template <class Row>
constexpr bool members_are_distinct() {
  bool distinct = true;
  std::size_t first = 0;
  for_each_column<Row>([&](const auto& a) {
    std::size_t second = 0;
    for_each_column<Row>([&](const auto& b) {
      if (second++ > first && (same_member(a, b) || a.name == b.name)) distinct = false;
    });
    ++first;
  });
  return distinct;
}

template <class Row>
TableDescription describe_table() {
  constexpr std::size_t kColumns = std::tuple_size_v<Columns<Row>>;
  static_assert(boost::pfr::tuple_size_v<Row> == kColumns,
                "a member of this row type lacks its column in declared.h, or the reverse");
  static_assert(members_have_columns<Row>(std::make_index_sequence<kColumns>()),
                "the columns in declared.h do not stand in the order of the row type's members");
  static_assert(members_are_distinct<Row>(), "a member or a name stands twice in declared.h");

  using Table = Declared<Row>;
  TableDescription table{.name = Table::table,
                         .columns = {},
                         .indexes = {Table::indexes.begin(), Table::indexes.end()},
                         .checks = {Table::checks.begin(), Table::checks.end()},
                         .ids_never_reused = Table::ids_never_reused};
  for_each_column<Row>([&](const auto& column) { table.columns.push_back(describe(column)); });
  return table;
}

template <class... Rows>
std::vector<TableDescription> describe_all(RowTypes<Rows...>) {
  return {describe_table<Rows>()...};
}

}  // namespace

std::span<const TableDescription> declared_tables() {
  static const std::vector<TableDescription> tables = describe_all(AllRowTypes());
  return tables;
}

const TableDescription* find_declared(std::string_view table) {
  for (const auto& each : declared_tables())
    if (each.name == table) return &each;
  return nullptr;
}

}  // namespace tertulia::schema
