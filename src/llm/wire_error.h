// What an error that a server reports means, whatever its protocol.
#pragma once

#include <string>

#include "base/json.h"
#include "llm/provider.h"

namespace tertulia::llm {

// By its code and type where these are known, else by the status, else by its words. `error` is
// what the protocol calls the error: an object with code, type and message, or only a text. 200, or
// 0, is the status of an error inside an answer that had begun well.
[[nodiscard]] Outcome classify_error(int status, const base::json::value& error);

// The server's own words for it, as it wrote them; empty if it gave none.
[[nodiscard]] std::string_view error_words(const base::json::value& error);

}  // namespace tertulia::llm
