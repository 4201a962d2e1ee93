// Text is a text of a flow with {{references}}, taken apart once. What a model said is put in as it
// is and never expanded again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tertulia::flow {

// A reference, e.g. {{output.verdict.score}}: head "output", name "verdict", path {"score"}.
struct Reference {
  enum class Head {
    topic,
    round,
    iteration,
    role_name,
    to_name,
    each_name,
    last,
    variable,
    output,
    document
  };
  Head head = Head::topic;
  std::string name;               // of the variable, step or document
  std::vector<std::string> path;  // into an output
  std::size_t offset = 0;         // of its "{{" in the text, in bytes
};

class Text final {
 public:
  struct Piece {
    std::string literal;  // used if is_reference is false
    Reference reference;
    bool is_reference = false;
  };

  Text() = default;
  // An error names the reference that is unknown, with a near name, and its byte offset in
  // `detail`. "{{" without "}}" is an error too.
  [[nodiscard]] static base::Result<Text> parse(std::string_view source);

  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }
  [[nodiscard]] bool empty() const { return source_.empty(); }

 private:
  std::string source_;
  std::vector<Piece> pieces_;
};

}  // namespace tertulia::flow
