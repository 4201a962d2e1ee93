// A session as one HTML page that needs nothing else: no script, no font, no image, no address. It
// is light or dark as its reader's system is, and is read on a phone.
//
// All that a model, a person or a flow said is hostile here: it reaches the page only as escaped
// text, in elements of its own direction, with control characters made visible.
#pragma once

#include <string>
#include <string_view>

#include "engine/session_data.h"
#include "store/whole_session.h"

namespace tertulia::service {

[[nodiscard]] std::string session_page(const store::WholeSession& whole,
                                       const engine::SessionData& session);

// Text for the inside of an element or of a quoted attribute.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace tertulia::service
