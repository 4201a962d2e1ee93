// Recording is a file that a Recorder wrote, read back to perform a flow from it without a network.
// A call is found by its place in the flow (the execution's path); what is asked there must be what
// was asked then, else the replay has parted from the recording, which is said in words. Loaded
// once; `find` and what follows it are thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "llm/profile.h"
#include "llm/provider.h"
#include "llm/recorded_call.h"

namespace tertulia::llm {

inline constexpr std::string_view kReplayScheme = "replay:";  // of --model replay:FILE

class Recording final {
 public:
  // Invalid, with the line, where the file is no recording; not_found where there is none. A last
  // line without an end is left out: a crash cut it off.
  [[nodiscard]] static base::Result<std::shared_ptr<Recording>> load(const std::string& path);

  // The profile of that name as it was, or the default for an empty name, made to be replayed.
  [[nodiscard]] base::Result<ModelProfile> profile(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> profile_names() const;
  // The session's seed; nothing where no call was made.
  [[nodiscard]] std::optional<std::uint64_t> seed() const;
  [[nodiscard]] std::int64_t last_number() const;
  // How much of the file is whole lines.
  [[nodiscard]] std::uintmax_t whole_bytes() const { return whole_bytes_; }

  // The call that answers the request, or (conflict) how the flow has parted from the recording.
  // Of several attempts at one place: the asked one, else the next, else the last.
  [[nodiscard]] base::Result<const RecordedCall*> find(const Request& request);
  // How `find` failed first; empty if it never did.
  [[nodiscard]] std::string parting() const;
  // The first call that nobody asked for, in words; empty if there is none.
  [[nodiscard]] std::string left_over() const;

 private:
  explicit Recording(std::string path) : path_(std::move(path)) {}
  base::Result<void> take(const base::json::object& line);
  [[nodiscard]] std::string part(const Request& request) const;

  const std::string path_;
  std::uintmax_t whole_bytes_ = 0;
  std::string default_profile_;
  std::map<std::string, ModelProfile, std::less<>> profiles_;
  std::vector<RecordedCall> calls_;                                // in order
  std::map<std::string, std::vector<std::size_t>> calls_by_path_;  // in order
  mutable std::mutex mutex_;                                       // guards the next two
  std::set<std::string> asked_;
  std::string parting_;
};

// A provider that answers from the recording. `original` is the provider of the recorded profile:
// it makes the bytes of requests and estimates, and is never called.
[[nodiscard]] std::shared_ptr<Provider> make_replay(std::shared_ptr<Provider> original,
                                                    std::shared_ptr<Recording> recording);

}  // namespace tertulia::llm
