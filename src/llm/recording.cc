#include "llm/recording.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

std::string place_words(const std::string& step, std::int64_t iteration, int attempt) {
  std::string words = fmt::format("step '{}'", step);
  if (iteration > 1) words += fmt::format(", {}. time", iteration);
  if (attempt > 1) words += fmt::format(", attempt {}", attempt);
  return words;
}

std::string place_words(const RecordedCall& call) {
  return fmt::format("call {} ({})", call.number,
                     place_words(call.step, call.iteration, call.attempt));
}

class ReplayProvider final : public Provider {
 public:
  ReplayProvider(std::shared_ptr<Provider> original, std::shared_ptr<Recording> recording)
      : original_(std::move(original)), recording_(std::move(recording)) {}

  std::string_view protocol() const override { return "replay"; }
  std::string wire_body(const Request& request) const override {
    return original_->wire_body(request);
  }
  std::int64_t estimate_tokens(std::string_view text) const override {
    return original_->estimate_tokens(text);
  }

  std::unique_ptr<Call> start(const Request& request, std::string /*body*/,
                              const Deadlines& /*deadlines*/, Listener listener) override {
    Answer answer;
    if (const auto found = recording_->find(request)) {
      const RecordedCall& call = **found;
      if (listener.on_text)
        for (const std::string& piece : call.pieces) listener.on_text(piece);
      answer = call.answer;
    } else {
      answer.outcome = Outcome::refused;
      answer.error = found.error().message;
    }
    if (listener.on_done) listener.on_done(std::move(answer));
    return finished_call();
  }

 private:
  const std::shared_ptr<Provider> original_;
  const std::shared_ptr<Recording> recording_;
};

}  // namespace

base::Result<std::shared_ptr<Recording>> Recording::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("{}: there is no such recording", path),
                       .remedy = "make one with --record FILE"};
  std::shared_ptr<Recording> recording(new Recording(path));
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (file.eof()) break;  // no line end: cut off by a crash
    const auto value = base::parse_json(line);
    const json::object* const object = value ? value->if_object() : nullptr;
    const auto wrong = [&](std::string_view what) {
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}:{}: {}", path, number, what)};
    };
    if (object == nullptr) return wrong("not a line of a recording");
    if (number == 1 && (text_at(*object, "type") != "recording" ||
                        count_at(*object, "version") != std::int64_t{1}))
      return wrong("not a recording that this program can read");
    if (auto taken = recording->take(*object); !taken) return wrong(taken.error().message);
    recording->whole_bytes_ += line.size() + 1;
  }
  if (recording->whole_bytes_ == 0)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: not a recording", path)};
  return recording;
}

base::Result<void> Recording::take(const json::object& line) {
  const std::string_view type = text_at(line, "type");
  if (type == "profile") {
    const json::value* const given = line.if_contains("profile");
    auto profile = ModelProfile::from_json(given != nullptr ? *given : json::value());
    if (!profile) return std::move(profile).error();
    std::string name = profile->name;
    if (profiles_.empty() || line.contains("default")) default_profile_ = name;
    profiles_.insert_or_assign(std::move(name), *std::move(profile));
  } else if (type == "call") {
    auto call = RecordedCall::from_json(line);
    if (!call) return std::move(call).error();
    calls_by_path_[call->path].push_back(calls_.size());
    calls_.push_back(*std::move(call));
  }
  return {};  // other types are for later versions
}

base::Result<ModelProfile> Recording::profile(std::string_view name) const {
  const auto found = profiles_.find(name.empty() ? std::string_view(default_profile_) : name);
  if (found == profiles_.end())
    return base::Error{
        .code = base::Code::conflict,
        .message =
            profiles_.empty()
                ? fmt::format("{}: the recording holds no profile", path_)
                : fmt::format("the flow asks the model profile '{}', which {} does not know; "
                              "it was made with {}",
                              name, path_, fmt::join(profile_names(), ", ")),
        .remedy = "record it anew with --record FILE"};
  ModelProfile profile = found->second;
  profile.recording = path_;
  return profile;
}

std::vector<std::string> Recording::profile_names() const {
  std::vector<std::string> names;
  for (const auto& each : profiles_) names.push_back(each.first);
  return names;
}

std::optional<std::uint64_t> Recording::seed() const {
  if (calls_.empty()) return {};
  return calls_.front().seed;
}

std::int64_t Recording::last_number() const {
  return calls_.empty() ? 0 : calls_.back().number;
}

base::Result<const RecordedCall*> Recording::find(const Request& request) {
  const std::scoped_lock lock(mutex_);
  asked_.insert(request.hints.path);
  std::string why;
  const auto at = calls_by_path_.find(request.hints.path);
  if (at == calls_by_path_.end()) {
    why = part(request);
  } else {
    const std::vector<std::size_t>& attempts = at->second;
    const auto next = std::find_if(attempts.begin(), attempts.end(), [&](std::size_t index) {
      return calls_[index].attempt >= request.hints.attempt;
    });
    const RecordedCall& call = calls_[next != attempts.end() ? *next : attempts.back()];
    const std::string difference = request_difference(call.request, canonical_request(request));
    if (difference.empty()) return &call;
    why = fmt::format("the flow parts from {} at {}: {}", path_, place_words(call), difference);
  }
  if (parting_.empty()) parting_ = why;
  return base::Error{.code = base::Code::conflict, .message = std::move(why)};
}

// For a place that the recording never came to.
std::string Recording::part(const Request& request) const {
  const auto next = std::find_if(calls_.begin(), calls_.end(), [&](const RecordedCall& call) {
    return !asked_.contains(call.path);
  });
  return fmt::format(
      "the flow parts from {} at {}: it was not called there; {}", path_,
      place_words(request.hints.step, request.hints.iteration, request.hints.attempt),
      next == calls_.end() ? fmt::format("the recording ends with call {}", last_number())
                           : fmt::format("expected is {}", place_words(*next)));
}

std::string Recording::parting() const {
  const std::scoped_lock lock(mutex_);
  return parting_;
}

std::string Recording::left_over() const {
  const std::scoped_lock lock(mutex_);
  for (const RecordedCall& call : calls_)
    if (!asked_.contains(call.path))
      return fmt::format("the flow ended before {} of {}, which has {} calls", place_words(call),
                         path_, calls_.size());
  return {};
}

std::shared_ptr<Provider> make_replay(std::shared_ptr<Provider> original,
                                      std::shared_ptr<Recording> recording) {
  return std::make_shared<ReplayProvider>(std::move(original), std::move(recording));
}

}  // namespace tertulia::llm
