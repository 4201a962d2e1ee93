// What the wires of all protocols have in common: JSON written in a fixed order, and JSON read that
// a server wrote, of which nothing is sure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_members.h"
#include "llm/provider.h"

namespace tertulia::llm {

// Appends the text as a JSON string.
void append_quoted(std::string& out, std::string_view text);
// Appends `,"key":value`. Numbers as people write them (0.7, where Boost.JSON would write 7E-1):
// they are read in a preview.
void append_member(std::string& out, std::string_view key, double value);
void append_member(std::string& out, std::string_view key, std::int64_t value);
void append_member(std::string& out, std::string_view key, std::string_view value);
void append_member(std::string& out, std::string_view key, const std::vector<std::string>& value);
// Appends `"messages":[...]` with roles system (if there is a system text), user and assistant.
void append_messages(std::string& out, std::string_view system, const std::vector<Turn>& turns);

using base::object_at;
using base::text_at;
// The member if it is a count: from 0 up.
[[nodiscard]] std::optional<std::int64_t> count_at(const base::json::object& object,
                                                   std::string_view key);

// Reads one JSON text, which may hold invalid UTF-8: some servers cut their events inside a
// character. Whole characters are put together, and what remains invalid is refused, by
// AnswerDraft::say. Nothing where it is not JSON, or deeper than 64.
[[nodiscard]] std::optional<base::json::value> parse_wire(std::string_view text,
                                                          base::json::storage_ptr memory = {});

// One line of a server's words, short enough for an error and without control characters.
[[nodiscard]] std::string quotable(std::string_view text);

}  // namespace tertulia::llm
