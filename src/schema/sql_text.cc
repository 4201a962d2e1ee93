#include "schema/sql_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace tertulia::schema {
namespace {

bool starts_word(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) {
  return starts_word(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
}

class Scanner final {
 public:
  explicit Scanner(std::string_view sql) : sql_(sql) {}

  base::Result<std::vector<Token>> scan() {
    while (at_ < sql_.size()) {
      if (std::isspace(static_cast<unsigned char>(sql_[at_])) != 0) {
        ++at_;
        continue;
      }
      if (auto read = sql_.substr(at_).starts_with("--")   ? line_comment()
                      : sql_.substr(at_).starts_with("/*") ? block_comment()
                                                           : token();
          !read)
        return read.error();
    }
    return std::move(tokens_);
  }

 private:
  base::Error unended(std::string_view what, std::size_t begin) const {
    const auto line = 1 + std::count(sql_.begin(), sql_.begin() + static_cast<long>(begin), '\n');
    return {.code = base::Code::invalid,
            .message = fmt::format("line {}: {} does not end", line, what)};
  }

  base::Result<void> line_comment() {
    at_ = std::min(sql_.find('\n', at_), sql_.size());
    return {};
  }

  base::Result<void> block_comment() {
    const std::size_t end = sql_.find("*/", at_ + 2);
    if (end == std::string_view::npos) return unended("a comment", at_);
    if (sql_.substr(at_ + 2, end - at_ - 2).find("/*") != std::string_view::npos)
      return base::Error{.code = base::Code::invalid,
                         .message =
                             "a comment stands in a comment, which the engines read "
                             "differently"};
    at_ = end + 2;
    return {};
  }

  base::Result<void> token() {
    const char c = sql_[at_];
    if (c == '\'') return quoted_text(Token::Kind::string, "a string", false);
    if ((c == 'e' || c == 'E') && at_ + 1 < sql_.size() && sql_[at_ + 1] == '\'')
      return quoted_text(Token::Kind::string, "a string", true);
    if (c == '"' || c == '`') return quoted_text(Token::Kind::quoted_name, "a quoted name", false);
    if (c == '$') {
      if (const auto tag = dollar_tag(); !tag.empty()) return dollar_string(tag);
    }
    if (starts_word(c)) {
      word();
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      number();
    } else {
      constexpr std::array<std::string_view, 7> kPairs = {"::", "<>", "<=", ">=", "!=", "||", "->"};
      const bool pair = std::any_of(kPairs.begin(), kPairs.end(), [&](std::string_view each) {
        return sql_.substr(at_).starts_with(each);
      });
      const std::size_t length = pair ? 2 : 1;
      push(Token::Kind::symbol, std::string(sql_.substr(at_, length)), at_ + length);
    }
    return {};
  }

  base::Result<void> quoted_text(Token::Kind kind, std::string_view what, bool escapes) {
    const std::size_t open = escapes ? at_ + 1 : at_;
    const char quote = sql_[open];
    std::string inner;
    for (std::size_t i = open + 1; i < sql_.size(); ++i) {
      if (escapes && sql_[i] == '\\' && i + 1 < sql_.size()) {
        inner += sql_.substr(i++, 2);
      } else if (sql_[i] != quote) {
        inner += sql_[i];
      } else if (i + 1 < sql_.size() && sql_[i + 1] == quote) {
        inner += sql_[i++];
      } else {
        const bool is_name = kind == Token::Kind::quoted_name;
        push(kind, is_name ? inner : std::string(sql_.substr(at_, i + 1 - at_)), i + 1);
        return {};
      }
    }
    return unended(what, at_);
  }

  // The opening "$tag$" at this place, or nothing ("$1" is a parameter).
  std::string_view dollar_tag() const {
    std::size_t i = at_ + 1;
    if (i < sql_.size() && starts_word(sql_[i]))
      while (i < sql_.size() && continues_word(sql_[i])) ++i;
    if (i >= sql_.size() || sql_[i] != '$') return {};
    return sql_.substr(at_, i + 1 - at_);
  }

  base::Result<void> dollar_string(std::string_view tag) {
    const std::size_t close = sql_.find(tag, at_ + tag.size());
    if (close == std::string_view::npos) return unended("a dollar-quoted string", at_);
    const std::size_t end = close + tag.size();
    push(Token::Kind::string, std::string(sql_.substr(at_, end - at_)), end);
    return {};
  }

  void word() {
    std::size_t end = at_;
    while (end < sql_.size() && (continues_word(sql_[end]) || sql_[end] == '$')) ++end;
    std::string text(sql_.substr(at_, end - at_));
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    push(Token::Kind::word, std::move(text), end);
  }

  void number() {
    std::size_t end = at_;
    while (end < sql_.size() && (continues_word(sql_[end]) || sql_[end] == '.')) ++end;
    push(Token::Kind::symbol, std::string(sql_.substr(at_, end - at_)), end);
  }

  void push(Token::Kind kind, std::string text, std::size_t end) {
    tokens_.push_back({kind, std::move(text), at_, end});
    at_ = end;
  }

  std::string_view sql_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
};

// Follows one statement: are we inside a body, whose semicolons do not end it?
class Body final {
 public:
  void take(const Token& token) {
    ++count_;
    if (count_ == 1) is_create_ = token.is("create");
    if (!is_create_) return;
    // The kind of object stands within the first words: CREATE OR REPLACE TEMP TRIGGER.
    if (count_ <= 5 && (token.is("trigger") || token.is("function") || token.is("procedure")))
      has_body_ = true;
    if (!has_body_) return;
    if (token.is("begin") && depth_ == 0) {
      depth_ = 1;
    } else if (depth_ > 0 && token.is("case")) {
      ++depth_;
    } else if (depth_ > 0 && token.is("end")) {
      --depth_;
    }
  }
  [[nodiscard]] bool is_open() const { return depth_ > 0; }

 private:
  int count_ = 0;
  int depth_ = 0;
  bool is_create_ = false;
  bool has_body_ = false;
};

bool needs_no_quotes(std::string_view name) {
  return !name.empty() && starts_word(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return continues_word(c) && std::isupper(static_cast<unsigned char>(c)) == 0;
         });
}

// Between quotes, those inside doubled.
std::string in_quotes(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) out.append(c == quote ? 2 : 1, c);
  return out + quote;
}

}  // namespace

base::Result<std::vector<Token>> tokens_of(std::string_view sql) {
  return Scanner(sql).scan();
}

base::Result<std::vector<std::string_view>> statements_of(std::string_view script) {
  auto tokens = tokens_of(script);
  if (!tokens) return tokens.error();
  std::vector<std::string_view> statements;
  Body body;
  std::size_t first = 0;
  for (std::size_t i = 0; i <= tokens->size(); ++i) {
    const bool ends = i == tokens->size() || ((*tokens)[i].is(";") && !body.is_open());
    if (!ends) {
      body.take((*tokens)[i]);
      continue;
    }
    if (i > first) {
      const std::size_t begin = (*tokens)[first].begin;
      statements.push_back(script.substr(begin, (*tokens)[i - 1].end - begin));
    }
    if (i == tokens->size() && body.is_open())
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("the body of the last statement does not end: {}",
                                                statements.back().substr(0, 60))};
    first = i + 1;
    body = Body();
  }
  return statements;
}

std::string normalised(const std::vector<Token>& tokens, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end && i < tokens.size(); ++i) {
    if (!text.empty()) text += ' ';
    const bool keep_quotes =
        tokens[i].kind == Token::Kind::quoted_name && !needs_no_quotes(tokens[i].text);
    text += keep_quotes ? fmt::format("\"{}\"", tokens[i].text) : tokens[i].text;
  }
  return text;
}

std::string normalised(std::string_view sql) {
  const auto tokens = tokens_of(sql);
  // An engine accepted this text, so it has tokens; one that we cannot read is compared as it is.
  return tokens ? normalised(*tokens, 0, tokens->size()) : std::string(sql);
}

std::size_t closing(const std::vector<Token>& tokens, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < tokens.size(); ++i) {
    if (tokens[i].is("(")) ++depth;
    if (tokens[i].is(")") && --depth == 0) return i;
  }
  return tokens.size();
}

std::string sql_name(std::string_view name) {
  // The one reserved word among our names.
  if (needs_no_quotes(name) && name != "order") return std::string(name);
  return quoted_name(name);
}

std::string quoted_name(std::string_view name) {
  return in_quotes(name, '"');
}

std::string sql_literal(std::string_view text) {
  return in_quotes(text, '\'');
}

}  // namespace tertulia::schema
