// Flows for the tests of the whole program.
#pragma once

namespace tertulia::test {

// Loops, a document, a structured verdict, a condition, a variable: thirteen to nineteen rows.
inline constexpr const char* kLoopingFlow = R"(tertulia: 1
name: looping
title: Looping
topic: Should we store sessions in SQLite?
roles:
  writer: { name: Writer, prompt: "You write." }
  critic: { name: 评论人（编辑）, prompt: "You criticise." }
vars: { passes: 0 }
steps:
  - speak: writer
    task: Write about {{topic}}.
    document: text
  - loop:
      max: 4
      until: { all: [ { output: verdict, at: /approved, equals: true }, { rounds_at_least: 3 } ] }
      steps:
        - id: verdict
          speak: critic
          to: writer
          context: { scope: this_round, documents: [text] }
          output:
            type: object
            required: [approved, score]
            additionalProperties: false
            properties: { approved: { type: boolean }, score: { type: integer, minimum: 1, maximum: 10 } }
        - set: { passes: { output: verdict, at: /score } }
        - speak: writer
          task: Revise it, pass {{iteration}}; the score was {{vars.passes}}.
          context: { scope: all, documents: [text] }
          document: text
  - if: { output: verdict, at: /approved, equals: true }
    then: [ { speak: writer, task: Thank the critic. } ]
    else: [ { speak: critic, task: Say what is missing. } ]
result: { output: verdict }
)";

// Three messages by two roles.
inline constexpr const char* kTalk = R"(tertulia: 1
name: talk
topic: Tea
roles: { a: { name: Ann, prompt: p }, b: { name: Ben, prompt: q } }
steps: [ { speak: a }, { id: second, speak: b }, { speak: a } ]
)";

// A dozen steps that each ask a model.
inline constexpr const char* kTalkingFlow = R"(tertulia: 1
name: talking
topic: Bread
roles: { a: { name: Ann, prompt: You are Ann. }, b: { name: Ben, prompt: You are Ben. } }
steps:
  - loop: { max: 6, steps: [ { speak: a }, { speak: b } ] }
)";

// Hundreds of steps that each ask a model.
inline constexpr const char* kLongFlow = R"(tertulia: 1
name: long
topic: Bread
roles: { a: { name: Ann, prompt: You are Ann. }, b: { name: Ben, prompt: You are Ben. } }
limits: { steps: 5000, rounds: 2000 }
steps:
  - loop: { max: 300, steps: [ { speak: a, context: last }, { speak: b, context: last } ] }
)";

// Asks a person in between.
inline constexpr const char* kAskingFlow = R"(tertulia: 1
name: asking
topic: Bread
roles: { a: { name: Ann, prompt: You are Ann. }, guest: { name: Guest, prompt: A person. } }
steps:
  - { speak: a }
  - { ask: guest, prompt: "Which bread?" }
  - { speak: a }
)";

}  // namespace tertulia::test
