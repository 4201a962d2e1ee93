#include "flow/standing_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace tertulia::flow {
namespace {

struct Word {
  std::string_view key;
  std::vector<std::string_view> placeholders;
  std::string_view en;
  std::string_view zh;
};

const std::vector<Word>& all_words() {
  static const std::vector<Word> words = {
      {"participants", {"names"}, "Taking part: {{names}}.", "参与者：{{names}}。"},
      {"name_separator", {}, ", ", "、"},
      {"you_are",
       {"name"},
       "You are {{name}}. Speak only as {{name}}, without writing your name first.",
       "你是{{name}}。只以{{name}}的身份发言，不要先写自己的名字。"},
      {"topic", {"topic"}, "Topic: {{topic}}", "主题：{{topic}}"},
      {"document_title",
       {"title", "version"},
       "{{title}}, version {{version}}",
       "《{{title}}》第{{version}}版"},
      {"document",
       {"heading", "text"},
       "Document: {{heading}}\n\n{{text}}",
       "文档：{{heading}}\n\n{{text}}"},
      {"output",
       {"schema"},
       "Answer only with JSON that fits this JSON Schema, without any other text:\n{{schema}}",
       "只用符合以下 JSON Schema 的 JSON 作答，不要写任何其他文字：\n{{schema}}"},
      {"default_task", {}, "It is your turn.", "轮到你发言了。"},
      {"judge",
       {"question"},
       "{{question}}\nDecide by what was said above: is the answer yes (true) or no (false)? Give "
       "the reason in one sentence.",
       "{{question}}\n请根据以上发言判断：答案是“是”（true）还是“否”（false）？用一句话说明理由。"},
      {"choose",
       {"names"},
       "Who should speak next? Choose one of: {{names}}.",
       "接下来由谁发言？请从以下各位中选择一位：{{names}}。"},
      {"go_on",
       {},
       "Go on exactly where you stopped, without repeating anything.",
       "请从刚才中断的地方继续，不要重复已经说过的内容。"},
      {"wrong_output",
       {"errors"},
       "That does not fit: {{errors}}. Answer again, only with JSON that fits the schema.",
       "这不符合要求：{{errors}}。请重新作答，只用符合 Schema 的 JSON。"},
      {"to", {"name"}, "(to {{name}})", "（对{{name}}说）"},
      {"speaker", {"name", "words"}, "{{name}}: {{words}}", "{{name}}：{{words}}"},
      {"anonymous_speaker", {"letter"}, "Speaker {{letter}}", "发言者{{letter}}"},
      {"opening", {}, "(The conversation so far.)", "（以下是到目前为止的对话。）"},
  };
  return words;
}

const Word* find_word(std::string_view key) {
  for (const Word& word : all_words())
    if (word.key == key) return &word;
  return nullptr;
}

std::string listed(const std::vector<std::string_view>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

const std::vector<std::string_view>& standing_word_keys() {
  static const std::vector<std::string_view> keys = [] {
    std::vector<std::string_view> found;
    for (const Word& word : all_words()) found.push_back(word.key);
    return found;
  }();
  return keys;
}

const std::vector<std::string_view>& standing_word_languages() {
  static const std::vector<std::string_view> languages = {"en", "zh"};
  return languages;
}

base::Result<void> check_standing_word(std::string_view key, std::string_view text) {
  const Word* word = find_word(key);
  if (word == nullptr)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("unknown word \"{}\"; known are {}", key,
                                              listed(standing_word_keys()))};
  for (std::size_t open = text.find("{{"); open != text.npos; open = text.find("{{", open + 2)) {
    const std::size_t close = text.find("}}", open);
    if (close == text.npos)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("\"{}\": {{{{ without }}}}", key)};
    const std::string_view name = text.substr(open + 2, close - open - 2);
    const auto& known = word->placeholders;
    if (std::find(known.begin(), known.end(), name) == known.end())
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("\"{}\": unknown placeholder {{{{{}}}}}; {}", key, name,
                                 known.empty() ? "it has none" : "known are " + listed(known))};
  }
  return {};
}

StandingWords::StandingWords(std::string_view language,
                             const std::map<std::string, std::string>& overrides) {
  for (const Word& word : all_words()) {
    const auto own = overrides.find(std::string(word.key));
    words_.emplace(word.key, own != overrides.end()
                                 ? own->second
                                 : std::string(language == "zh" ? word.zh : word.en));
  }
}

std::string StandingWords::fill(std::string_view key, Values values) const {
  const auto word = words_.find(key);
  assert(word != words_.end());
  const std::string_view text = word->second;
  std::string filled;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = text.find("{{", at);
    const std::size_t close = open == text.npos ? text.npos : text.find("}}", open);
    if (close == text.npos) break;
    filled += text.substr(at, open - at);
    const std::string_view name = text.substr(open + 2, close - open - 2);
    for (const auto& value : values)
      if (value.first == name) filled += value.second;
    at = close + 2;
  }
  return filled += text.substr(at);
}

}  // namespace tertulia::flow
