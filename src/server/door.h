// What a connection asks of the server that it belongs to.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "server/guard.h"
#include "server/http.h"

namespace tertulia::server {

class Door {
 public:
  virtual ~Door() = default;

  struct Admission {
    std::optional<Response> refusal;   // set: the body is not read, and the connection ends
    std::shared_ptr<Request> request;  // else: without its body
    std::size_t max_body = 0;          // bytes
  };
  // By the head alone. Called on the I/O thread: must not block.
  [[nodiscard]] virtual Admission admit(const Head& head) = 0;

  // The whole request. `respond` is called once, from any thread.
  virtual void answer(std::shared_ptr<Request> request, std::function<void(Response)> respond) = 0;

  // An answer that is no stream was written whole, so long after it was given. On the I/O thread:
  // must not block.
  virtual void written(std::chrono::nanoseconds /*after*/) {}
};

}  // namespace tertulia::server
