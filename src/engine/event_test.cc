// Who is told what by the event bus.
#include "engine/event.h"

#include <gtest/gtest.h>

namespace tertulia::engine {
namespace {

Event event(Event::Type type, model::Id session) {
  Event made;
  made.type = type;
  made.session_id = session;
  return made;
}

TEST(EventBus, TokensAreForThoseWhoWantThem) {
  EventBus bus;
  EXPECT_FALSE(bus.wants_tokens());
  const auto one = bus.subscribe();
  const auto other = bus.subscribe();
  EXPECT_TRUE(bus.wants_tokens());
  one->want_tokens(false);
  EXPECT_TRUE(bus.wants_tokens());
  bus.publish(event(Event::Type::token, 1));
  bus.publish(event(Event::Type::message, 1));
  EXPECT_EQ(one->next()->type, Event::Type::message);
  EXPECT_EQ(other->next()->type, Event::Type::token);
  EXPECT_EQ(other->next()->type, Event::Type::message);

  other->want_tokens(false);
  EXPECT_FALSE(bus.wants_tokens());
  one->want_tokens(true);
  EXPECT_TRUE(bus.wants_tokens());
  bus.publish(event(Event::Type::token, 2));
  EXPECT_EQ(one->next()->session_id, 2);
}

}  // namespace
}  // namespace tertulia::engine
