#include "schema/arrival.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schema/compare.h"
#include "schema/online_index.h"
#include "schema/scratch.h"

namespace tertulia::schema::internal {
namespace {

base::Result<void> expect_equal(const SchemaShape& expected, const SchemaShape& found,
                                int version) {
  const auto [differences, notices] = compare(expected, found);
  if (differences.empty()) return {};
  std::vector<std::string> words;
  for (const auto& difference : differences) words.push_back(difference.words());
  return base::Error{.code = base::Code::drift,
                     .message = fmt::format("the schema differs from that of version {}: {}",
                                            version, fmt::join(words, "; ")),
                     .remedy = "tertulia db status"};
}

}  // namespace

base::Result<void> expect_version(db::Connection& connection, std::span<const Migration> migrations,
                                  const SchemaShape& shape, int version) {
  const std::string declared = version == 0
                                   ? fingerprint(SchemaShape())
                                   : migrations[static_cast<std::size_t>(version) - 1].fingerprint;
  if (fingerprint(shape) == declared) return {};
  auto expected = shape_of_version(connection, migrations, version);
  if (!expected) return expected.error();
  if (fingerprint(*expected) != declared)
    return base::Error{.code = base::Code::drift,
                       .message = fmt::format("the migration declares the fingerprint {}, but "
                                              "its statements lead to {}",
                                              declared, fingerprint(*expected))};
  return expect_equal(*expected, shape, version);
}

base::Result<void> expect_halfway(db::Connection& connection, std::span<const Migration> migrations,
                                  const Situation& situation) {
  const int version = situation.whole_version();
  auto expected = shape_of_version(connection, migrations, version);
  if (!expected) return expected.error();
  SchemaShape found = situation.shape;
  const Migration& migration = migrations[static_cast<std::size_t>(version)];
  for (const Script* script : {&migration.up, &migration.down})
    for (const auto& index : online_indexes(*script))
      for (SchemaShape* shape : {&*expected, &found})
        for (auto& [name, table] : shape->tables) table.indexes.erase(index.name);
  return expect_equal(*expected, found, version);
}

}  // namespace tertulia::schema::internal
