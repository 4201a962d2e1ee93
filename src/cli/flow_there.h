// Flows at the server through which commands work: a file that a person named is checked and stored
// there, a name is looked for there.
#pragma once

#include <optional>
#include <string>

#include "cli/context.h"
#include "remote/api_client.h"
#include "service/flow_library.h"

namespace tertulia::cli {

struct FlowThere {
  std::string name;
  std::int64_t version = 0;  // 0: a shipped one that is not stored yet
  bool is_new = false;
};

// The flow of a file, stored; or the one of that name as it is. Mistakes and warnings are printed as
// those of flows here (store_flow); the error says only how many mistakes.
[[nodiscard]] base::Result<FlowThere> find_flow_there(Context& context, remote::ApiClient& server,
                                                      const std::string& name, bool quiet_warnings);

// The text of a file, or of a flow of that name as the server has it.
[[nodiscard]] base::Result<service::FlowText> find_text_there(remote::ApiClient& server,
                                                              const std::string& name);

// What the server's check says of a text; nothing is stored.
[[nodiscard]] base::Result<flow::CheckedFlow> check_there(remote::ApiClient& server,
                                                          const service::FlowText& text);

// Stores a text that is good there.
[[nodiscard]] base::Result<FlowThere> store_there(Context& context, remote::ApiClient& server,
                                                  const service::FlowText& text,
                                                  bool quiet_warnings);

}  // namespace tertulia::cli
