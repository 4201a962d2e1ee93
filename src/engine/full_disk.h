// What an engine does where the disk has no room for a session's commit (the functions of Engine
// are in full_disk.cc too).
#pragma once

#include <string>

#include "base/error.h"

namespace tertulia::engine {

// The database failed, or has no room.
[[nodiscard]] bool is_of_storage(const base::Error& error);

// Why a model call whose answer was not stored is made again.
[[nodiscard]] std::string answer_not_stored(const std::string& why);

}  // namespace tertulia::engine
