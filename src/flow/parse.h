// The parser's parts. Internal to the language's half of the room.
#pragma once

#include "flow/yaml_reader.h"

namespace tertulia::flow {

// Names of steps, variables and documents: letters, digits, _ and -, where every character beyond
// ASCII that is no blank or punctuation of its own counts as a letter.
[[nodiscard]] bool is_word(std::string_view name);

// Parses steps, conditions and texts, and gathers the names that they use.
class StepParser final {
 public:
  StepParser(const YamlReader& reader, const CheckOptions& options, FlowDraft& draft,
             Problems& problems)
      : reader_(reader), options_(options), draft_(draft), problems_(problems) {}

  // `level` counts the blocks around the list.
  [[nodiscard]] std::vector<StepDraft> steps(const YAML::Node& node, std::string_view what);
  // Parameters of a model that stand among other keys.
  [[nodiscard]] json::object parameters(const YAML::Node& node);
  [[nodiscard]] int count() const { return count_; }

 private:
  [[nodiscard]] std::optional<StepDraft> step(const YAML::Node& node);
  [[nodiscard]] std::optional<Speak> speak(const YAML::Node& node, StepDraft& step);
  [[nodiscard]] std::optional<AskPerson> ask(const YAML::Node& node);
  [[nodiscard]] std::string document(const YAML::Node& node);
  [[nodiscard]] std::optional<LoopDraft> loop(const YAML::Node& node);
  [[nodiscard]] std::optional<IfDraft> branch(const YAML::Node& node);
  [[nodiscard]] std::optional<Set> assignments(const YAML::Node& node);
  [[nodiscard]] std::optional<Assignment> assignment(const std::string& name,
                                                     const YAML::Node& node);
  [[nodiscard]] std::optional<DiscussDraft> discuss(const YAML::Node& node, StepDraft& step);
  [[nodiscard]] std::optional<ParallelDraft> parallel(const YAML::Node& node);
  [[nodiscard]] std::optional<ParallelDraft> parallel_each(const YAML::Node& node);
  [[nodiscard]] std::optional<CallDraft> call(const YAML::Node& node);
  void call_with(const YAML::Node& node, CallDraft& draft);
  // What a step that asks a model may say of how it is asked.
  void asking(const YAML::Node& node, Speak& speak, StepDraft& step);
  // The role reference under a key, used; `each` inside parallel: {each: ...}.
  [[nodiscard]] std::string role(const YAML::Node& node, std::string_view what);
  [[nodiscard]] std::vector<std::string> roles(const YAML::Node& node, std::string_view what);
  [[nodiscard]] std::optional<GotoDraft> jump(const YAML::Node& node);
  [[nodiscard]] ContextRule context(const YAML::Node& node);
  void context_object(const YAML::Node& node, ContextRule& rule);
  void retry(const YAML::Node& node, Retry& retry);
  [[nodiscard]] std::optional<Text> text(const YAML::Node& node, std::string_view what);
  [[nodiscard]] std::optional<json::object> output(const YAML::Node& node);

  [[nodiscard]] std::optional<Condition> condition(const YAML::Node& node);
  [[nodiscard]] std::optional<Condition> message_test(const YAML::Node& node, std::string_view key);
  [[nodiscard]] std::optional<Condition> value_test(const YAML::Node& node, Condition condition);
  [[nodiscard]] std::optional<Condition> judge(const YAML::Node& node);
  [[nodiscard]] std::optional<Condition> parts(const YAML::Node& list, Condition::Kind kind);
  void use(Use::Kind kind, std::string name, const YAML::Node& node, std::string pointer = {},
           std::optional<Condition::Test> test = {}, std::optional<json::value> value = {}) {
    use(kind, std::move(name), reader_.place(node), std::move(pointer), test, std::move(value));
  }
  void use(Use::Kind kind, std::string name, Place place, std::string pointer = {},
           std::optional<Condition::Test> test = {}, std::optional<json::value> value = {});
  // A list of names, or one; each used where it stands.
  [[nodiscard]] std::vector<std::string> used_names(Use::Kind kind, const YAML::Node& list,
                                                    std::string_view what,
                                                    std::string pointer = {});
  // Tells each reference of this head as a mistake.
  void refuse_reference(const YAML::Node& node, const Text& text, Reference::Head head,
                        std::string_view why);
  void tell_kind(const YAML::Node& node);
  [[nodiscard]] std::string pointer(const YAML::Node& node);

  const YamlReader& reader_;
  const CheckOptions& options_;
  FlowDraft& draft_;
  Problems& problems_;
  int count_ = 0;
  int each_block_ = 0;   // the one that is being read
  int each_blocks_ = 0;  // so far
  bool in_stat_ = false;
};

}  // namespace tertulia::flow
