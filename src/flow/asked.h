// What an open row asks a model: a speak step as it stands, with the speaker that was chosen for
// it; a judge's question; a moderator's choice. All three are asked alike, as a speak step is.
#pragma once

#include <optional>
#include <string>

#include "flow/cast.h"
#include "flow/machine.h"

namespace tertulia::flow {

class Asked final {
 public:
  enum class Kind { words, judgement, choice };

  // Of the strand's open row, which asks a model (or a person who plays a role). Borrows the
  // program.
  Asked(const Program& program, const State& state, const Strand& strand, const Cast& cast,
        const Record& record);

  [[nodiscard]] Kind kind() const { return kind_; }
  // The step, its roles and context resolved: nothing in it stands for another role.
  [[nodiscard]] const Speak& speak() const { return own_ ? *own_ : *speak_; }
  // The names among which a choice is made, as references and for people; empty for other kinds.
  [[nodiscard]] const std::vector<std::string>& among() const { return among_; }
  [[nodiscard]] const std::vector<std::string>& among_names() const { return names_; }

  // A choice's answer with the reference of whom it names: {"next": REF}, or as it was said where
  // that is nobody.
  [[nodiscard]] json::value chosen(const json::value& said) const;

 private:
  void resolve(const Program& program, const Strand& strand);

  Kind kind_ = Kind::words;
  const Speak* speak_ = nullptr;
  std::optional<Speak> own_;
  std::vector<std::string> among_;
  std::vector<std::string> names_;
};

}  // namespace tertulia::flow
