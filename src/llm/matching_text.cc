#include "llm/matching_text.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/utf8.h"

namespace tertulia::llm {
namespace {

constexpr std::size_t kMaxText = 4096;
constexpr int kMaxDepth = 32;
constexpr unsigned kMaxRepeat = 1000;

// A recursive descent that writes while it reads: every construct has a text in `out` when it has
// been read, so a repetition reads its atom again as often as it is wanted.
class Writer final {
 public:
  Writer(std::string_view pattern, base::Random& random) : pattern_(pattern), random_(random) {}

  std::optional<std::string> write() {
    if (peek() == '^') ++at_;
    if (!alternatives(0)) return {};
    if (peek() == '$') ++at_;
    if (at_ != pattern_.size()) return {};
    return std::move(out_);
  }

 private:
  [[nodiscard]] char peek() const { return at_ < pattern_.size() ? pattern_[at_] : '\0'; }

  // Each alternative is written; one of them stays.
  bool alternatives(int depth) {
    if (depth > kMaxDepth) return false;
    const std::size_t begin = out_.size();
    std::vector<std::string> texts;
    for (;;) {
      if (!sequence(depth)) return false;
      texts.push_back(out_.substr(begin));
      out_.resize(begin);
      if (peek() != '|') break;
      ++at_;
    }
    out_ += texts[static_cast<std::size_t>(random_.below(texts.size()))];
    return true;
  }

  bool sequence(int depth) {
    while (at_ < pattern_.size() && peek() != '|' && peek() != ')') {
      if (peek() == '$' && at_ + 1 == pattern_.size()) return true;
      const std::size_t atom_begin = at_;
      const std::size_t out_begin = out_.size();
      if (!atom(depth)) return false;
      unsigned low = 1, high = 1;
      if (!quantifier(low, high)) return false;
      const std::size_t after = at_;
      const auto times = low + static_cast<unsigned>(random_.below(high - low + 1));
      if (times == 0) out_.resize(out_begin);
      for (unsigned i = 1; i < times; ++i) {
        at_ = atom_begin;
        if (!atom(depth) || out_.size() > kMaxText) return false;
      }
      at_ = after;
    }
    return true;
  }

  bool atom(int depth) {
    const char c = pattern_[at_];
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return character_class();
      case '\\':
        ++at_;
        return escape();
      case '.':
        ++at_;
        return one_of(kWord);
      case '^':
      case '$':
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        return false;
      default:
        break;
    }
    const std::size_t begin = at_;
    (void)base::next_code_point(pattern_, at_);
    out_ += pattern_.substr(begin, at_ - begin);
    return true;
  }

  bool group(int depth) {
    ++at_;
    if (peek() == '?') {
      if (!pattern_.substr(at_).starts_with("?:")) return false;
      at_ += 2;
    }
    if (!alternatives(depth + 1) || peek() != ')') return false;
    ++at_;
    return true;
  }

  bool escape() {
    const char c = peek();
    ++at_;
    switch (c) {
      case 'd':
        return one_of("0123456789");
      case 'w':
        return one_of(kWord);
      case 's':
        out_ += ' ';
        return true;
      case 't':
        out_ += '\t';
        return true;
      case 'n':
        out_ += '\n';
        return true;
      default:
        break;
    }
    const bool punctuation = c > ' ' && c < 0x7F && !is_alphanumeric(c);
    if (punctuation) out_ += c;
    return punctuation;
  }

  bool character_class() {
    ++at_;
    if (peek() == '^') return false;
    std::vector<std::string> choices;
    bool first = true;
    while (peek() != ']' || first) {
      first = false;
      if (at_ >= pattern_.size() || !class_member(choices)) return false;
    }
    ++at_;
    if (choices.empty()) return false;
    out_ += choices[static_cast<std::size_t>(random_.below(choices.size()))];
    return true;
  }

  bool class_member(std::vector<std::string>& choices) {
    const auto add_all = [&](std::string_view set) {
      for (const char c : set) choices.emplace_back(1, c);
      return true;
    };
    if (peek() == '\\') {
      ++at_;
      if (peek() == 'd') return ++at_, add_all("0123456789");
      if (peek() == 'w') return ++at_, add_all(kWord);
      if (is_alphanumeric(peek()) || at_ >= pattern_.size()) return false;
    }
    const std::size_t begin = at_;
    const char32_t low = base::next_code_point(pattern_, at_);
    if (peek() != '-' || at_ + 1 >= pattern_.size() || pattern_[at_ + 1] == ']') {
      choices.emplace_back(pattern_.substr(begin, at_ - begin));
      return true;
    }
    ++at_;
    const char32_t high = base::next_code_point(pattern_, at_);
    if (low > high || low >= 0x80) return false;
    for (char32_t c = low; c <= std::min<char32_t>(high, 0x7E); ++c)
      choices.emplace_back(1, static_cast<char>(c));
    return true;
  }

  bool quantifier(unsigned& low, unsigned& high) {
    constexpr unsigned kOpenEnd = 4;
    switch (peek()) {
      case '?':
        low = 0;
        high = 1;
        break;
      case '*':
        low = 0;
        high = kOpenEnd;
        break;
      case '+':
        low = 1;
        high = kOpenEnd;
        break;
      case '{':
        if (!counted(low, high)) return false;
        break;
      default:
        return true;
    }
    ++at_;
    if (peek() == '?') ++at_;  // lazy or greedy: the same texts
    return true;
  }

  bool counted(unsigned& low, unsigned& high) {
    const std::size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) return false;
    const std::string_view inside = pattern_.substr(at_ + 1, end - at_ - 1);
    const std::size_t comma = inside.find(',');
    if (!number(inside.substr(0, comma), low)) return false;
    high = low;
    if (comma != std::string_view::npos) {
      const std::string_view upper = inside.substr(comma + 1);
      if (upper.empty())
        high = low + 3;
      else if (!number(upper, high))
        return false;
    }
    at_ = end;
    return low <= high && high <= kMaxRepeat;
  }

  static bool number(std::string_view text, unsigned& out) {
    const auto [at, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    return failed == std::errc() && at == text.data() + text.size() && !text.empty();
  }

  static bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }

  bool one_of(std::string_view set) {
    out_ += set[static_cast<std::size_t>(random_.below(set.size()))];
    return true;
  }

  static constexpr std::string_view kWord = "abcdefghijklmnopqrstuvwxyz0123456789";

  std::string_view pattern_;
  base::Random& random_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::optional<std::string> matching_text(std::string_view pattern, base::Random& random) {
  return Writer(pattern, random).write();
}

}  // namespace tertulia::llm
