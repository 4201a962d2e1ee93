#include "served.h"

#include <spdlog/spdlog.h>

#include <cstdlib>

#include "engine/engine_fixture.h"
#include "support/flows.h"
#include "support/http_client.h"
#include "target.h"

namespace tertulia::fuzz {

using engine::test::must;

namespace {

constexpr int kInputsOfOne = 5'000;

std::string post(const std::string& url, std::string_view target, std::string_view body,
                 std::string_view type = "application/json") {
  const auto answer =
      test::HttpClient(url).ask("POST", target, body, {{"Content-Type", std::string(type)}});
  must_hold(answer.status < 300, "the server can be prepared");
  return answer.body;
}

}  // namespace

struct Served::World {
  engine::test::EngineFixture fixture;
};

Served::Served() : world_(std::make_unique<World>()) {
  spdlog::set_level(spdlog::level::off);
  server_ = must(server::Server::start(
      {.location = world_->fixture.location(),
       .providers = world_->fixture.providers(),
       .profiles = [](const std::string& name) { return llm::parse_model_spec(name); },
       .profile_names = {"rehearsal"},
       .default_profile = "rehearsal",
       .version = "fuzz",
       .listen = {"127.0.0.1", 0}}));
  url_ = server_->url();
  document_ = test::HttpClient(url_).ask("GET", "/api/v1/openapi.json").body;
  for (const char* flow : {test::kTalkingFlow, test::kAskingFlow})
    post(url_, "/api/v1/flows", flow, "application/yaml");
  post(url_, "/api/v1/roles", R"({"name":"ann","prompt":"You are Ann."})");
  for (const char* flow : {"talking", "asking"}) {
    post(url_, "/api/v1/sessions", std::string(R"({"flow":")") + flow + "\"}");
    test::EventStream events(url_, flow == std::string("talking") ? "/api/v1/sessions/1/events"
                                                                  : "/api/v1/sessions/2/events");
    while (const auto event = events.next())
      if (event->type == "session.finished" || event->type == "session.waiting") break;
  }
  // Batch 1, whose one input has session 3.
  post(url_, "/api/v1/batches",
       R"({"flow":"talking","source":"here","name":"","model":"rehearsal"})");
  post(url_, "/api/v1/batches/1/inputs", R"({"inputs":[{"id":"a","topic":"Tea"}]})");
}

Served::~Served() = default;

Served& served() {
  static std::unique_ptr<Served> present;
  static int left = 0;
  if (--left < 0) {
    present.reset();
    present = std::make_unique<Served>();
    left = kInputsOfOne;
    // At exit it ends before what it made use of first: static objects go in reverse order.
    static_cast<void>(std::atexit([] { present.reset(); }));
  }
  return *present;
}

void must_serve(const Served& served) {
  const auto answer = test::HttpClient(served.url()).ask("GET", "/healthz");
  if (answer.status != 200) std::fprintf(stderr, "%d %s\n", answer.status, answer.body.c_str());
  must_hold(answer.status == 200, "others are served");
}

}  // namespace tertulia::fuzz
