#include "llm/rehearsal_words.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/utf8.h"

namespace tertulia::llm {
namespace {

using Patterns = std::span<const std::string_view>;

// One language's sentences. In braces: {me} and {to} speak to each other; {topic}, {task} and
// {quote} are shortened; {count} messages were shown, the last by {last}, all by {names};
// {documents} are titles.
struct Phrasebook {
  Patterns open_with_task, open, shown_nothing, shown_one, shown_many, with_documents, point,
      point_without_topic, close_to, close, phrases;
  std::string_view nobody, left_quote, right_quote, comma, last_and, blank, more;
};

constexpr std::array<std::string_view, 10> kOpenWithTaskEn{
    "{me}, in rehearsal: my task is “{task}”.",
    "Speaking as {me} in this rehearsal, I take up the task “{task}”.",
    "{me} here; this is a rehearsal, so these words come from no model. The task is “{task}”.",
    "Rehearsal words from {me}, who was asked this: “{task}”.",
    "As {me} I stand in for a model during this rehearsal, and my part is “{task}”.",
    "“{task}” is what {me} was asked; what follows is rehearsal text.",
    "For the rehearsal, {me} reads the task aloud: “{task}”.",
    "{me} rehearses this turn. What is wanted: “{task}”.",
    "Let {me} walk through it in rehearsal: “{task}”.",
    "This is where {me} will answer “{task}”; in rehearsal I only mark the place.",
};
constexpr std::array<std::string_view, 6> kOpenEn{
    "{me} takes the floor, in rehearsal.",
    "Rehearsal words from {me}.",
    "This is where {me} will speak; in rehearsal I only mark the place.",
    "{me} here, rehearsing; these words come from no model.",
    "Speaking as {me} in this rehearsal, I was given no task of my own.",
    "It is the turn of {me}, and this is a rehearsal.",
};
constexpr std::array<std::string_view, 5> kShownNothingEn{
    "No earlier message was shown to me, so I begin from nothing.",
    "I was shown no earlier words; the floor is empty.",
    "Nothing that was said before has reached me.",
    "I speak first, or was shown nothing of what came before.",
    "There are no messages before me to answer.",
};
constexpr std::array<std::string_view, 5> kShownOneEn{
    "I was shown one message, by {last}: “{quote}”.",
    "One message reached me; in it {last} says “{quote}”.",
    "All I have to go by is {last}, who says “{quote}”.",
    "I answer the only message I was shown, in which {last} says “{quote}”.",
    "A single message lies before me, from {last}: “{quote}”.",
};
constexpr std::array<std::string_view, 7> kShownManyEn{
    "I was shown {count} messages, from {names}; the last, by {last}, begins “{quote}”.",
    "{count} messages reached me, the newest from {last}: “{quote}”.",
    "Of the {count} messages before me ({names}) I answer the last, where {last} says “{quote}”.",
    "Having read {count} messages by {names}, I pick up the words of {last}: “{quote}”.",
    "After {count} messages the floor was with {last}, who says “{quote}”.",
    "I have {count} messages in view, and {last} spoke last: “{quote}”.",
    "{names} wrote the {count} messages I was shown; {last} ends them with “{quote}”.",
};
constexpr std::array<std::string_view, 4> kWithDocumentsEn{
    "Before me lies {documents}.",
    "I also have {documents} at hand.",
    "{documents} came with the request.",
    "I was given {documents} to read.",
};
constexpr std::array<std::string_view, 18> kPointEn{
    "On “{topic}”, the first thing to settle is what we would regret if we were wrong.",
    "What weighs most in “{topic}” is who has to live with it afterwards.",
    "As for “{topic}”: the strong case is cheap to state and dear to prove.",
    "With “{topic}” I would start small, measure once, and only then decide.",
    "Nobody has yet named the cost of leaving “{topic}” as it is.",
    "“{topic}” looks different once the second year is counted and not only the first.",
    "Two readings of “{topic}” are being mixed, and they should be kept apart.",
    "The weakest part of “{topic}” is the assumption that nobody has written down.",
    "If “{topic}” fails, it will fail at the seams, so let us look there first.",
    "I would test “{topic}” on its least convenient example before its best one.",
    "An honest answer to “{topic}” needs a number, and so far there is none.",
    "For “{topic}” I see one reason to go on and one to wait, and the first is stronger.",
    "Before “{topic}” is decided, somebody should say how it could be undone.",
    "I grant the easy half of “{topic}”; the hard half is still open.",
    "Put plainly, “{topic}” asks us to trade a risk we know for one we do not.",
    "Half of what is said about “{topic}” would be said about anything; let us keep the rest.",
    "The people whom “{topic}” concerns most have not been heard yet.",
    "I would change my mind about “{topic}” for a single good counterexample.",
};
constexpr std::array<std::string_view, 6> kPointWithoutTopicEn{
    "The first thing to settle is what we would regret if we were wrong.",
    "I see one reason to go on and one to wait, and the first is stronger.",
    "The weakest part is the assumption that nobody has written down.",
    "I would start small, measure once, and only then decide.",
    "No topic was shown to me, so I keep to the matter at hand.",
    "An honest answer needs a number, and so far there is none.",
};
constexpr std::array<std::string_view, 8> kCloseToEn{
    "{to}, what would change your mind?",
    "Over to you, {to}.",
    "{to}, where do you see it break?",
    "I ask {to} to take the other side for a moment.",
    "{to}, one sentence on this would help me.",
    "That is my part, {to}; now yours.",
    "Correct me where I am wrong, {to}.",
    "{to}, I would like to hear your strongest objection.",
};
constexpr std::array<std::string_view, 8> kCloseEn{
    "I leave it there for whoever speaks next.",
    "So much for my part.",
    "I would rather be corrected now than later.",
    "That is all this turn can carry.",
    "The next speaker may well tear this apart.",
    "More on this when my turn comes round again.",
    "I hold this view until a better one is offered.",
    "Here I stop, with the question still open.",
};
constexpr std::array<std::string_view, 12> kPhrasesEn{
    "rehearsed: the costs are named, the risk is not yet",
    "rehearsed: one example is still missing",
    "rehearsed: clear enough to go on with",
    "rehearsed: the second paragraph needs a number",
    "rehearsed: say who decides, and by when",
    "rehearsed: sound in the large, thin in the details",
    "rehearsed: the main objection has been answered",
    "rehearsed: start small and measure once",
    "rehearsed: the way back is not described",
    "rehearsed: two claims contradict each other",
    "rehearsed: the reader is left with one question",
    "rehearsed: better than the version before",
};

constexpr std::array<std::string_view, 9> kOpenWithTaskZh{
    "我是{me}，现在是排练，我的任务是“{task}”。",
    "排练中，{me}接到的任务是“{task}”。",
    "这里是{me}；这只是排练，这些话不出自任何模型。任务是“{task}”。",
    "作为{me}，我在排练里替模型占个位置，要做的是“{task}”。",
    "“{task}”——这是交给{me}的事，以下为排练用语。",
    "轮到{me}排练这一步，要求是“{task}”。",
    "排练时，{me}先把任务念一遍：“{task}”。",
    "{me}发言（排练）。要回答的是“{task}”。",
    "正式演出时，{me}会在这里回答“{task}”；排练中我只标出位置。",
};
constexpr std::array<std::string_view, 5> kOpenZh{
    "{me}发言，这是排练。",
    "以下是{me}的排练用语。",
    "轮到{me}了；这是排练，这些话不出自任何模型。",
    "正式演出时{me}会在这里说话，排练中我只标出位置。",
    "我是{me}，排练里没有给我单独的任务。",
};
constexpr std::array<std::string_view, 5> kShownNothingZh{
    "我没有看到之前的任何发言，只能从头说起。",     "此前的话没有一句传到我这里。",
    "我看到的记录是空的，就由我先开口。",           "在我之前没有可以回应的发言。",
    "要么我是第一个发言，要么之前的话没有给我看。",
};
constexpr std::array<std::string_view, 5> kShownOneZh{
    "我只看到一条发言，{last}说：“{quote}”。",
    "传到我这里的只有{last}的一句话：“{quote}”。",
    "我手上唯一的依据是{last}的话：“{quote}”。",
    "我回应看到的那一条发言，{last}说的是“{quote}”。",
    "摆在我面前的是{last}的一条发言：“{quote}”。",
};
constexpr std::array<std::string_view, 6> kShownManyZh{
    "我看到了{names}的{count}条发言，最后是{last}说的“{quote}”。",
    "一共有{count}条发言传到我这里，最新的一条来自{last}：“{quote}”。",
    "读完{names}的{count}条发言，我接着{last}的话说：“{quote}”。",
    "前面{count}条发言里，{last}最后开口：“{quote}”。",
    "{count}条发言都在眼前，我回应{last}的这一句：“{quote}”。",
    "{names}留下了{count}条发言，末尾是{last}的“{quote}”。",
};
constexpr std::array<std::string_view, 4> kWithDocumentsZh{
    "手边还有{documents}。",
    "随任务一起来的有{documents}。",
    "我也读到了{documents}。",
    "给我看的文稿是{documents}。",
};
constexpr std::array<std::string_view, 16> kPointZh{
    "关于“{topic}”，先要弄清楚的是：万一错了，我们会后悔什么。",
    "“{topic}”里最重的一点，是以后谁来承担结果。",
    "说到“{topic}”，漂亮的理由容易讲，证明起来却很贵。",
    "对“{topic}”，我主张先小做、量一次，再决定。",
    "还没有人算过，“{topic}”维持原样要付多少代价。",
    "把第二年也算进去，“{topic}”看起来就不一样了。",
    "“{topic}”有两种读法，现在被混在一起，应当分开。",
    "“{topic}”最薄弱的地方，是那个没人写下来的前提。",
    "如果“{topic}”会失败，多半败在衔接处，先看那里。",
    "我会先拿最不利的例子来检验“{topic}”。",
    "要老实回答“{topic}”，得有一个数字，现在还没有。",
    "就“{topic}”而言，有一个理由往前走，一个理由再等等，前者更强。",
    "在决定“{topic}”之前，应当有人说明怎样退回来。",
    "“{topic}”容易的一半我同意，难的一半还开着口。",
    "与“{topic}”关系最大的人，还没有人问过他们。",
    "只要有一个好的反例，我就愿意改变对“{topic}”的看法。",
};
constexpr std::array<std::string_view, 5> kPointWithoutTopicZh{
    "先要弄清楚的是：万一错了，我们会后悔什么。",
    "最薄弱的地方，是那个没人写下来的前提。",
    "我主张先小做、量一次，再决定。",
    "没有给我看议题，我只就眼前的事说。",
    "老实的回答需要一个数字，现在还没有。",
};
constexpr std::array<std::string_view, 7> kCloseToZh{
    "{to}，怎样才能让你改变看法？",   "接下来请{to}。",
    "{to}，你觉得它会在哪里断开？",   "请{to}暂时站到对面去想一想。",
    "{to}，就这一点给我一句话也好。", "我的部分到此，{to}，该你了。",
    "{to}，我想听你最强的反对意见。",
};
constexpr std::array<std::string_view, 7> kCloseZh{
    "我先说到这里，留给下一位。",
    "我的部分就是这些。",
    "宁可现在被纠正，也不要等到以后。",
    "这一轮能说的就这么多。",
    "下一位尽可以把它推翻。",
    "轮到我时再接着说。",
    "在有更好的看法之前，我坚持这一点。",
};
constexpr std::array<std::string_view, 10> kPhrasesZh{
    "排练：代价说清了，风险还没有", "排练：还缺一个例子",         "排练：足够清楚，可以继续",
    "排练：第二段需要一个数字",     "排练：请写明谁来决定、何时", "排练：大处站得住，细处还薄",
    "排练：主要的反对已经回答",     "排练：先小做，量一次",       "排练：没有写怎样退回",
    "排练：比上一版更好",
};

constexpr Phrasebook kEnglish{
    .open_with_task = kOpenWithTaskEn,
    .open = kOpenEn,
    .shown_nothing = kShownNothingEn,
    .shown_one = kShownOneEn,
    .shown_many = kShownManyEn,
    .with_documents = kWithDocumentsEn,
    .point = kPointEn,
    .point_without_topic = kPointWithoutTopicEn,
    .close_to = kCloseToEn,
    .close = kCloseEn,
    .phrases = kPhrasesEn,
    .nobody = "somebody",
    .left_quote = "“",
    .right_quote = "”",
    .comma = ", ",
    .last_and = " and ",
    .blank = " ",
    .more = " and others",
};
constexpr Phrasebook kChinese{
    .open_with_task = kOpenWithTaskZh,
    .open = kOpenZh,
    .shown_nothing = kShownNothingZh,
    .shown_one = kShownOneZh,
    .shown_many = kShownManyZh,
    .with_documents = kWithDocumentsZh,
    .point = kPointZh,
    .point_without_topic = kPointWithoutTopicZh,
    .close_to = kCloseToZh,
    .close = kCloseZh,
    .phrases = kPhrasesZh,
    .nobody = "某人",
    .left_quote = "《",
    .right_quote = "》",
    .comma = "、",
    .last_and = "和",
    .blank = "",
    .more = "等人",
};

const Phrasebook& phrasebook(std::string_view language) {
  return language.starts_with("zh") ? kChinese : kEnglish;
}

std::string_view pick(Patterns patterns, base::Random& random) {
  return patterns[static_cast<std::size_t>(random.below(patterns.size()))];
}

// A long text's beginning on one line, fit to stand in a sentence.
std::string fragment(std::string_view text, std::size_t columns) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(kBlanks)));
  // Only what can be shown is looked at: topics may be pages long.
  const std::string_view head = base::clip_bytes(text, columns * 4);
  std::string line;
  for (const char c : head) {
    const bool blank = kBlanks.find(c) != std::string_view::npos;
    if (!blank)
      line += c;
    else if (!line.ends_with(' '))
      line += ' ';
  }
  const bool whole = head.size() == text.size();
  if (!whole) line += "…";
  line = base::shorten(line, columns);
  for (const std::string_view end : {" ", ".", "。", ":", "："})
    while (line.ends_with(end)) line.erase(line.size() - end.size());
  return line;
}

// The first few words; inner quotation marks would nest without end from message to message.
std::string quote(std::string_view text, const Phrasebook& book) {
  std::string words = fragment(text, &book == &kChinese ? 28 : 44);
  for (const std::string_view mark : {"“", "”"})
    for (std::size_t at = 0; (at = words.find(mark, at)) != std::string::npos;)
      words.replace(at, mark.size(), "'");
  if (words.ends_with("…")) {
    const std::size_t blank = words.rfind(' ');
    if (blank != std::string::npos && blank > words.size() / 2)
      words = words.substr(0, blank) + " …";
  }
  return words;
}

std::string names(const std::vector<std::string>& speakers, const Phrasebook& book) {
  constexpr std::size_t kMost = 4;
  std::vector<std::string_view> known;
  bool more = false;
  for (const std::string& speaker : speakers) {
    if (std::find(known.begin(), known.end(), speaker) != known.end()) continue;
    more = known.size() == kMost;
    if (more) break;
    known.push_back(speaker);
  }
  std::string out;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i > 0) out += i + 1 == known.size() && !more ? book.last_and : book.comma;
    out += known[i];
  }
  if (more) out += book.more;
  return out;
}

std::string titles(const std::vector<std::string>& documents, const Phrasebook& book) {
  std::string out;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (i > 0) out += i + 1 == documents.size() ? book.last_and : book.comma;
    out += book.left_quote;
    out += fragment(documents[i], 40);
    out += book.right_quote;
  }
  return out;
}

class Speech final {
 public:
  Speech(const Hints& hints, const Phrasebook& book) : hints_(hints), book_(book) {}

  void say(std::string_view pattern) {
    if (!text_.empty()) text_ += book_.blank;
    while (!pattern.empty()) {
      const std::size_t open = pattern.find('{');
      text_ += pattern.substr(0, open);
      if (open == std::string_view::npos) return;
      const std::size_t close = pattern.find('}', open);
      append(pattern.substr(open + 1, close - open - 1));
      pattern.remove_prefix(close + 1);
    }
  }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void append(std::string_view name) {
    if (name == "me") text_ += hints_.speaker.empty() ? book_.nobody : hints_.speaker;
    if (name == "to") text_ += hints_.addressee;
    if (name == "topic") text_ += fragment(hints_.topic, 60);
    if (name == "task") text_ += fragment(hints_.task, 60);
    if (name == "count") text_ += std::to_string(hints_.shown_speakers.size());
    if (name == "last") text_ += hints_.shown_speakers.back();
    if (name == "names") text_ += names(hints_.shown_speakers, book_);
    if (name == "quote") text_ += quote(hints_.last_shown, book_);
    if (name == "documents") text_ += titles(hints_.documents, book_);
  }

  const Hints& hints_;
  const Phrasebook& book_;
  std::string text_;
};

}  // namespace

std::string rehearsal_text(const Hints& hints, base::Random& random) {
  const Phrasebook& book = phrasebook(hints.language);
  const std::size_t shown = hints.shown_speakers.size();
  Speech speech(hints, book);
  speech.say(pick(hints.task.empty() ? book.open : book.open_with_task, random));
  speech.say(pick(shown == 0   ? book.shown_nothing
                  : shown == 1 ? book.shown_one
                               : book.shown_many,
                  random));
  if (!hints.documents.empty()) speech.say(pick(book.with_documents, random));
  speech.say(pick(hints.topic.empty() ? book.point_without_topic : book.point, random));
  // With documents there are four sentences already.
  if (hints.documents.empty() && random.below(3) > 0)
    speech.say(pick(hints.addressee.empty() ? book.close : book.close_to, random));
  return speech.take();
}

std::string rehearsal_phrase(std::string_view language, base::Random& random) {
  return std::string(pick(phrasebook(language).phrases, random));
}

std::vector<std::string_view> stream_pieces(std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t begin = 0;
  int wide = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = base::next_code_point(text, at);
    wide += c >= 0x2E80 ? 1 : 0;
    if (c == ' ' || c == '\n' || wide == 2) {
      pieces.push_back(text.substr(begin, at - begin));
      begin = at;
      wide = 0;
    }
  }
  if (begin < text.size()) pieces.push_back(text.substr(begin));
  return pieces;
}

}  // namespace tertulia::llm
