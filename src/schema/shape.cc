#include "schema/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/sha256.h"
#include "schema/declared.h"
#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

struct Synonym {
  std::string_view written;
  std::string_view canonical;
};

// SQLite keeps the declared type as it was written. Its integers have 64 bits whatever they are
// called, and JSON is text to it.
constexpr Synonym kSqliteSynonyms[] = {{"int", "integer"},
                                       {"bigint", "integer"},
                                       {"smallint", "integer"},
                                       {"int8", "integer"},
                                       {"double", "real"},
                                       {"double precision", "real"},
                                       {"float", "real"},
                                       {"bool", "boolean"},
                                       {"datetime", "time"},
                                       {"timestamp", "time"},
                                       {"timestamptz", "time"},
                                       {"json", "text"},
                                       {"clob", "text"},
                                       {"varchar", "text"},
                                       {"character varying", "text"},
                                       {"varying character", "text"}};

// PostgreSQL's format_type has one spelling for a type. A 32-bit integer is another type than ours,
// and so is a time without zone.
constexpr Synonym kPostgresSynonyms[] = {{"bigint", "integer"},
                                         {"integer", "integer of 32 bits"},
                                         {"double precision", "real"},
                                         {"timestamp with time zone", "time"},
                                         {"character varying", "text"}};

constexpr std::array<std::string_view, 4> kVarcharSpellings = {"varchar (", "character varying (",
                                                               "nvarchar (", "varying character ("};

// Whether one pair of parentheses encloses all tokens from `begin` to `end`.
bool enclosed(const std::vector<Token>& tokens, std::size_t begin, std::size_t end) {
  return begin + 1 < end && tokens[begin].is("(") && closing(tokens, begin) == end - 1;
}

void put(std::string& text, std::string_view what, std::string_view words) {
  text += what;
  text += ' ';
  text += words;
  text += '\n';
}

}  // namespace

namespace internal {

std::string canonical_type(db::Engine engine, std::string_view declared) {
  std::string type = normalised(declared);
  const auto synonyms = engine == db::Engine::sqlite ? std::span<const Synonym>(kSqliteSynonyms)
                                                     : std::span<const Synonym>(kPostgresSynonyms);
  for (const auto& [written, canonical] : synonyms)
    if (type == written) return std::string(canonical);
  for (const auto spelling : kVarcharSpellings) {
    if (!type.starts_with(spelling)) continue;
    const std::size_t begin = spelling.size() + 1;
    return fmt::format("varchar({})", type.substr(begin, type.find(' ', begin) - begin));
  }
  return type;
}

std::string canonical_expression(std::string_view sql) {
  const auto tokens = tokens_of(sql);
  if (!tokens) return std::string(sql);
  std::size_t begin = 0;
  std::size_t end = tokens->size();
  while (enclosed(*tokens, begin, end)) {
    ++begin;
    --end;
  }
  // 'pending'::character varying: a literal, then nothing but its cast.
  if (end - begin > 2 && (*tokens)[begin].kind == Token::Kind::string &&
      (*tokens)[begin + 1].is("::") &&
      std::all_of(tokens->begin() + static_cast<long>(begin) + 2,
                  tokens->begin() + static_cast<long>(end),
                  [](const Token& token) { return token.kind == Token::Kind::word; }))
    end = begin + 1;
  std::string text = normalised(*tokens, begin, end);
  return text == "null" ? std::string() : text;
}

std::string literal_list(std::span<const std::string> names) {
  std::vector<std::string> literals;
  for (const std::string& name : names) literals.push_back(sql_literal(name));
  return fmt::format("{}", fmt::join(literals, ", "));
}

std::string foreign_key_words(const std::vector<std::string>& columns, std::string_view parent,
                              const std::vector<std::string>& parent_columns,
                              std::string_view rest) {
  return fmt::format("({}) references {} ({}){}", fmt::join(columns, ", "), parent,
                     fmt::join(parent_columns, ", "), rest);
}

}  // namespace internal

std::string ColumnShape::words() const {
  std::string text = type;
  if (!nullable) text += " not null";
  if (!default_value.empty()) text += " default " + default_value;
  if (!note.empty()) text += " " + note;
  return text;
}

std::string IndexShape::words() const {
  std::string text = fmt::format("{}({})", unique ? "unique " : "", fmt::join(columns, ", "));
  if (!where.empty()) text += " where " + where;
  if (!note.empty()) text += " " + note;
  return text;
}

base::Result<SchemaShape> introspect(db::Connection& connection,
                                     std::span<const std::string> tables) {
  return connection.engine() == db::Engine::sqlite
             ? internal::introspect_sqlite(connection, tables)
             : internal::introspect_postgres(connection, tables);
}

const std::vector<std::string>& declared_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& table : declared_tables()) all.emplace_back(table.name);
    all.insert(all.end(), kFormerTables.begin(), kFormerTables.end());
    return all;
  }();
  return names;
}

std::string canonical_text(const SchemaShape& shape) {
  std::string text;
  for (const auto& [name, table] : shape.tables) {
    put(text, "table", name);
    for (const auto& option : table.options) put(text, "option", option);
    for (const auto& [column, is] : table.columns) put(text, "column " + column, is.words());
    put(text, "primary key", fmt::format("({})", fmt::join(table.primary_key, ", ")));
    for (const auto& words : table.foreign_keys) put(text, "foreign key", words);
    for (const auto& words : table.uniques) put(text, "unique", words);
    for (const auto& [index, is] : table.indexes) put(text, "index " + index, is.words());
    for (const auto& words : table.checks) put(text, "check", words);
    for (const auto& [trigger, words] : table.triggers) put(text, "trigger " + trigger, words);
  }
  return text;
}

std::string fingerprint(const SchemaShape& shape) {
  return base::sha256_hex(canonical_text(shape));
}

}  // namespace tertulia::schema
