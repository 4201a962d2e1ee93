// What the tests of the reading of responses share.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "llm/reply_reader.h"
#include "support/places.h"

namespace tertulia::llm {

// What a reader of the stream heard, and what it came to.
struct Heard {
  std::string text;
  Answer answer;
};

inline Heard read_with(ReplyReader reply, const std::vector<std::string_view>& pieces, bool clean) {
  Heard heard;
  const auto hear = [&](std::string_view text) {
    EXPECT_FALSE(base::first_invalid_utf8(text)) << "a piece of text ends inside a character";
    heard.text += text;
  };
  for (const std::string_view piece : pieces) {
    const auto progress = reply.feed(piece, hear);
    if (progress == ReplyReader::Progress::complete || progress == ReplyReader::Progress::hopeless)
      break;
  }
  heard.answer = reply.finish(clean, hear);
  return heard;
}

// A recorded request or response under tests/golden/llm.
inline std::string golden(const std::string& name) {
  std::ifstream file(test::in_source("tests/golden/llm/" + name));
  EXPECT_TRUE(file) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Both in two pieces, at every byte, and byte by byte.
inline std::vector<std::vector<std::string_view>> every_split(std::string_view all) {
  std::vector<std::vector<std::string_view>> splits;
  for (std::size_t i = 0; i <= all.size(); ++i) splits.push_back({all.substr(0, i), all.substr(i)});
  splits.emplace_back();
  for (std::size_t i = 0; i < all.size(); ++i) splits.back().push_back(all.substr(i, 1));
  return splits;
}

}  // namespace tertulia::llm
