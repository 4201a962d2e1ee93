#include "support/served.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>

namespace tertulia::test {

Served::Served(const World& world, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"--json", "serve", "--listen", "127.0.0.1:0"};
  if (std::find(more.begin(), more.end(), "--model") == more.end())
    arguments.insert(arguments.end(), {"--model", "rehearsal"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  program_.emplace(world.start(arguments));
  const auto line = program_->line();
  const auto parsed = line ? base::parse_json(*line) : base::Error{};
  if (!parsed || !parsed->is_object() || parsed->get_object().at("type") != "serving") {
    const Finished finished = program_->finish();
    program_.reset();
    throw std::runtime_error("tertulia serve does not serve: " + finished.out + finished.err);
  }
  url_ = parsed->get_object().at("url").as_string();
}

Served::~Served() {
  if (program_) static_cast<void>(stop());
}

HttpAnswer Served::ask(std::string_view method, std::string_view target, std::string_view body,
                       const HttpFields& fields) const {
  return client().ask(method, target, body, fields);
}

Finished Served::stop() {
  const auto begun = std::chrono::steady_clock::now();
  program_->signal(SIGTERM);
  Finished finished = program_->finish();
  program_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
  EXPECT_EQ(finished.status, 0) << finished.signal << finished.err;
  return finished;
}

Finished Served::kill() {
  program_->signal(SIGKILL);
  Finished finished = program_->finish();
  program_.reset();
  return finished;
}

base::json::object wait_for_status(const Served& served, const std::string& session,
                                   const std::vector<std::string>& statuses,
                                   const HttpFields& fields) {
  const std::string path = "/api/v1/sessions/" + session;
  std::string last;
  std::optional<EventStream> events(std::in_place, served.url(), path + "/events", last, fields);
  for (;;) {
    auto row = served.ask("GET", path, {}, fields).json();
    const auto* status = row.if_contains("status");
    if (status == nullptr) return row;
    if (std::find(statuses.begin(), statuses.end(), status->as_string()) != statuses.end())
      return row;
    const auto event = events->next();
    if (event && !event->id.empty()) last = event->id;
    if (!event) events.emplace(served.url(), path + "/events", last, fields);
  }
}

}  // namespace tertulia::test
