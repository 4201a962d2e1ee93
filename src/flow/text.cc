#include "flow/text.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "base/near_name.h"
#include "base/utf8.h"

namespace tertulia::flow {
namespace {

using Head = Reference::Head;

constexpr size_t kLongestShown = 60;  // columns of a reference in a message

struct Name {
  std::string_view text;
  Head head;
};
// References that are one fixed name.
constexpr std::array<Name, 7> kWhole = {Name{"topic", Head::topic},
                                        {"round", Head::round},
                                        {"iteration", Head::iteration},
                                        {"role.name", Head::role_name},
                                        {"to.name", Head::to_name},
                                        {"each.name", Head::each_name},
                                        {"last", Head::last}};
// References that name something: vars.NAME ...
constexpr std::array<Name, 3> kNaming = {
    Name{"vars", Head::variable}, {"output", Head::output}, {"document", Head::document}};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<Reference> parse_reference(std::string_view text) {
  Reference reference;
  for (const Name& name : kWhole) {
    if (text != name.text) continue;
    reference.head = name.head;
    return reference;
  }
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {};
  for (const Name& name : kNaming) {
    if (text.substr(0, dot) != name.text) continue;
    reference.head = name.head;
    std::string_view rest = text.substr(dot + 1);
    if (name.head == Head::output) {
      std::vector<std::string> parts;
      for (;;) {
        const size_t next = rest.find('.');
        parts.emplace_back(rest.substr(0, next));
        if (next == std::string_view::npos) break;
        rest.remove_prefix(next + 1);
      }
      for (const auto& part : parts)
        if (part.empty()) return {};
      reference.name = parts.front();
      reference.path.assign(parts.begin() + 1, parts.end());
    } else {
      reference.name = rest;
    }
    if (reference.name.empty()) return {};
    return reference;
  }
  return {};
}

// What was likely meant: the part that names the kind of reference is held against the known ones,
// what follows it stays as it is.
std::string likely_meant(std::string_view text) {
  std::vector<std::string> whole;
  for (const Name& name : kWhole) whole.emplace_back(name.text);
  if (std::string near = base::near_name(text, whole); !near.empty()) return near;
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {};
  std::vector<std::string> heads;
  for (const Name& name : kNaming) heads.emplace_back(name.text);
  std::string near = base::near_name(text.substr(0, dot), heads);
  if (near.empty()) return {};
  near += text.substr(dot);
  return parse_reference(near) ? near : std::string();
}

base::Error unknown(std::string_view text, size_t offset) {
  std::string says =
      "known are topic, round, iteration, role.name, to.name, each.name, last, vars.NAME, "
      "output.STEP.path and document.NAME";
  if (const std::string near = likely_meant(text); !near.empty())
    says = fmt::format("did you mean '{{{{{}}}}}'?", near);
  return {.code = base::Code::invalid,
          .message = fmt::format("unknown reference '{{{{{}}}}}'; {}",
                                 base::shorten(text, kLongestShown), says),
          .detail = std::to_string(offset)};
}

}  // namespace

base::Result<Text> Text::parse(std::string_view source) {
  Text text;
  text.source_ = source;
  size_t at = 0;
  while (at < source.size()) {
    const size_t open = source.find("{{", at);
    if (open != at) {
      Piece piece;
      piece.literal = source.substr(at, open - at);
      text.pieces_.push_back(std::move(piece));
    }
    if (open == std::string_view::npos) break;
    const size_t close = source.find("}}", open);
    if (close == std::string_view::npos)
      return base::Error{.code = base::Code::invalid,
                         .message = "'{{' without '}}'",
                         .detail = fmt::format("{}", open)};
    const std::string_view name = trimmed(source.substr(open + 2, close - open - 2));
    auto reference = parse_reference(name);
    if (!reference) return unknown(name, open);
    Piece piece;
    piece.reference = *std::move(reference);
    piece.reference.offset = open;
    piece.is_reference = true;
    text.pieces_.push_back(std::move(piece));
    at = close + 2;
  }
  return text;
}

}  // namespace tertulia::flow
