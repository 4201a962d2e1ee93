#include "server/token_book.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <array>
#include <cctype>

#include "base/sha256.h"
#include "server/guard.h"
#include "store/api_tokens.h"

namespace tertulia::server {

std::string make_token() {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return {};
  std::string token(kTokenPrefix);
  unsigned bits = 0;
  int held = 0;
  for (const unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) token += kLetters[(bits >> (held - 6)) & 63];
    bits &= (1U << held) - 1;
  }
  if (held > 0) token += kLetters[(bits << (6 - held)) & 63];
  return token;
}

std::string hide_tokens(std::string_view text) {
  constexpr std::string_view kStart = "tt_";
  constexpr std::size_t kShownLetters = 4;
  constexpr std::size_t kLetters = 43;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at, kStart.size()) != kStart) {
      out += text[at++];
      continue;
    }
    std::size_t end = at + kStart.size();
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                                 text[end] == '-' || text[end] == '_'))
      ++end;
    const bool is_token = end - at >= kStart.size() + kLetters;
    out += text.substr(at, is_token ? kStart.size() + kShownLetters : end - at);
    if (is_token) out += "...";
    at = end;
  }
  return out;
}

base::Result<Scope> parse_scope(std::string_view name) {
  for (const Scope scope : {Scope::read, Scope::run, Scope::admin})
    if (scope_name(scope) == name) return scope;
  return base::Error{.code = base::Code::invalid,
                     .message = fmt::format("'{}' is no scope", name),
                     .remedy = "the scopes are read, run (and read), admin (and both)"};
}

TokenBook::TokenBook(const base::Clock& clock, std::string_view fixed)
    : clock_(clock), fixed_sha256_(fixed.empty() ? std::string() : base::sha256_hex(fixed)) {}

base::Result<void> TokenBook::read(db::Connection& reader) {
  auto tokens = store::load_api_tokens(reader);
  if (!tokens) return tokens.error();
  std::map<std::string, model::ApiToken, std::less<>> known;
  for (auto& token : *tokens) {
    std::string sha256 = token.sha256;
    known.emplace(std::move(sha256), std::move(token));
  }
  const std::lock_guard lock(mutex_);
  by_sha256_ = std::move(known);
  return {};
}

base::Result<Caller> TokenBook::find(std::string_view token) const {
  const auto denied = [](std::string message) {
    return base::Error{.code = base::Code::denied, .message = std::move(message)};
  };
  // The hash is what is looked up: how long that takes says nothing about any token.
  const std::string sha256 = base::sha256_hex(token);
  if (!fixed_sha256_.empty() && equal_in_constant_time(sha256, fixed_sha256_))
    return Caller{.name = "environment", .scope = Scope::admin};
  const std::lock_guard lock(mutex_);
  const auto found = by_sha256_.find(sha256);
  if (found == by_sha256_.end() || !equal_in_constant_time(found->first, sha256))
    return denied("the token is not known here");
  const model::ApiToken& known = found->second;
  if (known.revoked_at) return denied("the token was revoked");
  if (known.expires_at && *known.expires_at <= clock_.now()) return denied("the token has expired");
  auto scope = parse_scope(known.scopes);
  if (!scope) return denied("the token has no scope that is known here");
  return Caller{.name = fmt::format("token {}", known.id), .scope = *scope};
}

bool TokenBook::has_any() const {
  if (!fixed_sha256_.empty()) return true;
  const std::lock_guard lock(mutex_);
  for (const auto& [sha256, token] : by_sha256_)
    if (!token.revoked_at && (!token.expires_at || *token.expires_at > clock_.now())) return true;
  return false;
}

}  // namespace tertulia::server
