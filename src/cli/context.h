// Context is what one run of the command line shares: the global flags, the configuration in force,
// and the database, opened when a command first asks for it and proved fit before anything else.
//
// Threads: `config`, `location`, the sources that `providers` and `profiles` give, and recordings
// are safe from any thread once the options are set; all else is for the command's own. The sources
// borrow the context.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/config.h"
#include "cli/server_choice.h"
#include "db/connection.h"
#include "engine/casting.h"
#include "engine/engine.h"
#include "llm/recorder.h"
#include "llm/recording.h"
#include "llm/rehearsal_script.h"
#include "llm/transport.h"
#include "remote/api_client.h"
#include "service/records.h"

namespace tertulia::cli {

// Exit codes beyond those that errors have (base::exit_status).
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitDatabase = 3;
inline constexpr int kExitModel = 4;
inline constexpr int kExitPaused = 5;
inline constexpr int kExitInterrupted = 130;

class Context final {
 public:
  Context();
  ~Context();

  ConfigFlags flags;
  bool json = false;
  std::string log_format = "text";  // text, json
  std::string migrate = "ask";      // ask, auto, refuse
  ServerFlags server_flags;         // of --server
  std::string script_file;          // rehearsal's
  std::string record_file;          // where calls of models are recorded; empty: nowhere
  llm::Recorder::Existing existing_recording = llm::Recorder::Existing::append;

  // Read once, at the first call.
  [[nodiscard]] base::Result<const Config*> config();
  // Invalid where commands go to a server.
  [[nodiscard]] base::Result<db::Location> location();
  // The server through which commands work; null where they work on the database.
  [[nodiscard]] base::Result<remote::ApiClient*> server();
  // From now on there is no such server, unless --server itself names one.
  void stay_here();
  // What sessions have recorded, there or here.
  [[nodiscard]] base::Result<service::Records*> records();
  // The words that begin a command which people are told to give: "tertulia", with the --server
  // that this one was given.
  [[nodiscard]] std::string program_words() const;

  // A database that is proved: made if it is fresh, migrated if it is behind and that is wanted. An
  // error (drift) says what is wrong with it and names the command that mends it.
  [[nodiscard]] base::Result<void> ready_database();
  // A connection for reading, on a proved database.
  [[nodiscard]] base::Result<db::Connection*> reader();
  // The engine, on a proved database. From then on it has the connection that writes.
  [[nodiscard]] base::Result<engine::Engine*> engine();
  // Performs `job` on a connection that writes: the engine's if it runs, else one for the moment.
  [[nodiscard]] base::Result<void> write(
      const std::function<base::Result<void>(db::Connection&)>& job);

  [[nodiscard]] engine::ProviderSource providers();
  [[nodiscard]] engine::ProfileSource profiles();
  // The recording that the file, or --model replay:FILE, names; each is loaded once.
  [[nodiscard]] base::Result<std::shared_ptr<llm::Recording>> recording(const std::string& file);
  // Null without --model replay:FILE.
  [[nodiscard]] base::Result<std::shared_ptr<llm::Recording>> replayed();
  // How recordings and replays fared: an error where one could not be written whole, or where the
  // flow parted from one.
  [[nodiscard]] base::Result<void> recordings_fared() const;

 private:
  // Null without --record.
  [[nodiscard]] base::Result<std::shared_ptr<llm::Recorder>> recorder();

  // Guards config_, recordings_ and recorder_. Taken last: behind the provider cache's.
  mutable std::mutex mutex_;
  std::optional<Config> config_;
  bool proved_ = false;
  std::unique_ptr<db::Connection> reader_;
  std::unique_ptr<remote::ApiClient> server_;
  bool server_is_chosen_ = false;
  std::unique_ptr<service::Records> records_;
  std::unique_ptr<llm::Transport> transport_;
  struct ProviderCache;
  std::unique_ptr<ProviderCache> provider_cache_;
  std::map<std::string, std::shared_ptr<llm::Recording>> recordings_;
  std::shared_ptr<llm::Recorder> recorder_;
  std::unique_ptr<engine::Engine> engine_;
};

// A command: its options are bound when it is added; `body` gives the exit code or an error, which
// main tells.
using Body = std::function<base::Result<int>()>;
// Where a command works: on a database alone, or through a server too. What works `here`, such as
// being a server oneself, does not heed that the environment or a file names another.
enum class Place { database, anywhere, here };
void run_on_parse(CLI::App& command, const Body& body, Place place = Place::database);
// The command that was given, set by run_on_parse; its body is empty if none was.
struct ChosenCommand {
  Body body;
  Place place = Place::database;
  std::string name;  // "session show"
};
[[nodiscard]] ChosenCommand& chosen_command();
// Invalid where the command, or an option that it was given, does not work through the server in
// force.
[[nodiscard]] base::Result<void> check_place(Context& context, const ChosenCommand& command);

// Tells an error on standard error (as JSON on standard output with --json): message, remedy last.
// The exit code.
int tell(const base::Error& error, bool json);

// Prints one JSON document on standard output.
void print_json(const base::json::value& value);

// Each adds its commands; one file each.
void add_run(CLI::App& app, Context& context);
void add_batch(CLI::App& app, Context& context);
void add_session(CLI::App& app, Context& context);
void add_flow(CLI::App& app, Context& context);
void add_role(CLI::App& app, Context& context);
void add_model(CLI::App& app, Context& context);
void add_db(CLI::App& app, Context& context);
void add_serve(CLI::App& app, Context& context);
void add_token(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);

}  // namespace tertulia::cli
