#include "engine/batch_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/near_name.h"
#include "base/sha256.h"
#include "base/utf8.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

const std::vector<std::string>& members() {
  static const std::vector<std::string> known{"id", "topic", "vars", "cast", "seed"};
  return known;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return {};
  return number;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

std::string unknown(std::string_view what, const std::string& name,
                    const std::vector<std::string>& known) {
  const std::string near = base::near_name(name, known);
  return fmt::format("an input has no {} '{}'{}", what, name,
                     near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near));
}

}  // namespace

std::string BatchInput::sha256() const {
  json::object all;
  if (topic) all["topic"] = *topic;
  all["vars"] = vars;
  json::object texts;
  for (const auto& [name, text] : written) texts[name] = text;
  all["written"] = std::move(texts);
  json::object played;
  for (const auto& [ref, name] : cast) played[ref] = name;
  all["cast"] = std::move(played);
  if (seed) all["seed"] = *seed;
  return base::sha256_hex(base::to_text(all));
}

std::int64_t BatchInput::session_seed() const {
  if (seed) return *seed;
  return static_cast<std::int64_t>(
      std::stoull(base::sha256_hex("batch input " + id).substr(0, 16), nullptr, 16) >> 1);
}

std::map<std::string, std::string> BatchInput::variables(const flow::Program& program) const {
  std::map<std::string, std::string> out = written;
  for (const auto& member : vars) {
    const std::string name(member.key());
    const auto declared = std::find_if(program.variables.begin(), program.variables.end(),
                                       [&](const auto& each) { return each.name == name; });
    const bool is_text = declared != program.variables.end() && declared->type == "string";
    out[name] = is_text && member.value().is_string() ? std::string(member.value().get_string())
                                                      : base::to_text(member.value());
  }
  return out;
}

base::Result<BatchInputs> BatchInputs::open(const std::string& path) {
  const auto refuse = [&](std::string_view why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: {}", path, why),
                       .remedy =
                           "--inputs names a file of JSON Lines, or of CSV with the ending "
                           ".csv"};
  };
  std::error_code failed;
  if (std::filesystem::is_directory(path, failed)) return refuse("this is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse(std::strerror(errno));
  BatchInputs inputs(path, std::move(file), path.ends_with(".csv"));
  if (inputs.is_csv_)
    if (auto read = inputs.read_header(); !read) return read.error();
  return inputs;
}

base::Result<std::optional<BatchInput>> BatchInputs::next() {
  std::string line;
  do {
    auto got = read_line(line);
    if (!got) return got.error();
    if (!*got) return std::optional<BatchInput>();
  } while (is_blank(line));
  const std::int64_t at = line_;
  if (!is_csv_) {
    auto input = from_line(line);
    if (!input) return input.error();
    return std::optional<BatchInput>(*std::move(input));
  }
  auto fields = record(std::move(line));
  if (!fields) return fields.error();
  auto input = from_record(at, *std::move(fields));
  if (!input) return input.error();
  return std::optional<BatchInput>(*std::move(input));
}

base::Error BatchInputs::error(std::int64_t line, std::string what, std::string remedy) const {
  return {.code = base::Code::invalid,
          .message = fmt::format("{}: {}", place(line), what),
          .remedy = std::move(remedy)};
}

std::string BatchInputs::place(std::int64_t line) const {
  return fmt::format("{}:{}", path_, line);
}

base::Result<bool> BatchInputs::read_line(std::string& line) {
  line.clear();
  std::streambuf& bytes = *file_.rdbuf();
  using Traits = std::char_traits<char>;
  int byte = bytes.sbumpc();
  if (byte == Traits::eof()) return false;
  ++line_;
  for (; byte != Traits::eof() && byte != '\n'; byte = bytes.sbumpc()) {
    line.push_back(Traits::to_char_type(byte));
    if (line.size() > kMaxInputBytes)
      return error(line_, fmt::format("an input may have {} bytes at most", kMaxInputBytes));
  }
  if (line.ends_with('\r')) line.pop_back();
  if (line_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (base::first_invalid_utf8(line)) return error(line_, "this is not UTF-8");
  return true;
}

base::Result<BatchInput> BatchInputs::from_line(const std::string& line) const {
  auto parsed = base::parse_json(line);
  if (!parsed) return error(line_, parsed.error().message);
  const json::object* object = parsed->if_object();
  if (object == nullptr)
    return error(line_, "an input is a JSON object",
                 "such as {\"id\": \"a1\", \"topic\": \"Tea or coffee?\"}");
  auto input = BatchInput::from_json(*object, false);
  if (!input) return input.error().in(place(line_));
  if (input->id.empty()) input->id = std::to_string(line_);
  input->line = line_;
  input->place = place(line_);
  return input;
}

base::Result<BatchInput> BatchInput::from_json(const json::object& object, bool of_request) {
  BatchInput input;
  for (const auto& member : object) {
    const std::string key(member.key());
    const json::value& value = member.value();
    const auto wrong = [&](std::string_view expected) {
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}: expected {}, found {}", key, expected,
                                                base::shorten(base::to_text(value), 60))};
    };
    if (key == "id") {
      if (value.is_int64()) {
        input.id = std::to_string(value.get_int64());
      } else if (value.is_string() && !value.get_string().empty()) {
        input.id = value.get_string();
      } else {
        return wrong("a text or a whole number");
      }
    } else if (key == "topic") {
      if (!value.is_string()) return wrong("a text");
      input.topic = std::string(value.get_string());
    } else if (key == "seed") {
      if (!value.is_int64() || value.get_int64() < 0) return wrong("a whole number from 0 up");
      input.seed = value.get_int64();
    } else if (key == "vars") {
      if (!value.is_object()) return wrong("an object of variables");
      input.vars = value.get_object();
    } else if (key == "cast") {
      if (!value.is_object()) return wrong("an object of stored roles by reference");
      for (const auto& role : value.get_object()) {
        if (!role.value().is_string()) return wrong("an object of stored roles by reference");
        input.cast[role.key()] = std::string(role.value().get_string());
      }
    } else if (of_request && key == "place") {
      if (!value.is_string()) return wrong("a text");
      input.place = value.get_string();
    } else if (of_request && key == "texts") {
      if (!value.is_object()) return wrong("an object of texts");
      for (const auto& variable : value.get_object()) {
        if (!variable.value().is_string()) return wrong("an object of texts");
        input.written[variable.key()] = std::string(variable.value().get_string());
      }
    } else {
      return base::Error{.code = base::Code::invalid,
                         .message = unknown("member", key, members()),
                         .remedy = fmt::format("known are {}", fmt::join(members(), ", "))};
    }
  }
  return input;
}

json::object BatchInput::to_json() const {
  const auto texts_of = [](const std::map<std::string, std::string>& pairs) {
    json::object out;
    for (const auto& [name, text] : pairs) out[name] = text;
    return out;
  };
  json::object out;
  out["id"] = id;
  if (!place.empty()) out["place"] = place;
  if (topic) out["topic"] = *topic;
  if (!vars.empty()) out["vars"] = vars;
  if (!written.empty()) out["texts"] = texts_of(written);
  if (!cast.empty()) out["cast"] = texts_of(cast);
  if (seed) out["seed"] = *seed;
  return out;
}

base::Result<std::vector<std::string>> BatchInputs::record(std::string line) {
  const std::int64_t begins = line_;
  std::vector<std::string> fields(1);
  std::size_t at = 0, bytes = line.size();
  for (;;) {
    std::string& field = fields.back();
    if (at < line.size() && line[at] == '"') {
      ++at;
      for (;;) {
        if (at == line.size()) {
          auto more = read_line(line);
          if (!more) return more.error();
          if (!*more)
            return error(begins, "a quote is opened here and never closed",
                         "a quote within quotes is written twice");
          bytes += line.size();
          if (bytes > kMaxInputBytes)
            return error(begins, fmt::format("an input may have {} bytes at most (is a quote never "
                                             "closed?)",
                                             kMaxInputBytes));
          at = 0;
          field.push_back('\n');
        } else if (line[at] != '"') {
          field.push_back(line[at++]);
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field.push_back('"');
          at += 2;
        } else {
          ++at;
          break;
        }
      }
      if (at < line.size() && line[at] != ',')
        return error(line_, fmt::format("expected a comma after a quoted field, found '{}'",
                                        base::shorten(line.substr(at), 20)));
    } else {
      const std::size_t end = std::min(line.find(',', at), line.size());
      field = line.substr(at, end - at);
      at = end;
    }
    if (at == line.size()) return fields;
    ++at;
    fields.emplace_back();
  }
}

base::Result<void> BatchInputs::read_header() {
  std::string line;
  auto got = read_line(line);
  if (!got) return got.error();
  if (!*got) return error(1, "the file is empty", "its first line names the columns: id,topic");
  auto names = record(std::move(line));
  if (!names) return names.error();
  columns_ = *std::move(names);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::string& name = columns_[i];
    const bool is_dotted = (name.starts_with("vars.") || name.starts_with("cast.")) &&
                           name.size() > std::string_view("vars.").size();
    if (!is_dotted && std::find(members().begin(), members().end(), name) == members().end())
      return error(1, unknown("column", name, members()),
                   fmt::format("known are {}, vars.NAME and cast.REF", fmt::join(members(), ", ")));
    if (std::find(columns_.begin(), columns_.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        columns_.begin() + static_cast<std::ptrdiff_t>(i))
      return error(1, fmt::format("the column '{}' is there twice", name));
  }
  return {};
}

base::Result<BatchInput> BatchInputs::from_record(std::int64_t at,
                                                  std::vector<std::string> fields) const {
  if (fields.size() != columns_.size())
    return error(at,
                 fmt::format("the first line names {} columns, this one has {}", columns_.size(),
                             fields.size()),
                 "a comma within a field wants quotes around it");
  BatchInput input{.id = std::to_string(at), .line = at, .place = place(at)};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string& name = columns_[i];
    std::string& text = fields[i];
    if (text.empty()) continue;
    if (name == "id") {
      input.id = std::move(text);
    } else if (name == "topic") {
      input.topic = std::move(text);
    } else if (name == "seed") {
      const auto seed = whole_number(text);
      if (!seed || *seed < 0)
        return error(at, fmt::format("seed: expected a whole number from 0 up, found '{}'",
                                     base::shorten(text, 40)));
      input.seed = *seed;
    } else if (name.starts_with("vars.")) {
      input.written[name.substr(5)] = std::move(text);
    } else if (name.starts_with("cast.")) {
      input.cast[name.substr(5)] = std::move(text);
    } else {  // vars, cast: JSON
      auto parsed = base::parse_json(text);
      if (!parsed || !parsed->is_object())
        return error(at, fmt::format("{}: expected a JSON object, found '{}'", name,
                                     base::shorten(text, 40)));
      for (const auto& member : parsed->get_object()) {
        if (name == "vars") {
          input.vars[member.key()] = member.value();
        } else if (member.value().is_string()) {
          input.cast[member.key()] = std::string(member.value().get_string());
        } else {
          return error(at, "cast: expected stored roles by reference");
        }
      }
    }
  }
  return input;
}

}  // namespace tertulia::engine
