#include "engine/batch_failures.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace tertulia::engine {
namespace {

constexpr std::int64_t kGroup = 256;

// Not a failure: it was stopped on the way, or has not begun.
bool is_unfinished(const store::OpenBatchInput& input) {
  using model::SessionStatus;
  return input.status == SessionStatus::not_started || input.status == SessionStatus::running ||
         input.status == SessionStatus::finished ||
         (input.status == SessionStatus::paused && input.stop_reason == model::StopReason::asked);
}

}  // namespace

std::string failures_file(const std::string& out) {
  return out + ".failures.jsonl";
}

std::string failure_reason(model::SessionStatus status,
                           const std::optional<model::StopReason>& stop_reason,
                           const std::string& words) {
  using model::SessionStatus;
  if (status == SessionStatus::waiting) return "waits for a person";
  if (status == SessionStatus::terminated) return "cancelled";
  std::string reason(stop_reason ? model::to_text(*stop_reason) : model::to_text(status));
  if (!words.empty()) reason += ": " + words;
  return reason;
}

base::Result<std::int64_t> write_failures(const std::string& path, BatchPlace& place,
                                          const std::map<Id, std::string>& not_begun) {
  const std::string beside = path + ".new";
  std::FILE* file = nullptr;
  const auto failed = [&] {
    base::Error error{.code = base::Code::storage,
                      .message = fmt::format("{}: {}", beside, std::strerror(errno))};
    if (file != nullptr) std::fclose(file);
    return error;
  };
  std::int64_t failures = 0;
  for (Id after = 0;;) {
    auto inputs = place.open_inputs(after, kGroup);
    if (!inputs) {
      if (file != nullptr) std::fclose(file);
      return inputs.error();
    }
    if (inputs->empty()) break;
    after = inputs->back().id;
    for (const auto& input : *inputs) {
      const auto known = not_begun.find(input.session_id);
      if (known == not_begun.end() && is_unfinished(input)) continue;
      if (file == nullptr && (file = std::fopen(beside.c_str(), "we")) == nullptr) return failed();
      base::json::object line;
      line["id"] = input.input_id;
      line["session"] = input.session_id;
      line["status"] = model::to_text(input.status);
      line["reason"] = known != not_begun.end()
                           ? known->second
                           : failure_reason(input.status, input.stop_reason, input.error_reason);
      const std::string text = base::to_text(line) + '\n';
      if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) return failed();
      ++failures;
    }
  }
  std::error_code ignored;  // it need not be there
  if (file == nullptr) {
    std::filesystem::remove(path, ignored);
    return failures;
  }
  if (std::fflush(file) != 0 || ::fdatasync(::fileno(file)) != 0) return failed();
  std::fclose(file);
  std::error_code moved;
  std::filesystem::rename(beside, path, moved);
  if (moved)
    return base::Error{.code = base::Code::storage,
                       .message = fmt::format("{}: {}", path, moved.message())};
  return failures;
}

}  // namespace tertulia::engine
