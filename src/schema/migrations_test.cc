// The chain from the row types to the database: all migrations arrive at the declared model, each
// at the fingerprint it declares, and every way down leads back.
#include <fmt/format.h>

#include "schema/declared.h"
#include "schema/history.h"
#include "schema/scratch.h"
#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

class Migrations : public OnBothEngines {
 protected:
  std::string current_fingerprint() {
    auto shape = introspect(database_.connection(), declared_names());
    EXPECT_TRUE(shape) << shape.error().message;
    return shape ? fingerprint(*shape) : std::string();
  }
};
INSTANTIATE_TEST_SUITE_P(, Migrations, kBothEngines, engine_of);

TEST_P(Migrations, EachLeadsToTheFingerprintThatItDeclares) {
  for (const auto& migration : database_.all()) {
    auto shape = shape_of_version(database_.connection(), database_.all(), migration.version);
    ASSERT_TRUE(shape) << migration.full_name() << ": " << shape.error().message << "\n"
                       << shape.error().detail;
    EXPECT_EQ(fingerprint(*shape), migration.fingerprint)
        << "put into " << migration.full_name() << ": -- fingerprint "
        << (database_.engine() == db::Engine::sqlite ? "sqlite: " : "postgres: ")
        << fingerprint(*shape);
  }
}

TEST_P(Migrations, AllTogetherMakeTheDeclaredModel) {
  auto migrated = shape_of_version(database_.connection(), database_.all(), database_.head());
  ASSERT_TRUE(migrated) << migrated.error().message;
  auto declared = declared_shape(database_.connection());
  ASSERT_TRUE(declared) << declared.error().message << "\n" << declared.error().detail;
  for (const auto& difference : compare(*declared, *migrated).differences)
    ADD_FAILURE() << "declared.h and the migrations differ: " << difference.words();
  EXPECT_EQ(fingerprint(*declared), fingerprint(*migrated));
}

}  // namespace
}  // namespace tertulia::schema
