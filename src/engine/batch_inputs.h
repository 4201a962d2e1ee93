// BatchInputs reads the inputs of a batch one after another, JSON Lines or CSV, and never holds
// more than one. A line (or record) is at most kMaxInputBytes. An error is invalid and names the
// place as FILE:LINE.
//
//   JSON Lines   {"id": "a1", "topic": "Tea", "vars": {"passes": 2}, "cast": {"pro": "Ann"},
//   "seed": 7} CSV          a first line with the names id, topic, seed, vars.NAME, cast.REF;
//   quotes as RFC 4180
//
// Every member may be left out. An input without an id has the number of its line as its id.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "flow/program.h"

namespace tertulia::engine {

struct BatchInput {
  std::string id;
  std::int64_t line = 0;   // where it begins, from 1
  std::string place = {};  // FILE:LINE, for errors
  std::optional<std::string> topic = {};
  base::json::object vars = {};                     // JSON as it was given
  std::map<std::string, std::string> written = {};  // variables as a CSV has them
  std::map<std::string, std::string> cast = {};     // role reference -> name of a stored role
  std::optional<std::int64_t> seed = {};

  // From an input's members, as a file of JSON Lines has them; `of_request`: as a request to a
  // server does, with `texts`, which are variables as a CSV has them, and `place`. An id may be
  // left out.
  [[nodiscard]] static base::Result<BatchInput> from_json(const base::json::object& object,
                                                          bool of_request);
  // As a request has it: from_json gives the same input.
  [[nodiscard]] base::json::object to_json() const;

  // Of all that makes its session: two inputs of one digest are the same.
  [[nodiscard]] std::string sha256() const;
  // The seed of its session: the one given, else one that its id gives, the same for ever.
  [[nodiscard]] std::int64_t session_seed() const;
  // The variables as casting takes them (casting.h).
  [[nodiscard]] std::map<std::string, std::string> variables(const flow::Program& program) const;
};

class BatchInputs final {
 public:
  static constexpr std::size_t kMaxInputBytes = 4 * 1024 * 1024;

  // `path` ends in .csv for CSV; anything else is JSON Lines.
  [[nodiscard]] static base::Result<BatchInputs> open(const std::string& path);
  // Nothing after the last.
  [[nodiscard]] base::Result<std::optional<BatchInput>> next();

 private:
  BatchInputs(std::string path, std::ifstream file, bool is_csv)
      : path_(std::move(path)), file_(std::move(file)), is_csv_(is_csv) {}
  [[nodiscard]] base::Error error(std::int64_t line, std::string what,
                                  std::string remedy = {}) const;
  // The next line without its end; false at the end of the file.
  [[nodiscard]] base::Result<bool> read_line(std::string& line);
  [[nodiscard]] base::Result<BatchInput> from_line(const std::string& line) const;
  [[nodiscard]] std::string place(std::int64_t line) const;
  // The fields of a record that begins with `line`; reads on where a quote spans lines.
  [[nodiscard]] base::Result<std::vector<std::string>> record(std::string line);
  [[nodiscard]] base::Result<void> read_header();
  [[nodiscard]] base::Result<BatchInput> from_record(std::int64_t at,
                                                     std::vector<std::string> fields) const;

  std::string path_;
  std::ifstream file_;
  bool is_csv_;
  std::int64_t line_ = 0;
  std::vector<std::string> columns_;
};

}  // namespace tertulia::engine
