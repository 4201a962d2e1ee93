// Observers tells several observers what one engine does.
#pragma once

#include <vector>

#include "engine/observer.h"

namespace tertulia::server {

// Borrows them. Threads are as engine::Observer says.
class Observers final : public engine::Observer {
 public:
  explicit Observers(std::vector<engine::Observer*> observers) : all_(std::move(observers)) {}

  [[nodiscard]] bool wants_content() const override {
    return std::any_of(all_.begin(), all_.end(),
                       [](const auto* each) { return each->wants_content(); });
  }
  void session_begun(const engine::ObservedSession& session) override {
    for (auto* each : all_) each->session_begun(session);
  }
  void session_ended(const engine::ObservedSession& session,
                     const engine::ObservedEnd& end) override {
    for (auto* each : all_) each->session_ended(session, end);
  }
  void step_closed(const engine::ObservedSession& session,
                   const engine::ObservedStep& step) override {
    for (auto* each : all_) each->step_closed(session, step);
  }
  void call_ended(const engine::ObservedSession& session,
                  const engine::ObservedCall& call) override {
    for (auto* each : all_) each->call_ended(session, call);
  }
  void group_ended(std::size_t members) override {
    for (auto* each : all_) each->group_ended(members);
  }
  void commit_ended(std::chrono::nanoseconds time, bool durable) override {
    for (auto* each : all_) each->commit_ended(time, durable);
  }

 private:
  const std::vector<engine::Observer*> all_;
};

}  // namespace tertulia::server
