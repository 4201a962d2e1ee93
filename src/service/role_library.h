// The stored roles, which any flow may use: found by name and told as JSON.
//
// Any thread, each with a connection of its own.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"

namespace tertulia::service {

// not_found names what is near.
[[nodiscard]] base::Result<model::Role> find_role(db::Connection& reader, const std::string& name);
// Borrows the connection.
[[nodiscard]] engine::RoleSource roles_of(db::Connection& reader);

// {name, prompt, settings}, without settings where it has none.
[[nodiscard]] base::json::object role_json(const model::Role& role);
// {items: [role]}, by name.
[[nodiscard]] base::Result<base::json::object> list_roles_json(db::Connection& reader);

}  // namespace tertulia::service
