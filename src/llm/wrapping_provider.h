// WrappingProvider is a provider around another one: it makes the other's bytes and estimates, and
// starts calls in its own way.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "llm/provider.h"

namespace tertulia::llm {

class WrappingProvider : public Provider {
 public:
  [[nodiscard]] std::string_view protocol() const override { return inner_->protocol(); }
  [[nodiscard]] std::string wire_body(const Request& request) const override {
    return inner_->wire_body(request);
  }
  [[nodiscard]] std::int64_t estimate_tokens(std::string_view text) const override {
    return inner_->estimate_tokens(text);
  }

 protected:
  explicit WrappingProvider(std::shared_ptr<Provider> inner) : inner_(std::move(inner)) {}
  [[nodiscard]] const std::shared_ptr<Provider>& inner() const { return inner_; }

 private:
  const std::shared_ptr<Provider> inner_;
};

}  // namespace tertulia::llm
