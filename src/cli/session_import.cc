#include "cli/session_import.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>

#include "cli/terminal.h"
#include "service/session_import.h"

namespace tertulia::cli {
namespace {

void tell_imported(const service::ImportedSession& imported, bool as_json) {
  if (as_json) {
    print_json(service::imported_json(imported));
    return;
  }
  fmt::print("session {}\n", imported.session);
  fmt::print(stderr,
             "it was session {} there; flow {} version {}{}; {} log rows and {} messages, "
             "and its log explains it\n",
             imported.from, imported.flow, imported.flow_version,
             imported.flow_is_new ? " (stored now)" : "", imported.rows, imported.messages);
  for (const auto& name : imported.without_key)
    fmt::print(stderr,
               "the profile {} is not configured here as it was there: calls of this session by it "
               "are sent no key\n",
               name);
}

// Imports one archive.
using Importer = std::function<base::Result<service::ImportedSession>(std::string_view text)>;

base::Result<service::ImportedSession> import_there(const remote::ApiClient& server,
                                                    std::string_view text) {
  auto told = server.ask(
      {.method = "POST", .target = "/api/v1/sessions/import", .body = std::string(text)});
  if (!told) return told.error();
  return service::imported_from_json(*told);
}

// Does a job that imports, into the database or at the server.
base::Result<void> with_importer(Context& context,
                                 const std::function<base::Result<void>(const Importer&)>& job) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr)
    return job([&](std::string_view text) { return import_there(**server, text); });
  return context.write([&](db::Connection& connection) {
    return job([&](std::string_view text) {
      return service::import_session(connection, text, context.providers(), context.profiles());
    });
  });
}

// The file from its beginning, a line at a time: what is held in memory is one session.
class LineReader final {
 public:
  explicit LineReader(const std::string& path) {
    if (path == "-") return;
    file_.open(path, std::ios::binary);
    is_open_ = static_cast<bool>(file_);
  }
  [[nodiscard]] bool is_open() const { return is_open_; }

  // The next line without its end; nothing after the last. Invalid where it is too long.
  base::Result<std::optional<std::string>> next() {
    std::istream& in = file_.is_open() ? file_ : std::cin;
    std::string line;
    std::streambuf& buffer = *in.rdbuf();
    constexpr auto end = std::char_traits<char>::eof();
    int byte = buffer.sbumpc();
    if (byte == end) return std::optional<std::string>();
    for (; byte != end && byte != '\n'; byte = buffer.sbumpc()) {
      if (line.size() == service::kMostArchiveBytes)
        return base::Error{
            .code = base::Code::invalid,
            .message = fmt::format("larger than the {} bytes of which a session is read at most",
                                   service::kMostArchiveBytes)};
      line += static_cast<char>(byte);
    }
    return std::optional(std::move(line));
  }

 private:
  std::ifstream file_;
  bool is_open_ = true;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

base::Result<int> import_one(Context& context, const std::string& file, std::string_view text) {
  auto done = with_importer(context, [&](const Importer& importer) -> base::Result<void> {
    auto imported = importer(text);
    if (!imported) return imported.error();
    tell_imported(*imported, context.json);
    return {};
  });
  if (done) return kExitDone;
  base::Error told = done.error().in(file);
  if (told.code == base::Code::invalid) told.message += "; nothing was imported";
  return told;
}

struct Lines {
  std::int64_t imported = 0;
  std::int64_t wrong = 0;
};

// Each line is a session, imported whole or not at all.
base::Result<Lines> import_lines(Context& context, const Importer& importer,
                                 const std::string& file, const std::string& first,
                                 const std::string& second, LineReader& reader) {
  Lines lines;
  std::optional<std::string> line = first;
  for (std::int64_t number = 1; line; ++number) {
    const std::string where = fmt::format("{}, line {}", file, number);
    if (!is_blank(*line)) {
      auto done = importer(*line);
      if (!done && done.error().code != base::Code::invalid) return done.error().in(where);
      if (done) {
        ++lines.imported;
        tell_imported(*done, context.json);
      } else {
        ++lines.wrong;
        fmt::print(stderr, "tertulia: {}\n", safe_for_terminal(done.error().in(where).message));
      }
    }
    auto next = number == 1 ? base::Result<std::optional<std::string>>(std::optional(second))
                            : reader.next();
    if (!next) return next.error().in(fmt::format("{}, line {}", file, number + 1));
    line = *std::move(next);
  }
  return lines;
}

base::Result<int> import_many(Context& context, const std::string& file, const std::string& first,
                              const std::string& second, LineReader& reader) {
  Lines lines;
  auto done = with_importer(context, [&](const Importer& importer) -> base::Result<void> {
    auto imported = import_lines(context, importer, file, first, second, reader);
    if (!imported) return imported.error();
    lines = *imported;
    return {};
  });
  if (!done) return done.error();
  fmt::print(stderr, "{} sessions imported{}\n", lines.imported,
             lines.wrong > 0 ? fmt::format(", {} lines refused", lines.wrong) : std::string());
  return lines.wrong == 0 ? kExitDone : kExitFailed;
}

// A file is JSON Lines where its first line is a document of its own and another follows.
base::Result<int> import_sessions(Context& context, const std::string& file) {
  LineReader lines(file);
  if (!lines.is_open())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: {}", file, std::strerror(errno))};
  std::string text;
  for (;;) {
    auto line = lines.next();
    if (!line) return line.error().in(file);
    if (!*line) return import_one(context, file, text);
    const bool is_first = text.empty();
    text += **line;
    if (is_first && text.size() > 1 && base::parse_json(text)) {
      auto second = lines.next();
      if (!second) return second.error().in(file);
      if (!*second) return import_one(context, file, text);
      return import_many(context, file, text, **second, lines);
    }
    text += '\n';
    if (text.size() > service::kMostArchiveBytes)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}: larger than the {} bytes of which a session "
                                                "is read at most",
                                                file, service::kMostArchiveBytes)};
  }
}

}  // namespace

void add_session_import(CLI::App& session, Context& context) {
  auto* command = session.add_subcommand(
      "import",
      "Sessions that `session export --format json` or jsonl wrote, from any machine or engine");
  auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "The file; - is standard input")->required();
  command->footer(
      "Example: tertulia session export 7 --format json > s.json; tertulia --db "
      "other.db session import s.json");
  run_on_parse(
      *command, [&context, file] { return import_sessions(context, *file); }, Place::anywhere);
}

}  // namespace tertulia::cli
