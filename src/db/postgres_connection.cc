#include "db/postgres_connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <charconv>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "base/failpoint.h"
#include "base/log.h"

namespace tertulia::db {
namespace {

using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

Answer own(PGresult* result) {
  return Answer(result, &PQclear);
}

std::string trimmed(const char* words) {
  std::string text = words != nullptr ? words : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

base::Error postgres_error(std::string_view state, const std::string& words,
                           std::string_view name) {
  using base::Code;
  const std::string detail = fmt::format("PostgreSQL error {} in {}: {}", state, name, words);
  const auto error = [&](Code code, std::string message, std::string remedy = {}) {
    return base::Error{code, std::move(message), detail, std::move(remedy)};
  };
  if (state.starts_with("22"))  // a value that the column's type cannot hold
    return error(Code::invalid, fmt::format("{}: {}", name, words));
  if (state == "42P01" || state == "42703")
    return error(Code::drift, fmt::format("the database lacks what {} needs: {}", name, words),
                 "tertulia db status");
  if (state.starts_with("23")) return error(Code::conflict, fmt::format("{}: {}", name, words));
  if (state == "55P03" || state == "40P01" || state == "40001")
    return error(Code::timeout, fmt::format("{}: the database is locked: {}", name, words),
                 "try again");
  if (state == "57014") return error(Code::cancelled, fmt::format("{} was stopped", name));
  if (state == "53100")
    return error(Code::storage_full, "no space left on the database server's disk",
                 "free some space, then go on: nothing that was reported as done is lost");
  if (state == "25006")
    return error(Code::storage, fmt::format("{}: the database is read-only", name));
  if (state.empty() || state.starts_with("08") || state.starts_with("57P"))
    return error(Code::storage, fmt::format("the connection to the database is lost: {}", words),
                 "see that the server runs, then go on");
  return error(Code::storage, fmt::format("{}: {}", name, words));
}

class PostgresRow final : public Row {
 public:
  PostgresRow(const PGresult* result, int row) : result_(result), row_(row) {}
  int size() const override { return PQnfields(result_); }
  std::string_view name(int column) const override { return PQfname(result_, column); }
  bool is_null(int column) const override { return PQgetisnull(result_, row_, column) != 0; }
  std::int64_t integer(int column) const override {
    const std::string_view digits = text(column);
    if (digits == "t") return 1;  // a boolean
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
  double real(int column) const override {
    const std::string_view digits = text(column);
    double value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
  bool boolean(int column) const override { return integer(column) != 0; }
  std::string_view text(int column) const override {
    return {PQgetvalue(result_, row_, column),
            static_cast<size_t>(PQgetlength(result_, row_, column))};
  }

 private:
  const PGresult* result_;
  int row_;
};

// Parameters as libpq wants them: NUL-terminated texts.
class Texts final {
 public:
  base::Result<void> fill(std::string_view name, Params params) {
    owned_.clear();
    values_.clear();
    for (const Param& param : params) {
      switch (param.index()) {
        case 0:
          values_.push_back(nullptr);
          continue;
        case 1:
          owned_.push_back(std::to_string(std::get<1>(param)));
          break;
        case 2:
          owned_.push_back(fmt::format("{}", std::get<2>(param)));
          break;
        case 3:
          owned_.push_back(std::get<3>(param) ? "true" : "false");
          break;
        case 4: {
          const std::string_view text = std::get<4>(param);
          if (text.find('\0') != std::string_view::npos)
            return base::Error{.code = base::Code::invalid,
                               .message = fmt::format("{}: a text holds a NUL character", name)};
          owned_.emplace_back(text);
          break;
        }
      }
      values_.push_back(owned_.back().c_str());
    }
    return {};
  }
  int size() const { return static_cast<int>(values_.size()); }
  const char* const* values() const { return values_.data(); }

 private:
  std::deque<std::string> owned_;
  std::vector<const char*> values_;
};

std::int64_t affected_rows(PGresult* result) {
  const std::string_view digits = PQcmdTuples(result);
  std::int64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

bool is_good(const PGresult* result) {
  const auto status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

class PostgresConnection final : public Connection {
 public:
  explicit PostgresConnection(PGconn* handle) : handle_(handle), cancel_(PQgetCancel(handle)) {}

  ~PostgresConnection() override {
    rollback();
    PQfreeCancel(cancel_);
    PQfinish(handle_);
  }

  Engine engine() const override { return Engine::postgres; }

  base::Result<std::int64_t> run(const Sql& sql, Params params) override {
    auto answer = perform(sql, params);
    if (!answer) return answer.error();
    return affected_rows(answer->get());
  }

  base::Result<std::int64_t> each(const Sql& sql, Params params, const RowFn& row) override {
    auto answer = perform(sql, params);
    if (!answer) return answer.error();
    return hand_out(answer->get(), row);
  }

  base::Result<void> run_batch(std::span<const Work> works) override {
    if (works.empty()) return {};
    // Preparing is not pipelined: it happens once a statement and connection.
    for (const Work& work : works)
      if (auto prepared = prepare(*work.sql); !prepared) return prepared.error();
    if (PQenterPipelineMode(handle_) != 1) return lost("run_batch");
    std::optional<base::Error> failed;
    size_t sent = 0;
    for (const Work& work : works) {
      if (auto filled = texts_.fill(work.sql->name, work.params); !filled) {
        failed = filled.error();
        break;
      }
      if (PQsendQueryPrepared(handle_, prepared_.at(work.sql).c_str(), texts_.size(),
                              texts_.values(), nullptr, nullptr, 0) != 1) {
        failed = lost(work.sql->name);
        break;
      }
      ++sent;
    }
    if (PQpipelineSync(handle_) != 1 && !failed) failed = lost("run_batch");
    for (size_t i = 0; i < sent; ++i) {
      const Answer answer = own(PQgetResult(handle_));
      if (answer == nullptr) {
        if (!failed) failed = lost(works[i].sql->name);
        break;
      }
      if (!is_good(answer.get())) {
        // After the first failure the rest of the pipeline is aborted and has nothing to say.
        if (!failed) failed = error_of(answer.get(), works[i].sql->name);
      } else if (works[i].must_affect && !failed) {
        const std::int64_t affected = affected_rows(answer.get());
        if (affected != *works[i].must_affect) failed = unexpected_count(works[i], affected);
      }
      own(PQgetResult(handle_));  // the end of this statement's results
    }
    drain_to_sync();
    PQexitPipelineMode(handle_);
    if (failed) return *std::move(failed);
    return {};
  }

  base::Result<void> run_script(std::string_view text) override {
    if (auto passed = base::failpoint("db.script.statement"); !passed) return passed;
    const Answer answer = own(PQexec(handle_, std::string(text).c_str()));
    if (PQresultStatus(answer.get()) == PGRES_EMPTY_QUERY) return {};
    if (!is_good(answer.get())) return error_of(answer.get(), "script");
    return {};
  }

  base::Result<std::int64_t> each_text(std::string_view text, Params params,
                                       const RowFn& row) override {
    if (auto filled = texts_.fill("text", params); !filled) return filled.error();
    const Answer answer = own(PQexecParams(handle_, std::string(text).c_str(), texts_.size(),
                                           nullptr, texts_.values(), nullptr, nullptr, 0));
    if (!is_good(answer.get())) return error_of(answer.get(), "text");
    return hand_out(answer.get(), row);
  }

  base::Result<void> check(const Sql& sql) override { return prepare(sql); }

  base::Result<void> begin() override {
    if (in_transaction())
      return base::Error{.code = base::Code::internal, .message = "a transaction is open already"};
    if (auto passed = base::failpoint("db.begin"); !passed) return passed;
    if (auto begun = simple("BEGIN", "begin"); !begun) return begun;
    in_transaction_ = true;
    return {};
  }

  base::Result<void> commit() override {
    if (auto passed = base::failpoint("db.commit.before"); !passed) {
      rollback();
      return passed;
    }
    // A transaction in which a statement failed is rolled back by COMMIT, which then succeeds: that
    // must not be taken for a commit.
    if (PQtransactionStatus(handle_) == PQTRANS_INERROR) {
      rollback();
      return base::Error{.code = base::Code::storage,
                         .message = "the transaction had failed and was rolled back"};
    }
    if (auto done = simple("COMMIT", "commit"); !done) {
      rollback();
      return done;
    }
    in_transaction_ = false;
    return base::failpoint("db.commit.after");
  }

  void rollback() override {
    if (!in_transaction()) return;
    in_transaction_ = false;
    // Where the connection is lost, the server rolls back by itself.
    if (auto done = simple("ROLLBACK", "rollback"); !done)
      spdlog::debug("rollback: {}", done.error().message);
  }

  // Also one that a script has begun.
  bool in_transaction() const override {
    const auto status = PQtransactionStatus(handle_);
    return in_transaction_ || status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
  }

  void interrupt() override {
    char reason[256];
    if (PQcancel(cancel_, reason, sizeof reason) != 1) spdlog::warn("interrupt: {}", reason);
  }

 private:
  base::Error lost(std::string_view name) {
    return postgres_error("", trimmed(PQerrorMessage(handle_)), name);
  }

  base::Error error_of(const PGresult* result, std::string_view name) {
    const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
    const char* words = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
    if (words == nullptr) return lost(name);
    return postgres_error(state != nullptr ? state : "", trimmed(words), name);
  }

  void drain_to_sync() {
    // Each statement's results end with a null; so several nulls may come before the sync.
    for (int nulls = 0; nulls < 2;) {
      const Answer answer = own(PQgetResult(handle_));
      if (answer == nullptr) {
        ++nulls;
        continue;
      }
      nulls = 0;
      if (PQresultStatus(answer.get()) == PGRES_PIPELINE_SYNC) return;
    }
  }

  base::Result<void> simple(const char* text, std::string_view name) {
    const Answer answer = own(PQexec(handle_, text));
    if (!is_good(answer.get())) return error_of(answer.get(), name);
    return {};
  }

  base::Result<void> prepare(const Sql& sql) {
    if (prepared_.contains(&sql)) return {};
    // The name is the order of preparing: unique in the connection.
    const std::string name = fmt::format("s{}", prepared_.size());
    const Answer answer =
        own(PQprepare(handle_, name.c_str(), std::string(sql.postgres).c_str(), 0, nullptr));
    if (!is_good(answer.get())) return error_of(answer.get(), sql.name);
    prepared_.emplace(&sql, name);
    return {};
  }

  base::Result<Answer> perform(const Sql& sql, Params params) {
    if (auto prepared = prepare(sql); !prepared) return prepared.error();
    if (auto filled = texts_.fill(sql.name, params); !filled) return filled.error();
    Answer answer = own(PQexecPrepared(handle_, prepared_.at(&sql).c_str(), texts_.size(),
                                       texts_.values(), nullptr, nullptr, 0));
    if (!is_good(answer.get())) return error_of(answer.get(), sql.name);
    return answer;
  }

  static base::Result<std::int64_t> hand_out(const PGresult* result, const RowFn& row) {
    const int rows = PQntuples(result);
    for (int i = 0; i < rows; ++i)
      if (auto taken = row(PostgresRow(result, i)); !taken) return taken.error();
    return rows;
  }

  PGconn* handle_;
  PGcancel* cancel_;
  std::unordered_map<const Sql*, std::string> prepared_;
  Texts texts_;
  bool in_transaction_ = false;
};

// A password with a '/' in it ends up in the port, which libpq would quote.
bool has_numeric_port(const PQconninfoOption* option) {
  for (; option->keyword != nullptr; ++option)
    if (std::string_view(option->keyword) == "port" && option->val != nullptr)
      return std::string_view(option->val).find_first_not_of("0123456789,") ==
             std::string_view::npos;
  return true;
}

void log_notice(void*, const char* words) {
  spdlog::debug("PostgreSQL: {}", trimmed(words));
}

}  // namespace

base::Result<std::unique_ptr<Connection>> open_postgres(const Location& location,
                                                        const OpenOptions& options) {
  // libpq's words about a URI that it cannot read quote it, password and all: they are not shown.
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> readable(
      PQconninfoParse(location.target.c_str(), nullptr), &PQconninfoFree);
  if (readable == nullptr || !has_numeric_port(readable.get()))
    return base::Error{.code = base::Code::invalid,
                       .message = "the PostgreSQL URI cannot be read",
                       .remedy =
                           "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with "
                           "percent-encoding for characters like / ? # @ in a part"};
  // What stands before dbname is a default, which the URI may override.
  const std::array keywords = {"connect_timeout", "fallback_application_name", "dbname",
                               static_cast<const char*>(nullptr)};
  const std::array values = {"10", "tertulia", location.target.c_str(),
                             static_cast<const char*>(nullptr)};
  PGconn* handle = PQconnectdbParams(keywords.data(), values.data(), 1);
  if (PQstatus(handle) != CONNECTION_OK) {
    // libpq's words name host and database; they do not hold the password.
    const std::string words = trimmed(PQerrorMessage(handle));
    PQfinish(handle);
    return base::Error{
        .code = base::Code::storage,
        .message = fmt::format("cannot connect to {}: {}", location.shown(), words),
        .remedy = "see that the server runs and that user, password and database are right"};
  }
  PQsetNoticeProcessor(handle, &log_notice, nullptr);
  auto connection = std::make_unique<PostgresConnection>(handle);
  std::string settings =
      "SET TIME ZONE 'UTC'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;"
      "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s';"
      "SET extra_float_digits = 1;";
  if (options.access == Access::read) settings += "SET default_transaction_read_only = on;";
  if (auto done = connection->run_script(settings); !done) return done.error();
  return std::unique_ptr<Connection>(std::move(connection));
}

}  // namespace tertulia::db
