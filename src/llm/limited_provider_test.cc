// Providers behind a gate: on a real socket, and beside the calls that end before they return.
#include "llm/limited_provider.h"

#include <atomic>

#include "llm/provider_fixture.h"
#include "llm/rehearsal.h"

namespace tertulia::llm {
namespace {

class Limited : public OpenAi {
 protected:
  std::shared_ptr<Provider> limited(const std::string& base_url, std::shared_ptr<Gate> gate) {
    return make_limited(std::shared_ptr<Provider>(provider(base_url)), std::move(gate));
  }
  std::unique_ptr<Call> start(Provider& provider, Ear& ear) {
    const Request request = hello();
    return provider.start(request, provider.wire_body(request), {}, ear.listener());
  }
};

TEST_F(Limited, TwoProvidersOfAProfileShareItsGate) {
  std::atomic<int> now = 0, most = 0;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    const int mine = ++now;
    for (int seen = most; mine > seen && !most.compare_exchange_weak(seen, mine);) {
    }
    --now;  // before the answer: its reader may send the next at once
    reply.begin();
    reply.chunk(sse_completion({"Hello."}));
    reply.end();
  });
  const auto gate = Gate::make({.profile = "main", .limits = {.concurrent = 3}}, transport_);
  const auto one = limited(server.base_url(), gate);
  const auto other = limited(server.base_url(), gate);
  std::vector<std::unique_ptr<Ear>> ears;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 60; ++i) {
    ears.push_back(std::make_unique<Ear>());
    calls.push_back(start(i % 2 == 0 ? *one : *other, *ears.back()));
    EXPECT_LE(gate->in_flight(), 3u);
  }
  for (const auto& ear : ears) {
    EXPECT_EQ(ear->wait().outcome, Outcome::ok);
    EXPECT_EQ(ear->text(), "Hello.");
  }
  EXPECT_LE(most, 3);
  // Connections are used again. The next call may be let go before its predecessor's connection is
  // back, and then opens one of its own; it does not become one for each call.
  EXPECT_LE(server.connections(), 2u * 3u);
}

TEST_F(Limited, ACallThatWaitsIsCancelledAtOnceAndOneUnderWayToo) {
  test::Gate arrived;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    arrived.open();
    reply.wait_until_client_leaves();
  });
  const auto gate = Gate::make({.profile = "main", .limits = {.concurrent = 1}}, transport_);
  const auto provider = limited(server.base_url(), gate);
  Ear first, second, third;
  const auto under_way = start(*provider, first);
  const auto waiting = start(*provider, second);
  auto dropped = start(*provider, third);
  arrived.wait();
  EXPECT_EQ(second.done(), 0);
  waiting->cancel();
  EXPECT_EQ(second.done(), 1) << "before cancel returns";
  EXPECT_EQ(second.wait().outcome, Outcome::cancelled);
  dropped.reset();
  EXPECT_EQ(third.wait().outcome, Outcome::cancelled);
  EXPECT_EQ(gate->waiting(), 0u);
  under_way->cancel();
  EXPECT_EQ(first.wait().outcome, Outcome::cancelled);
  EXPECT_EQ(gate->in_flight(), 0u);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(Limited, TheTimeInTheQueueIsNoPartOfTheCall) {
  test::Gate let_go;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    let_go.wait();
    reply.begin();
    reply.chunk(sse_completion({"Hello."}));
    reply.end();
  });
  const auto gate = Gate::make({.profile = "main", .limits = {.concurrent = 1}}, transport_);
  const auto provider = limited(server.base_url(), gate);
  Ear first, second;
  const auto one = start(*provider, first);
  const auto begun = std::chrono::steady_clock::now();
  const auto two = start(*provider, second);
  let_go.open();
  const Answer early = first.wait();
  const Answer late = second.wait();
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begun);
  EXPECT_EQ(early.queued.count(), 0);
  // Not a matter of speed: both are parts of the same time. Each may be rounded up to the next
  // millisecond, and `passed` is cut down to one: that is 2 at most.
  EXPECT_LE(late.queued + late.duration, passed + std::chrono::milliseconds(2))
      << "they do not overlap";
}

// Ten thousand calls that end before `start` returns: the stack must not grow with the queue.
TEST_F(Limited, CallsThatEndAtOnceGoThroughOneByOne) {
  class Holding final : public Provider {
   public:
    std::string_view protocol() const override { return "holding"; }
    std::string wire_body(const Request&) const override { return {}; }
    std::int64_t estimate_tokens(std::string_view) const override { return 1; }
    std::unique_ptr<Call> start(const Request&, std::string, const Deadlines&,
                                Listener listener) override {
      if (first) {
        first = false;
        held = std::move(listener);
      } else {
        listener.on_done({});
      }
      return finished_call();
    }
    bool first = true;
    Listener held;
  };
  const auto inner = std::make_shared<Holding>();
  const auto gate = Gate::make({.profile = "main", .limits = {.concurrent = 1}}, transport_);
  const auto provider = make_limited(inner, gate);
  int done = 0;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 10'000; ++i)
    calls.push_back(
        provider->start({}, {}, {}, {.on_text = {}, .on_done = [&](Answer) { ++done; }}));
  EXPECT_EQ(done, 0);
  EXPECT_EQ(gate->waiting(), 9'999u);
  inner->held.on_done({});
  EXPECT_EQ(done, 10'000);
}

}  // namespace
}  // namespace tertulia::llm
