// Recorder keeps every exchange with a model in a file of JSON lines: first what the file is, then
// the profiles used (without the sources of their keys), then a line for each call, on the disk
// before its answer goes on. A call that somebody stopped is not kept: it is made again.
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "llm/profile.h"
#include "llm/provider.h"
#include "llm/recorded_call.h"

namespace tertulia::llm {

class Recorder final {
 public:
  enum class Existing { refuse, append };

  // Makes the file, or goes on with it: `refuse` refuses one that holds calls. A last line that a
  // crash left half written is cut off. Storage where the file cannot be written, invalid where it
  // is something else than a recording.
  [[nodiscard]] static base::Result<std::shared_ptr<Recorder>> open(const std::string& path,
                                                                    Existing existing);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Keeps a profile, if none of its name is kept yet. The default is the one that a replay uses for
  // roles that name none.
  void know(const ModelProfile& profile, bool is_default);
  // Keeps a call, under the next number.
  void keep(RecordedCall call);

  // What went wrong with the writing, if anything did: the recording is not whole then.
  [[nodiscard]] std::optional<base::Error> failure() const;

 private:
  Recorder(std::string path, int file) : path_(std::move(path)), file_(file) {}
  void write(const base::json::object& line);

  const std::string path_;
  const int file_;
  mutable std::mutex mutex_;  // guards the rest
  std::set<std::string> profiles_;
  std::int64_t calls_ = 0;
  std::optional<base::Error> failure_;
};

// A provider that does what `inner` does, and records it.
[[nodiscard]] std::shared_ptr<Provider> make_recording(std::shared_ptr<Provider> inner,
                                                       const ModelProfile& profile,
                                                       std::shared_ptr<Recorder> recorder);

}  // namespace tertulia::llm
