// Served is a server of this process, with a database of its own that holds a flow and a finished
// session, and one that waits for a person; on a real socket. Made when first asked for, and anew
// after so many inputs, so that none of them meets a database that has grown without bounds.
#pragma once

#include <memory>
#include <string>

#include "server/server.h"

namespace tertulia::fuzz {

class Served final {
 public:
  Served();
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  // The OpenAPI document that it serves.
  [[nodiscard]] const std::string& document() const { return document_; }

 private:
  struct World;
  std::unique_ptr<World> world_;
  std::unique_ptr<server::Server> server_;
  std::string url_;
  std::string document_;
};

// The present one, for one more input.
[[nodiscard]] Served& served();
// Does it still serve others?
void must_serve(const Served& served);

}  // namespace tertulia::fuzz
