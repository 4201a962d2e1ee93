// tertulia token: who may use the HTTP API.
#include <fmt/format.h>

#include "base/sha256.h"
#include "cli/context.h"
#include "cli/terminal.h"
#include "server/token_book.h"
#include "service/row_json.h"
#include "service/session_selection.h"
#include "store/api_tokens.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

base::Result<int> create(Context& context, const std::string& name, const std::string& scope,
                         const std::string& expires_in) {
  if (auto known = server::parse_scope(scope); !known) return known.error();
  model::ApiToken row;
  row.name = name;
  row.scopes = scope;
  row.created_at = base::Clock::system().now();
  if (!expires_in.empty()) {
    auto age = service::parse_age(expires_in);
    if (!age) return age.error().in("--expires-in");
    row.expires_at = row.created_at + *age;
  }
  const std::string token = server::make_token();
  if (token.empty())
    return base::Error{.code = base::Code::internal,
                       .message = "the operating system gave no random bytes"};
  row.sha256 = base::sha256_hex(token);
  auto done = context.write([&](db::Connection& connection) -> base::Result<void> {
    auto id = store::insert_api_token(connection, row);
    if (!id) return id.error();
    row.id = *id;
    return {};
  });
  if (!done) return done.error();
  if (context.json) {
    json::object out;
    out["id"] = row.id;
    out["name"] = row.name;
    out["scope"] = row.scopes;
    out["token"] = token;
    print_json(out);
    return kExitDone;
  }
  fmt::print("{}\n", token);
  fmt::print(stderr,
             "token {} for {}, scope {}: keep it now, it is not shown again\n"
             "curl -H \"Authorization: Bearer ...\" http://127.0.0.1:5010/api/v1/sessions\n",
             row.id, safe_for_terminal(name), scope);
  return kExitDone;
}

base::Result<int> list(Context& context) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto tokens = store::load_api_tokens(**reader);
  if (!tokens) return tokens.error();
  if (context.json) {
    json::array items;
    for (const auto& token : *tokens) {
      json::object item = service::row_json(token);
      item.erase("sha256");
      items.push_back(std::move(item));
    }
    json::object out;
    out["items"] = std::move(items);
    print_json(out);
    return kExitDone;
  }
  const auto now = base::Clock::system().now();
  for (const auto& token : *tokens) {
    const std::string state =
        token.revoked_at ? fmt::format("revoked {}", base::to_iso8601(*token.revoked_at))
        : !token.expires_at
            ? "good"
            : fmt::format("{} {}", *token.expires_at <= now ? "expired" : "good until",
                          base::to_iso8601(*token.expires_at));
    fmt::print("{:>4}  {:<6}  {:<24}  {}\n", token.id, token.scopes, safe_for_terminal(token.name),
               state);
  }
  return kExitDone;
}

base::Result<int> revoke(Context& context, model::Id id) {
  auto done = context.write([&](db::Connection& connection) {
    return store::revoke_api_token(connection, id, base::Clock::system().now());
  });
  if (!done) return done.error();
  fmt::print(stderr, "token {} is revoked\n", id);
  return kExitDone;
}

}  // namespace

void add_token(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("token", "Tokens for the HTTP API");
  command->require_subcommand(1);
  struct Options {
    std::string name;
    std::string scope = "run";
    std::string expires_in;
    model::Id id = 0;
  };
  auto options = std::make_shared<Options>();
  auto* creating = command->add_subcommand("create", "Makes a token, and shows it once");
  creating->add_option("name", options->name, "What it is for")->required();
  creating->add_option("--scope", options->scope, "read, run (and read) or admin (and both)")
      ->capture_default_str();
  creating->add_option("--expires-in", options->expires_in, "90d, 12h; for ever where not said");
  creating->footer("Example: tertulia token create dashboard --scope read --expires-in 90d");
  run_on_parse(*creating, [&context, options] {
    return create(context, options->name, options->scope, options->expires_in);
  });
  auto* listing = command->add_subcommand("list", "The tokens, without what makes them");
  listing->footer("Example: tertulia token list");
  run_on_parse(*listing, [&context] { return list(context); });
  auto* revoking = command->add_subcommand("revoke", "Makes a token useless");
  revoking->add_option("id", options->id, "The token's number")->required();
  revoking->footer("Example: tertulia token revoke 3");
  run_on_parse(*revoking, [&context, options] { return revoke(context, options->id); });
}

}  // namespace tertulia::cli
