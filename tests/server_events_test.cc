// Live events over the wire: numbered, without gaps, each once and in order, whatever breaks.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "support/server_fixture.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;

class ServerEventsTest : public ServerFixture {
 protected:
  // What comes until the stream ends; tokens are counted, and have no id.
  struct Heard {
    std::vector<std::string> ids, types, data;
    int tokens = 0;
    void add(const SseEvent& event) {
      if (event.type == "token") {
        EXPECT_EQ(event.id, "");
        ++tokens;
        return;
      }
      ids.push_back(event.id);
      types.push_back(event.type);
      data.push_back(event.data);
    }
  };
  static Heard hear(EventStream& stream) {
    Heard heard;
    while (const auto event = stream.next()) heard.add(*event);
    return heard;
  }
  Heard hear(const std::string& session, const std::string& last = {}) {
    EventStream stream(served_->url(), path(session, "/events"), last);
    return hear(stream);
  }
  int status(const std::string& target, const std::string& last) {
    return EventStream(served_->url(), target, last).status();
  }
  static std::vector<std::string> numbers(std::size_t from, std::size_t to) {
    std::vector<std::string> all;
    for (std::size_t i = from; i <= to; ++i) all.push_back(std::to_string(i));
    return all;
  }
  // A session that is paused, so that everybody may be there before it begins.
  std::string make(const std::string& flow = kTalkingFlow) {
    store_flow(flow);
    return begin(R"({"flow":"talking","autostart":false})");
  }
  void start(const std::string& session) { post(path(session, "/start"), "", 202); }
};
INSTANTIATE_TEST_SUITE_P(, ServerEventsTest, testing::Bool(), engine_name);

TEST_P(ServerEventsTest, AreNumberedFromOneWithoutGapsAndResumeAnywhere) {
  serve();
  const std::string session = make();
  EventStream live(served_->url(), path(session, "/events"));
  EXPECT_EQ(live.status(), 200);
  EXPECT_EQ(live.head().field("content-type"), "text/event-stream");
  EXPECT_EQ(live.head().field("cache-control"), "no-store");
  start(session);
  const Heard all = hear(live);
  const std::size_t count = all.ids.size();
  ASSERT_GT(count, 36U);
  EXPECT_EQ(all.ids, numbers(1, count));
  EXPECT_EQ(all.types.front(), "session.started");
  EXPECT_EQ(all.types.back(), "session.finished");
  for (std::size_t i = 0; i < count; ++i) {
    const auto event = base::parse_json(all.data[i]);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->as_object().at("id"), static_cast<std::int64_t>(i + 1));
    EXPECT_EQ(event->as_object().at("type").as_string(), all.types[i]);
    EXPECT_EQ(std::to_string(event->as_object().at("session_id").as_int64()), session);
  }
  const auto expect_rest = [&](std::size_t after) {
    const Heard rest = hear(session, std::to_string(after));
    EXPECT_EQ(rest.ids, numbers(after + 1, count)) << after;
    EXPECT_TRUE(std::equal(rest.data.begin(), rest.data.end(),
                           all.data.begin() + static_cast<std::ptrdiff_t>(after)))
        << after;
  };
  for (std::size_t after = 0; after < count; ++after) expect_rest(after);
  EXPECT_EQ(status(path(session, "/events"), std::to_string(count)), 204);
  EXPECT_EQ(status(path(session, "/events?last_event_id=" + std::to_string(count)), {}), 204);
  for (const std::string& wrong : {std::to_string(count + 1), std::string("-1"), std::string("a"),
                                   std::string("1.2"), std::string("99999999999999999999")})
    EXPECT_EQ(ask("GET", path(session, "/events"), {}, {{"Last-Event-ID", wrong}}).status, 400)
        << wrong;
  EXPECT_EQ(ask("GET", path("99", "/events")).status, 404);
  serve();
  for (const std::size_t after : {std::size_t{0}, std::size_t{7}, count - 1}) expect_rest(after);
  EXPECT_EQ(status(path(session, "/events"), std::to_string(count)), 204);
}

TEST_P(ServerEventsTest, LoseNothingAcrossReconnectionsAndRestartsWhileItRuns) {
  serve({"--model", "rehearsal?latency=20ms"});
  const std::string session = make();
  start(session);
  Heard heard;
  for (int part = 0; heard.types.empty() || heard.types.back() != "session.finished"; ++part) {
    EventStream stream(served_->url(), path(session, "/events"),
                       heard.ids.empty() ? "" : heard.ids.back());
    ASSERT_EQ(stream.status(), 200);
    const std::size_t enough = heard.ids.size() + static_cast<std::size_t>(part % 3) + 1;
    while (heard.ids.size() < enough) {
      const auto event = stream.next();
      if (!event) break;
      heard.add(*event);
    }
    if (part == 4) serve({"--model", "rehearsal?latency=20ms"});
    if (part == 8) {
      kill();
      serve({"--model", "rehearsal?latency=20ms"});
    }
  }
  EXPECT_EQ(heard.ids, numbers(1, heard.ids.size()));
  EXPECT_EQ(heard.ids, hear(session).ids);
  EXPECT_EQ(heard.data, hear(session).data);
  EXPECT_THAT(heard.types, testing::Contains("session.paused"));  // at the orderly stop
  wait_for(session, {"finished"});
  expect_explained(session);
}

TEST_P(ServerEventsTest, TokensComeToWhoHasAllBeforeThem) {
  serve({"--model", "rehearsal?latency=50ms"});
  const std::string session = make();
  EventStream live(served_->url(), path(session, "/events"));
  start(session);
  const Heard all = hear(live);
  EXPECT_GT(all.tokens, 12);
  EXPECT_EQ(hear(session).tokens, 0);
}

TEST_P(ServerEventsTest, OfAllSessionsResumeToo) {
  serve();
  store_flow(kTalkingFlow);
  EventStream live(served_->url(), "/api/v1/events");
  ASSERT_EQ(live.status(), 200);
  std::vector<std::string> sessions;
  for (int i = 0; i < 3; ++i) sessions.push_back(begin(R"({"flow":"talking"})"));
  Heard all;
  std::map<std::string, std::size_t> numbers_of;
  for (std::size_t finished = 0; finished < sessions.size();) {
    const auto event = live.next();
    ASSERT_TRUE(event);
    all.add(*event);
    if (event->type == "token") continue;
    const json::object data = base::parse_json(event->data)->as_object();
    const std::string of = std::to_string(data.at("session_id").as_int64());
    EXPECT_EQ(data.at("id"), static_cast<std::int64_t>(++numbers_of[of]));
    if (event->type == "session.finished") ++finished;
  }
  for (const std::string& session : sessions)
    EXPECT_EQ(numbers_of[session], hear(session).ids.size());
  // The rest of it, from several places.
  for (std::size_t after = 0; after + 1 < all.ids.size(); after += 5) {
    EventStream again(served_->url(), "/api/v1/events", all.ids[after]);
    for (std::size_t i = after + 1; i < all.ids.size(); ++i) {
      auto event = again.next();
      while (event && event->type == "token") event = again.next();
      ASSERT_TRUE(event);
      EXPECT_EQ(event->id, all.ids[i]);
      EXPECT_EQ(event->data, all.data[i]);
    }
  }
  for (const char* wrong : {"1", "a.b", "1.", ".1", "1.2.3", "0.0"})
    EXPECT_EQ(ask("GET", "/api/v1/events", {}, {{"Last-Event-ID", wrong}}).status, 400) << wrong;
}

TEST_P(ServerEventsTest, ReadersThatDoNotReadHarmNobody) {
  serve({"--model", "rehearsal?latency=10ms"});
  const std::string session = make();
  std::vector<std::unique_ptr<EventStream>> lazy;
  for (int i = 0; i < 20; ++i)
    lazy.push_back(std::make_unique<EventStream>(served_->url(), path(session, "/events")));
  start(session);
  const Heard all = hear(session);
  EXPECT_EQ(all.ids, numbers(1, all.ids.size()));
  EXPECT_EQ(all.types.back(), "session.finished");
  // What they had not taken is theirs still.
  EXPECT_EQ(hear(*lazy.front()).ids, all.ids);
}

TEST_P(ServerEventsTest, EndWithTheSessionsDeletionAndTheServersStop) {
  serve();
  const std::string session = make(), other = make();
  EventStream deleted(served_->url(), path(session, "/events"));
  EventStream stopped(served_->url(), path(other, "/events"));
  EventStream all(served_->url(), "/api/v1/events");
  EXPECT_EQ(ask("DELETE", path(session)).status, 204);
  EXPECT_TRUE(hear(deleted).ids.size() <= 1);
  static_cast<void>(stop());
  static_cast<void>(hear(stopped));
  static_cast<void>(hear(all));
}

TEST_P(ServerEventsTest, ComeOnceAndInOrderToManyReaders) {
  const char* wanted = std::getenv("TERTULIA_READERS");
  const std::size_t readers = wanted == nullptr ? 100 : std::strtoul(wanted, nullptr, 10);
  serve({"--model", "rehearsal?latency=50ms"});
  const std::string session = make();
  std::atomic<std::size_t> there = 0, wrong = 0, reconnections = 0;
  std::vector<std::size_t> heard(readers);
  std::vector<std::thread> threads;
  threads.reserve(readers);
  for (std::size_t reader = 0; reader < readers; ++reader)
    threads.emplace_back([&, reader] {
      std::size_t next = 1;
      bool is_over = false;
      for (bool first = true; !is_over; first = false) {
        EventStream stream(served_->url(), path(session, "/events"), std::to_string(next - 1));
        if (first) ++there;
        if (!first) ++reconnections;
        if (stream.status() != 200) {
          ++wrong;
          break;
        }
        // Each goes after another number of events, and comes again.
        const std::size_t until = next + 5 + reader % 17;
        while (next < until && !is_over) {
          const auto event = stream.next();
          if (!event) break;
          if (event->type == "token") continue;
          if (event->id != std::to_string(next)) ++wrong;
          ++next;
          is_over = event->type == "session.finished";
        }
      }
      heard[reader] = next - 1;
    });
  while (there < readers) std::this_thread::yield();
  start(session);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(reconnections, readers);
  const std::size_t count = hear(session).ids.size();
  for (const std::size_t each : heard) EXPECT_EQ(each, count);
}

}  // namespace
}  // namespace tertulia::test
