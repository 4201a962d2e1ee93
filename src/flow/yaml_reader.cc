#include "flow/yaml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

#include "base/near_name.h"
#include "base/utf8.h"

namespace tertulia::flow {
namespace {

namespace json = base::json;

constexpr std::size_t kBlock = 1024;  // bytes between two counts of characters

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

Place place_of(std::string_view source, std::size_t offset) {
  Place place;
  std::size_t line_start = 0;
  for (std::size_t at = source.find('\n'); at != std::string_view::npos && at < offset;
       at = source.find('\n', at + 1)) {
    ++place.line;
    line_start = at + 1;
  }
  for (std::size_t at = line_start; at < offset && at < source.size();) {
    static_cast<void>(base::next_code_point(source, at));
    ++place.column;
  }
  return place;
}

constexpr std::string_view kNoAnchors = "anchors and aliases are not part of the language";

// A byte order mark is no part of the text, for yaml-cpp neither.
std::string_view without_mark(std::string_view source) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return source.substr(0, kMark.size()) == kMark ? source.substr(kMark.size()) : source;
}

// The code unit of a JSON escape \uXXXX at `at`.
std::optional<std::uint32_t> escaped_unit(std::string_view text, std::size_t at) {
  if (text.substr(at, 2) != "\\u" || text.size() < at + 6) return {};
  std::uint32_t unit = 0;
  const char* begin = text.data() + at + 2;
  const auto [end, failed] = std::from_chars(begin, begin + 4, unit, 16);
  if (failed != std::errc() || end != begin + 4) return {};
  return unit;
}

// JSON writes characters beyond the BMP as two \u escapes, which YAML does not know: it wants one
// \U. What stands behind on the same line moves two columns to the left.
std::string with_joined_surrogates(std::string_view json_text) {
  std::string out;
  out.reserve(json_text.size());
  for (std::size_t at = 0; at < json_text.size();) {
    const auto high = escaped_unit(json_text, at);
    const auto low = high ? escaped_unit(json_text, at + 6) : std::nullopt;
    if (high && low && *high >= 0xD800 && *high < 0xDC00 && *low >= 0xDC00 && *low < 0xE000) {
      out += fmt::format("\\U{:08X}", 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00));
      at += 12;
    } else {
      const std::size_t length = json_text[at] == '\\' ? 2 : 1;  // an escape is one: "\\u" is none
      out += json_text.substr(at, length);
      at += length;
    }
  }
  return out;
}

// Plain texts that begin with one of YAML's own signs: people mean the sign.
std::string quoting_hint(std::string_view source, std::size_t at) {
  if (at >= source.size() || std::string_view("*&!%@`").find(source[at]) == std::string_view::npos)
    return {};
  return fmt::format("; a text that begins with '{}' must be quoted", source[at]);
}

// Thrown by the limits, with what is wrong.
struct Refused {
  YAML::Mark mark;
  std::string message;
};

// Counts what the parser meets before anything is built of it.
class SizeGuard final : public YAML::EventHandler {
 public:
  explicit SizeGuard(std::string_view text) : text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark, "a flow is one document, this is a second"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { node(mark, anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark, std::string(kNoAnchors)};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string&) override {
    untagged(mark, tag);
    if (tag == "!") closed(mark);
    node(mark, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    untagged(mark, tag);
    enter(mark, anchor);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    untagged(mark, tag);
    enter(mark, anchor);
  }
  void OnMapEnd() override { --depth_; }

 private:
  // "?" and "!" are yaml-cpp's own, of plain and of quoted values.
  static void untagged(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused{mark, fmt::format("tags are not part of the language, found '{}'",
                                      base::shorten(tag, 40))};
  }
  // yaml-cpp takes a quoted text that the end of the file breaks off.
  void closed(const YAML::Mark& mark) const {
    const auto start = static_cast<std::size_t>(std::max(0, mark.pos));
    if (start >= text_.size() || (text_[start] != '"' && text_[start] != '\'')) return;
    const char quote = text_[start];
    for (std::size_t at = start + 1; at < text_.size(); ++at) {
      if (quote == '"' && text_[at] == '\\') {
        ++at;
      } else if (text_[at] == quote) {
        return;
      }
    }
    throw Refused{mark, fmt::format("the text that begins here has no closing {}", quote)};
  }
  void node(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw Refused{mark, std::string(kNoAnchors)};
    if (++nodes_ > kMaxFlowNodes)
      throw Refused{mark, fmt::format("more than {} values in one flow", kMaxFlowNodes)};
  }
  void enter(const YAML::Mark& mark, YAML::anchor_t anchor) {
    node(mark, anchor);
    if (++depth_ > kMaxFlowDepth)
      throw Refused{mark, fmt::format("nested deeper than {}", kMaxFlowDepth)};
  }

  std::string_view text_;
  int documents_ = 0;
  int nodes_ = 0;
  int depth_ = 0;
};

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  if (text.substr(0, 1) == "+" && text.substr(1, 1) != "-") text.remove_prefix(1);
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || status != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<double> real_number(std::string_view text) {
  double value = 0;
  if (text.find_first_of("0123456789") == std::string_view::npos) return {};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

}  // namespace

bool is_json(std::string_view source) {
  source = without_mark(source);
  const std::size_t first = source.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && source[first] == '{';
}

std::optional<YAML::Node> load_yaml(std::string_view source, Problems& problems) {
  if (source.size() > kMaxFlowBytes) {
    problems.error({}, fmt::format("a flow may have {} bytes at most, this has {}", kMaxFlowBytes,
                                   source.size()));
    return {};
  }
  source = without_mark(source);
  if (const auto wrong = base::first_invalid_utf8(source)) {
    problems.error(
        place_of(source, *wrong),
        source[*wrong] == '\0'
            ? fmt::format("a NUL character (byte {}): this is not a text", *wrong)
            : fmt::format("byte {} (0x{:02X}) is not valid UTF-8", *wrong,
                          static_cast<unsigned>(static_cast<unsigned char>(source[*wrong]))));
    return {};
  }
  const std::string text = is_json(source) ? with_joined_surrogates(source) : std::string(source);
  const auto refuse = [&](const YAML::Mark& mark, std::string message) {
    const auto at = static_cast<std::size_t>(std::max(0, mark.pos));
    problems.error(place_of(text, at), message + quoting_hint(text, at));
  };
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    SizeGuard guard(text);
    while (parser.HandleNextDocument(guard)) {
    }
    return YAML::Load(text);
  } catch (const Refused& refused) {
    refuse(refused.mark, refused.message);
  } catch (const YAML::DeepRecursion& deep) {
    refuse(deep.mark, fmt::format("nested deeper than {}", kMaxFlowDepth));
  } catch (const YAML::Exception& wrong) {
    refuse(wrong.mark, fmt::format("not YAML: {}", wrong.msg));
  }
  return {};
}

YamlReader::YamlReader(std::string_view source, Problems& problems)
    : source_(without_mark(source)), line_starts_{0}, problems_(problems) {
  std::size_t characters = 0;
  for (std::size_t at = 0; at < source_.size(); ++at) {
    if (at % kBlock == 0) characters_before_.push_back(characters);
    if (begins_character(source_[at])) ++characters;
    if (source_[at] == '\n') line_starts_.push_back(at + 1);
  }
  characters_before_.push_back(characters);
}

std::size_t YamlReader::offset(const YAML::Node& node) const {
  const YAML::Mark mark = node.Mark();
  const auto line = static_cast<std::size_t>(std::max(0, mark.line));
  if (line >= line_starts_.size()) return source_.size();
  // yaml-cpp counts bytes; people count characters, as place_at does.
  return std::min(source_.size(),
                  line_starts_[line] + static_cast<std::size_t>(std::max(0, mark.column)));
}

// A flow may be one line of a megabyte: counting from the line's start each time would take for
// ever.
std::size_t YamlReader::characters_until(std::size_t offset) const {
  const std::size_t block = offset / kBlock;
  const std::string_view rest = source_.substr(block * kBlock, offset - block * kBlock);
  return characters_before_[block] +
         static_cast<std::size_t>(std::count_if(rest.begin(), rest.end(), begins_character));
}

Place YamlReader::place_at(std::size_t offset) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const std::size_t line_start = *std::prev(after);
  return {.line = static_cast<int>(after - line_starts_.begin()),
          .column = static_cast<int>(characters_until(offset) - characters_until(line_start)) + 1};
}

Place YamlReader::place(const YAML::Node& node) const {
  return place_at(offset(node));
}

Place YamlReader::place_of_braces(const YAML::Node& node, int nth) const {
  std::size_t at = offset(node);
  for (int i = 0; at != std::string_view::npos; ++i) {
    at = source_.find("{{", at);
    if (at == std::string_view::npos) break;
    if (i == nth) return place_at(at);
    const std::size_t close = source_.find("}}", at);
    at = close == std::string_view::npos ? close : close + 2;
  }
  return place(node);  // the braces are written as escapes
}

YAML::Node YamlReader::key(const YAML::Node& mapping, std::string_view name) {
  for (const auto& each : mapping)
    if (each.first.IsScalar() && each.first.Scalar() == name) return each.first;
  return mapping;
}

void YamlReader::error(const YAML::Node& node, std::string message) const {
  problems_.error(place(node), std::move(message));
}

void YamlReader::warn(const YAML::Node& node, std::string message) const {
  problems_.warn(place(node), std::move(message));
}

std::string YamlReader::found(const YAML::Node& node) {
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  if (node.IsNull()) return "nothing";
  return fmt::format("'{}'", base::shorten(node.Scalar(), 40));
}

bool YamlReader::mapping(const YAML::Node& node, Construct construct,
                         std::string_view where) const {
  if (!names(node, where)) return false;
  const auto known = keys_of(construct), later = later_keys_of(construct);
  for (const auto& each : node) {
    if (!each.first.IsScalar()) continue;  // told already
    const std::string& key = each.first.Scalar();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (std::find(later.begin(), later.end(), key) != later.end()) {
      error(each.first, fmt::format("'{}' in {}: this version of the program cannot perform it yet",
                                    key, where));
      continue;
    }
    const std::string near = base::near_name(key, known);
    error(each.first,
          fmt::format("unknown key '{}' in {}{}", key, where,
                      near.empty() ? fmt::format("; known are {}", fmt::join(known, ", "))
                                   : fmt::format("; did you mean '{}'?", near)));
  }
  return true;
}

bool YamlReader::names(const YAML::Node& node, std::string_view what) const {
  if (!node.IsMap()) {
    error(node, fmt::format("expected a mapping for {}, found {}", what, found(node)));
    return false;
  }
  std::set<std::string> seen;
  for (const auto& each : node) {
    if (!each.first.IsScalar()) {
      error(each.first, fmt::format("a key of {} must be a text", what));
    } else if (!seen.insert(each.first.Scalar()).second) {
      error(each.first, fmt::format("'{}' stands twice in {}", each.first.Scalar(), what));
    }
  }
  return true;
}

std::optional<std::string> YamlReader::text(const YAML::Node& node, std::string_view what) const {
  if (node.IsScalar()) return node.Scalar();
  error(node, fmt::format("expected a text for {}, found {}", what, found(node)));
  return {};
}

std::vector<std::string> YamlReader::texts(const YAML::Node& node, std::string_view what) const {
  std::vector<std::string> list;
  if (node.IsScalar()) return {node.Scalar()};
  if (!node.IsSequence()) {
    error(node, fmt::format("expected a list of names for {}, found {}", what, found(node)));
    return list;
  }
  for (const auto& each : node)
    if (auto one = text(each, what)) list.push_back(*std::move(one));
  return list;
}

std::optional<std::int64_t> YamlReader::count(const YAML::Node& node, std::string_view what,
                                              std::int64_t least, std::int64_t most) const {
  if (node.IsScalar()) {
    std::string_view digits = node.Scalar();
    std::int64_t times = 1;
    if (!digits.empty() && (digits.back() == 'k' || digits.back() == 'm')) {
      times = digits.back() == 'k' ? 1'000 : 1'000'000;
      digits.remove_suffix(1);
    }
    const auto value = whole_number(digits);
    if (value && *value <= most / times) {
      if (*value * times >= least) return *value * times;
    }
    if (value) {
      error(node,
            fmt::format("{} must be from {} to {}, found {}", what, least, most, node.Scalar()));
      return {};
    }
  }
  error(node, fmt::format("expected a whole number such as 20 or 20k for {}, found {}", what,
                          found(node)));
  return {};
}

std::optional<std::int64_t> YamlReader::duration_ms(const YAML::Node& node,
                                                    std::string_view what) const {
  constexpr double kMost = 30.0 * 24 * 3600 * 1000;
  if (node.IsScalar()) {
    const std::string& written = node.Scalar();
    const std::size_t unit = written.find_first_not_of("0123456789.");
    const auto value = real_number(std::string_view(written).substr(0, unit));
    const std::string_view name =
        unit == std::string::npos ? std::string_view() : std::string_view(written).substr(unit);
    double times = 0;
    if (name == "ms") times = 1;
    if (name == "s") times = 1'000;
    if (name == "m") times = 60'000;
    if (name == "h") times = 3'600'000;
    if (value && times > 0 && *value > 0 && *value * times <= kMost)
      return std::max<std::int64_t>(1, std::llround(*value * times));
  }
  error(node, fmt::format("expected a duration such as 200ms, 30s, 20m or 2h (at most 30 days) for "
                          "{}, found {}",
                          what, found(node)));
  return {};
}

std::optional<double> YamlReader::number(const YAML::Node& node, std::string_view what) const {
  if (node.IsScalar())
    if (const auto value = real_number(node.Scalar())) return value;
  error(node, fmt::format("expected a number for {}, found {}", what, found(node)));
  return {};
}

std::optional<bool> YamlReader::flag(const YAML::Node& node, std::string_view what) const {
  if (node.IsScalar() && node.Scalar() == "true") return true;
  if (node.IsScalar() && node.Scalar() == "false") return false;
  error(node, fmt::format("expected true or false for {}, found {}", what, found(node)));
  return {};
}

json::value YamlReader::value(const YAML::Node& node) const {
  if (node.IsSequence()) {
    json::array list;
    for (const auto& each : node) list.push_back(value(each));
    return list;
  }
  if (node.IsMap()) {
    json::object object;
    if (!names(node, "a mapping")) return object;
    for (const auto& each : node) object[each.first.Scalar()] = value(each.second);
    return object;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& scalar = node.Scalar();
  if (node.Tag() == "!") return json::value(scalar);  // quoted
  if (scalar.empty() || scalar == "~" || scalar == "null") return nullptr;
  if (scalar == "true" || scalar == "false") return scalar == "true";
  if (const auto whole = whole_number(scalar)) return *whole;
  if (const auto real = real_number(scalar)) return *real;
  return json::value(scalar);
}

}  // namespace tertulia::flow
