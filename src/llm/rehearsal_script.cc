#include "llm/rehearsal_script.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <fstream>
#include <limits>

#include "base/json.h"
#include "base/utf8.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

constexpr std::size_t kMaxBytes = 1024 * 1024;
constexpr std::size_t kMaxNodes = 10'000;
constexpr int kMaxDepth = 32;

base::Error wrong(std::string_view file, const YAML::Mark& mark, std::string_view what) {
  return {.code = base::Code::invalid,
          .message = fmt::format("{}:{}:{}: {}", file, mark.line + 1, mark.column + 1, what),
          .remedy = "a rehearsal script maps STEP or STEP@ITERATION to a text or a value"};
}

// Reads the nodes of one file, counting them: aliases may multiply a small file without end.
class Reader final {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  base::Result<json::value> read(const YAML::Node& node, int depth) {
    if (++nodes_ > kMaxNodes)
      return wrong(file_, node.Mark(), fmt::format("more than {} nodes", kMaxNodes));
    if (depth > kMaxDepth)
      return wrong(file_, node.Mark(), fmt::format("nested deeper than {}", kMaxDepth));
    if (node.IsMap()) return read_map(node, depth);
    if (node.IsSequence()) {
      json::array items;
      for (const YAML::Node& item : node) {
        auto value = read(item, depth + 1);
        if (!value) return value;
        items.push_back(std::move(value).value());
      }
      return json::value(std::move(items));
    }
    if (node.IsScalar()) return scalar(node);
    return json::value(nullptr);
  }

 private:
  base::Result<json::value> read_map(const YAML::Node& node, int depth) {
    json::object object;
    for (const auto& member : node) {
      if (!member.first.IsScalar())
        return wrong(file_, member.first.Mark(), "a key must be a text");
      auto value = read(member.second, depth + 1);
      if (!value) return value;
      if (!object.emplace(member.first.Scalar(), std::move(value).value()).second)
        return wrong(file_, member.first.Mark(),
                     fmt::format("the key {} stands here twice", member.first.Scalar()));
    }
    return json::value(std::move(object));
  }

  // A plain scalar is what YAML's core schema says; a quoted one is text.
  static json::value scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return json::value(text);
    if (text == "true" || text == "True" || text == "TRUE") return json::value(true);
    if (text == "false" || text == "False" || text == "FALSE") return json::value(false);
    if (text == "null" || text == "~") return json::value(nullptr);
    const char* const end = text.data() + text.size();
    std::int64_t integer = 0;
    if (const auto read = std::from_chars(text.data(), end, integer);
        read.ec == std::errc() && read.ptr == end)
      return json::value(integer);
    double number = 0;
    const bool numeric = text.find_first_not_of("0123456789+-.eE") == std::string::npos;
    if (const auto read = std::from_chars(text.data(), end, number);
        numeric && read.ec == std::errc() && read.ptr == end)
      return json::value(number);
    return json::value(text);
  }

  std::string_view file_;
  std::size_t nodes_ = 0;
};

base::Result<std::string> line_of(const YAML::Node& node, Reader& reader) {
  if (node.IsScalar()) return node.Scalar();  // said as written: 7 and true are words here
  auto value = reader.read(node, 0);
  if (!value) return std::move(value).error();
  return base::to_text(*value);
}

}  // namespace

base::Result<RehearsalScript> RehearsalScript::parse(std::string_view yaml, std::string_view file) {
  if (yaml.size() > kMaxBytes)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: longer than {} bytes", file, kMaxBytes)};
  if (const auto at = base::first_invalid_utf8(yaml))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: not UTF-8, or a NUL, at byte {}", file, *at)};
  RehearsalScript script;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (root.IsNull()) return script;
    if (!root.IsMap()) return wrong(file, root.Mark(), "expected a map from steps to words");
    Reader reader(file);
    for (const auto& entry : root) {
      const YAML::Mark mark = entry.first.Mark();
      if (!entry.first.IsScalar() || entry.first.Scalar().empty())
        return wrong(file, mark, "expected STEP or STEP@ITERATION");
      std::string_view key = entry.first.Scalar();
      std::int64_t iteration = 0;
      if (const std::size_t sign = key.rfind('@'); sign != std::string_view::npos) {
        const std::string_view digits = key.substr(sign + 1);
        const char* const end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, iteration);
        if (read.ec != std::errc() || read.ptr != end || iteration < 1 || sign == 0)
          return wrong(file, mark,
                       fmt::format("{}: after @ stands the iteration, a number from 1 up", key));
        key = key.substr(0, sign);
      }
      auto text = line_of(entry.second, reader);
      if (!text) return std::move(text).error();
      Lines& lines = script.lines_[std::string(key)];
      const bool fresh = iteration == 0 ? !lines.always : !lines.at.contains(iteration);
      if (!fresh)
        return wrong(file, mark, fmt::format("{} stands here twice", entry.first.Scalar()));
      if (iteration == 0)
        lines.always = std::move(text).value();
      else
        lines.at[iteration] = std::move(text).value();
    }
  } catch (const YAML::Exception& error) {
    return wrong(file, error.mark, error.msg);
  }
  return script;
}

base::Result<RehearsalScript> RehearsalScript::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("the rehearsal script {} cannot be opened", path)};
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad())
    return base::Error{.code = base::Code::storage,
                       .message = fmt::format("the rehearsal script {} cannot be read", path)};
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse(text, path);
}

const std::string* RehearsalScript::find(std::string_view step, std::int64_t iteration) const {
  const auto found = lines_.find(step);
  if (found == lines_.end()) return nullptr;
  const Lines& lines = found->second;
  if (const auto at = lines.at.find(iteration); at != lines.at.end()) return &at->second;
  return lines.always ? &*lines.always : nullptr;
}

std::vector<std::string> RehearsalScript::steps() const {
  std::vector<std::string> out;
  for (const auto& [step, lines] : lines_) out.push_back(step);
  return out;
}

}  // namespace tertulia::llm
