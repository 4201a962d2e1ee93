#include "llm/recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "llm/endpoint.h"
#include "llm/recording.h"
#include "llm/wrapping_provider.h"

namespace tertulia::llm {
namespace {

namespace fs = std::filesystem;
namespace json = base::json;

base::Error io_error(const std::string& path, std::string_view what) {
  return {.code = base::Code::storage,
          .message = fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

// A new file is only there for good when its folder is on the disk too.
void sync_folder(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  const int file =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  if (::fsync(file) != 0) spdlog::warn("{}: {}", folder.string(), std::strerror(errno));
  ::close(file);
}

class RecordingProvider final : public WrappingProvider {
 public:
  RecordingProvider(std::shared_ptr<Provider> inner, std::string profile,
                    std::shared_ptr<Recorder> recorder)
      : WrappingProvider(std::move(inner)),
        profile_(std::move(profile)),
        recorder_(std::move(recorder)) {}

  std::unique_ptr<Call> start(const Request& request, std::string body, const Deadlines& deadlines,
                              Listener listener) override {
    auto call = std::make_shared<RecordedCall>();
    call->profile = profile_;
    call->seed = request.hints.seed;
    call->path = request.hints.path;
    call->attempt = request.hints.attempt;
    call->step = request.hints.step;
    call->iteration = request.hints.iteration;
    call->request = canonical_request(request);
    Listener ears;
    ears.on_text = [call, on_text = std::move(listener.on_text)](std::string_view text) {
      call->pieces.emplace_back(text);
      if (on_text) on_text(text);
    };
    ears.on_done = [call, recorder = recorder_,
                    on_done = std::move(listener.on_done)](Answer answer) {
      if (answer.outcome != Outcome::cancelled) {
        call->answer = answer;
        recorder->keep(std::move(*call));
      }
      if (on_done) on_done(std::move(answer));
    };
    return inner()->start(request, std::move(body), deadlines, std::move(ears));
  }

 private:
  const std::string profile_;
  const std::shared_ptr<Recorder> recorder_;
};

}  // namespace

base::Result<std::shared_ptr<Recorder>> Recorder::open(const std::string& path, Existing existing) {
  std::error_code failed;
  const std::uintmax_t size = fs::file_size(path, failed);
  const bool is_there = !failed && size > 0;
  std::uintmax_t whole = 0;
  std::set<std::string> profiles;
  std::int64_t calls = 0;
  if (is_there) {
    auto before = Recording::load(path);
    if (!before) return std::move(before).error();
    calls = (*before)->last_number();
    if (calls > 0 && existing == Existing::refuse)
      return base::Error{.code = base::Code::conflict,
                         .message = fmt::format("{} holds a recording of {} calls", path, calls),
                         .remedy = "name another file with --record, or remove this one"};
    // A run that came to no call leaves nothing to go on with.
    if (calls > 0) {
      whole = (*before)->whole_bytes();
      for (const std::string& name : (*before)->profile_names()) profiles.insert(name);
    }
  }
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return io_error(path, "cannot be written");
  std::shared_ptr<Recorder> recorder(new Recorder(path, file));
  if (is_there && ::ftruncate(file, static_cast<off_t>(whole)) != 0)
    return io_error(path, "cannot be written");
  recorder->profiles_ = std::move(profiles);
  recorder->calls_ = calls;
  if (whole == 0)
    recorder->write({{"type", "recording"}, {"version", 1}, {"program", TERTULIA_VERSION}});
  if (recorder->failure_) return *recorder->failure_;
  sync_folder(path);
  return recorder;
}

Recorder::~Recorder() {
  ::close(file_);
}

void Recorder::know(const ModelProfile& profile, bool is_default) {
  const std::scoped_lock lock(mutex_);
  if (!profiles_.insert(profile.name).second) return;
  ModelProfile kept = profile;
  kept.key = {};
  kept.base_url = display_url(profile.base_url);
  kept.recording.clear();
  json::object line{{"type", "profile"}};
  if (is_default) line["default"] = true;
  line["profile"] = kept.to_json();
  write(line);
}

void Recorder::keep(RecordedCall call) {
  const std::scoped_lock lock(mutex_);
  call.number = ++calls_;
  write(call.to_json());
}

std::optional<base::Error> Recorder::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

// One write, so that a line is whole or the last.
void Recorder::write(const json::object& line) {
  if (failure_) return;
  const std::string text = base::to_text(line) + '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!rest.empty() || ::fdatasync(file_) != 0) {
    failure_ = io_error(path_, "the recording is not whole");
    failure_->remedy = "make room and record again";
    spdlog::error("{}", failure_->message);
  }
}

std::shared_ptr<Provider> make_recording(std::shared_ptr<Provider> inner,
                                         const ModelProfile& profile,
                                         std::shared_ptr<Recorder> recorder) {
  recorder->know(profile, false);
  return std::make_shared<RecordingProvider>(std::move(inner), profile.name, std::move(recorder));
}

}  // namespace tertulia::llm
