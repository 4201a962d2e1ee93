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

// Thrown by the limits, with what is wrong.
struct Refused {
  YAML::Mark mark;
  std::string message;
};

// Counts what the parser meets before anything is built of it.
class SizeGuard final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark, "a flow is one document, this is a second"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { node(mark, anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark, "anchors and aliases are not part of the language"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string&) override {
    node(mark, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    enter(mark, anchor);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    enter(mark, anchor);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void node(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw Refused{mark, "anchors and aliases are not part of the language"};
    if (++nodes_ > kMaxFlowNodes)
      throw Refused{mark, fmt::format("more than {} values in one flow", kMaxFlowNodes)};
  }
  void enter(const YAML::Mark& mark, YAML::anchor_t anchor) {
    node(mark, anchor);
    if (++depth_ > kMaxFlowDepth)
      throw Refused{mark, fmt::format("nested deeper than {}", kMaxFlowDepth)};
  }

  int documents_ = 0;
  int nodes_ = 0;
  int depth_ = 0;
};

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const char* begin = text.data() + (text.substr(0, 1) == "+" ? 1 : 0);
  const auto [end, status] = std::from_chars(begin, text.data() + text.size(), value);
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

std::optional<YAML::Node> load_yaml(std::string_view source, Problems& problems) {
  if (source.size() > kMaxFlowBytes) {
    problems.error({}, fmt::format("a flow may have {} bytes at most, this has {}", kMaxFlowBytes,
                                   source.size()));
    return {};
  }
  if (const auto wrong = base::first_invalid_utf8(source)) {
    problems.error(place_of(source, *wrong), source[*wrong] == '\0'
                                                 ? "a NUL character: this is not a text"
                                                 : "this is not valid UTF-8");
    return {};
  }
  const std::string text(source);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    SizeGuard guard;
    while (parser.HandleNextDocument(guard)) {
    }
    return YAML::Load(text);
  } catch (const Refused& refused) {
    problems.error(place_of(source, static_cast<std::size_t>(std::max(0, refused.mark.pos))),
                   refused.message);
  } catch (const YAML::DeepRecursion& deep) {
    problems.error(place_of(source, static_cast<std::size_t>(std::max(0, deep.mark.pos))),
                   fmt::format("nested deeper than {}", kMaxFlowDepth));
  } catch (const YAML::Exception& wrong) {
    problems.error(place_of(source, static_cast<std::size_t>(std::max(0, wrong.mark.pos))),
                   fmt::format("not YAML: {}", wrong.msg));
  }
  return {};
}

YamlReader::YamlReader(std::string_view source, Problems& problems)
    : source_(source), line_starts_{0}, problems_(problems) {
  for (std::size_t at = source.find('\n'); at != std::string_view::npos;
       at = source.find('\n', at + 1))
    line_starts_.push_back(at + 1);
}

Place YamlReader::place(const YAML::Node& node) const {
  const YAML::Mark mark = node.Mark();
  if (mark.line < 0) return {};
  Place place{.line = mark.line + 1, .column = 1};
  if (static_cast<std::size_t>(mark.line) >= line_starts_.size()) return place;
  // yaml-cpp counts bytes; people count characters.
  const std::size_t start = line_starts_[static_cast<std::size_t>(mark.line)];
  const std::size_t end =
      std::min(source_.size(), start + static_cast<std::size_t>(std::max(0, mark.column)));
  for (std::size_t at = start; at < end;) {
    static_cast<void>(base::next_code_point(source_, at));
    ++place.column;
  }
  return place;
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
