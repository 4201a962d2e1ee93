#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flow/check.h"

namespace tertulia::flow {
namespace {

using testing::HasSubstr;

// The warnings about steps that begin in line 1.
std::string warnings(std::string_view steps, std::string_view head = {}) {
  const std::string source = std::string("steps:\n") + std::string(steps) +
                             "tertulia: 1\nname: x\n"
                             "roles: { a: { prompt: A }, b: { prompt: B }, c: { prompt: C } }\n" +
                             std::string(head);
  std::string text;
  const CheckedFlow checked = check_flow(source);
  EXPECT_TRUE(checked.ok()) << source;
  for (const Problem& problem : checked.problems) {
    if (problem.message.find("a goto is hard to follow") != std::string::npos) continue;
    text += fmt::format("{}:{}: {}\n", problem.line, problem.column, problem.message);
  }
  return text;
}

struct Case {
  std::string_view steps;
  std::string_view warning;  // empty: none at all
};

void expect_warnings(const std::vector<Case>& cases, std::string_view head = {}) {
  for (const Case& each : cases) {
    const std::string text = warnings(each.steps, head);
    if (each.warning.empty()) {
      EXPECT_EQ(text, "") << each.steps;
    } else {
      EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << each.steps << text;
      EXPECT_THAT(text, HasSubstr(std::string(each.warning))) << each.steps;
    }
  }
}

TEST(Warn, OfARoleThatHasNotSpokenByThen) {
  expect_warnings({
      {"- speak: a\n- { speak: b, context: [a] }\n", ""},
      {"- { speak: b, context: [a] }\n- speak: a\n",
       "2:24: the context names 'a', which has not spoken by then"},
      {"- speak: a\n- { speak: b, context: { from: [a, c] } }\n",
       "3:24: the context names 'c', which never speaks"},
      {"- speak: a\n- { speak: b, context: { except: [c] } }\n", ""},
      // The first pass has nothing to show, later ones have.
      {"- loop: { max: 2, steps: [{ speak: b, context: [a] }, { speak: a }] }\n", ""},
      {"- { id: i, speak: b, context: [a] }\n- { speak: a, goto: { step: i, max: 1 } }\n", ""},
      // On one way is enough.
      {"- speak: b\n- { if: { contains: x }, then: [{ speak: a }] }\n- { speak: b, context: [a] "
       "}\n",
       ""},
      {"- speak: b\n- { if: { contains: x }, then: [{ speak: a }, { end: x }] }\n- { speak: b, "
       "context: [a] }\n",
       "has not spoken by then"},
      {"- speak: b\n- { if: { contains: x }, then: [{ speak: a }], else: [{ speak: b, context: [a] "
       "}] }\n",
       "has not spoken by then"},
      {"- { if: { contains: x, of: a }, then: [{ end: x }] }\n- speak: a\n",
       "2:9: this is never true: 'a' has not spoken"},
      {"- { id: i, speak: a, goto: { step: i, max: 1, when: { contains: x, of: a } } }\n", ""},
      {"- { id: i, speak: a, goto: { step: i, max: 1, when: { contains: x, of: b } } }\n- speak: "
       "b\n",
       "'b' has not spoken by then"},
  });
}

TEST(Warn, OfOutputsAndDocumentsThatAreNotThereByThen) {
  expect_warnings(
      {
          {"- { id: v, speak: a, output: { type: string } }\n- { speak: b, task: '{{output.v}}' "
           "}\n",
           ""},
          {"- { speak: b, task: '{{output.v}}' }\n- { id: v, speak: a, output: { type: string } "
           "}\n",
           "2:3: {{output.v}} is empty here"},
          {"- { if: { output: v, equals: x }, then: [{ end: x }] }\n- { id: v, speak: a, output: { "
           "type: string } }\n",
           "2:9: 'v' has no output by then"},
          {"- { set: { n: { output: v } } }\n- { id: v, speak: a, output: { type: string } }\n",
           "2:3: 'v' has no output by then"},
          {"- { set: { n: { stat: count, of: [v] } } }\n- { id: v, speak: a, output: { type: "
           "string } }\n",
           "'v' has no output by then"},
          {"- { speak: a, document: d }\n- { speak: b, context: { documents: [d] } }\n", ""},
          {"- { speak: b, context: { documents: [d] } }\n- { speak: a, document: d }\n",
           "2:24: the document 'd' is not written by then"},
          {"- { speak: b, task: '{{document.d}}' }\n- { speak: a, document: d }\n",
           "{{document.d}} is empty here"},
          {"- loop: { max: 2, steps: [{ speak: a, document: d, context: { documents: [d] } }] }\n",
           ""},
      },
      "vars: { n: 1 }\n");
}

TEST(Warn, OfStepsThatAreNeverReached) {
  expect_warnings({
      {"- speak: a\n- end: x\n", ""},
      {"- speak: a\n- end: x\n- speak: b\n- speak: c\n", "4:3: this step is never reached"},
      {"- { if: { contains: x }, then: [{ end: x }], else: [{ end: y }] }\n- speak: b\n",
       "3:3: this step is never reached"},
      {"- { if: { contains: x }, then: [{ end: x }] }\n- speak: b\n", ""},
      {"- end: x\n- loop: { max: 2, steps: [{ speak: a }] }\n- speak: b\n",
       "3:3: this step is never reached"},
      {"- loop: { max: 2, steps: [{ speak: a }, { end: x }] }\n- speak: b\n",
       "3:3: this step is never reached"},
      // A goto may step over nothing: it is taken at most so often, then the way goes on.
      {"- { speak: a, goto: { step: j, max: 1 } }\n- speak: b\n- { id: j, speak: c }\n", ""},
      {"- { speak: a, goto: { step: j, max: 1 } }\n- end: x\n- { id: j, speak: c }\n", ""},
      {"- loop: { max: 2, while: { contains: x }, steps: [{ speak: a }] }\n- speak: b\n", ""},
  });
}

TEST(Warn, OfALoopThatNothingInItEnds) {
  const std::string_view kWarning = "no step inside the loop decides this";
  expect_warnings(
      {
          {"- loop: { max: 2, steps: [{ speak: a }] }\n", ""},
          {"- loop: { max: 2, until: { contains: x }, steps: [{ speak: a }] }\n", ""},
          {"- loop: { max: 2, until: { contains: x, of: a }, steps: [{ speak: a }] }\n", ""},
          {"- speak: b\n- loop: { max: 2, until: { contains: x, of: b }, steps: [{ speak: a }] }\n",
           kWarning},
          {"- speak: b\n- loop: { max: 2, until: { any: [{ contains: x, of: b }, { contains: x, "
           "of: a }] }, steps: [{ speak: a }] }\n",
           ""},
          {"- loop: { max: 2, until: { not: { rounds_at_least: 2 } }, steps: [{ speak: a }] }\n",
           ""},
          {"- loop: { max: 2, steps: [{ loop: { max: 2, until: { rounds_at_least: 2 }, steps: [{ "
           "speak: a }] } }] }\n",
           kWarning},
          {"- loop: { max: 2, until: { var: n, equals: 3 }, steps: [{ speak: a }] }\n", kWarning},
          {"- loop: { max: 2, until: { var: n, equals: 3 }, steps: [{ speak: a }, { set: { n: 3 } "
           "}] }\n",
           ""},
          {"- { id: v, speak: a, output: {} }\n- loop: { max: 2, until: { output: v, equals: 3 }, "
           "steps: [{ speak: b }] }\n",
           kWarning},
          {"- loop: { max: 2, until: { output: v, equals: 3 }, steps: [{ id: v, speak: a, output: "
           "{} }] }\n",
           ""},
          {"- loop: { max: 2, until: { output: v, equals: 3 }, steps: [{ if: { contains: x }, "
           "then: [{ id: v, speak: a, output: {} }], else: [{ speak: b }] }] }\n",
           ""},
          {"- { id: v, speak: a, output: {} }\n- loop: { max: 2, while: { output: v, equals: 3 }, "
           "steps: [{ speak: b }] }\n",
           kWarning},
          {"- loop: { max: 9, until: { rounds_at_least: 51 }, steps: [{ speak: a }] }\n",
           "this is never true: the limit is 50 rounds"},
      },
      "vars: { n: 1 }\n");
}

TEST(Warn, OfAWriterWhoIsNotShownTheDraft) {
  const auto loop = [](std::string_view writer) {
    return fmt::format(
        "- {{ speak: a, document: d }}\n"
        "- loop:\n    max: 2\n    steps:\n"
        "    - {{ speak: b, context: {{ documents: [d] }} }}\n"
        "    - {{ speak: a, document: d{} }}\n",
        writer);
  };
  struct Writer {
    std::string_view more;
    bool warned;
  };
  for (const Writer& each :
       std::vector<Writer>{{"", false},
                           {", context: all", false},
                           {", context: { scope: all, documents: [d] }", false},
                           {", context: { from: [b], documents: [d] }", false},
                           {", context: [b], task: 'Improve {{document.d}}'", false},
                           {", context: [a, b]", false},
                           {", context: { from: [a, b], last: 2 }", false},
                           {", context: { last: 2 }", false},
                           {", context: last_round", false},
                           {", context: [b]", true},
                           {", context: { from: [b], last: 6 }", true},
                           {", context: { except: [a] }", true},
                           {", context: last", true},
                           {", context: { last: 1 }", true},
                           {", context: { from: [a, b], last: 1 }", true},
                           {", context: { from: [a], last: 1 }", false},
                           {", context: none", true},
                           {", context: topic", true},
                           {", context: this_round", true}}) {
    const std::string text = warnings(loop(each.more));
    if (each.warned) {
      EXPECT_THAT(text, HasSubstr("'a' writes the document 'd' again without being shown its last "
                                  "version: add documents: [d]"))
          << each.more;
    } else {
      EXPECT_EQ(text, "") << each.more;
    }
  }
  expect_warnings({
      // Not again: it is written once.
      {"- { speak: b }\n- { speak: a, document: d, context: [b] }\n", ""},
      // Two roles that write in turn: what each is shown of the other's is theirs to say.
      {"- loop: { max: 2, steps: [{ speak: a, document: d, context: none }, { speak: b, document: "
       "d, context: last }] }\n",
       ""},
      // Again by a goto.
      {"- { id: i, speak: b }\n- { speak: a, document: d, context: [b], goto: { step: i, max: 1 } "
       "}\n",
       "without being shown its last version"},
      // Earlier in the same pass.
      {"- loop: { max: 2, steps: [{ speak: a, document: d }, { speak: b }, { speak: a, document: "
       "d, context: this_round }] }\n",
       ""},
  });
}

TEST(Warn, OfLimitsThatTheLoopsExceed) {
  struct Limited {
    std::string_view steps;
    std::string_view limits;
    std::string_view warning;
  };
  for (
      const Limited& each : std::vector<Limited>{
          {"- loop: { max: 10, steps: [{ speak: a }, { speak: b }] }\n", "{ steps: 20 }", ""},
          {"- loop: { max: 10, steps: [{ speak: a }, { speak: b }] }\n", "{ steps: 19 }",
           "6:9: the flow's loops can take 20 steps, its limit is 19"},
          {"- loop: { max: 10, steps: [{ loop: { max: 10, steps: [{ speak: a }] } }] }\n",
           "{ steps: 99 }", "can take 100 steps"},
          {"- loop: { max: 10, steps: [{ if: { contains: x }, then: [{ speak: a }], else: [{ "
           "speak: a }, { speak: b }] }] }\n",
           "{ steps: 19 }", "can take 20 steps"},
          // A judge is asked too.
          {"- loop: { max: 10, steps: [{ if: { judge: a, question: q }, then: [{ speak: a }] }] "
           "}\n",
           "{ steps: 19 }", "can take 20 steps"},
          {"- loop: { max: 10, steps: [{ if: { judge: a, question: q }, then: [{ speak: a }] }] "
           "}\n",
           "{ steps: 20 }", ""},
          {"- loop: { max: 3, steps: [{ speak: a }] }\n- loop: { max: 3, steps: [{ speak: a }] }\n",
           "{ rounds: 5 }", ""},
          {"- loop: { max: 3, steps: [{ speak: a }] }\n- loop: { max: 3, steps: [{ speak: a }] }\n",
           "{ rounds: 4 }", "can take 5 rounds, its limit is 4"},
          // An inner loop's passes are no rounds.
          {"- loop: { max: 2, steps: [{ loop: { max: 9, steps: [{ speak: a }] } }] }\n",
           "{ rounds: 2 }", ""},
          {"- { id: i, speak: a }\n- { speak: b, goto: { step: i, max: 3 } }\n", "{ steps: 8 }",
           ""},
          {"- { id: i, speak: a }\n- { speak: b, goto: { step: i, max: 3 } }\n", "{ steps: 7 }",
           "can take 8 steps"},
          {"- { id: i, speak: a }\n- { speak: b, goto: { step: i, max: 3 } }\n", "{ rounds: 3 }",
           "can take 4 rounds"},
          {"- { id: i, speak: a }\n- { if: { contains: x }, then: [{ speak: b, goto: { step: i, "
           "max: 3 } }] }\n",
           "{ steps: 7, rounds: 4 }", "can take 8 steps"},
          {"- { speak: b, goto: { step: i, max: 3 } }\n- { id: i, speak: a }\n",
           "{ steps: 2, rounds: 1 }", ""},
          {"- loop: { max: 1m, steps: [{ loop: { max: 1m, steps: [{ speak: a }] } }] }\n",
           "{ rounds: 1m }", "can take 1000000000000 steps, its limit is 200"},
      }) {
    const std::string text = warnings(each.steps, fmt::format("limits: {}\n", each.limits));
    if (each.warning.empty()) {
      EXPECT_EQ(text, "") << each.steps << each.limits;
    } else {
      EXPECT_THAT(text, HasSubstr(std::string(each.warning))) << each.steps << each.limits;
    }
  }
}

TEST(Warn, OfAGoto) {
  const CheckedFlow checked = check_flow(
      "tertulia: 1\nname: x\nroles: { a: { prompt: A } }\n"
      "steps:\n- { id: i, speak: a, goto: { step: i, max: 1 } }\n");
  ASSERT_EQ(checked.problems.size(), 1U);
  EXPECT_EQ(checked.problems[0].severity, Problem::Severity::warning);
  EXPECT_EQ(checked.problems[0].line, 5);
  EXPECT_EQ(checked.problems[0].column, 28);
}

}  // namespace
}  // namespace tertulia::flow
