#include "engine/batch_sessions.h"

#include <fmt/format.h>

#include <future>
#include <utility>

#include "store/sessions.h"

namespace tertulia::engine {
namespace {

// The engine's writer from this thread: performed in its group's transaction, and waited for.
base::Result<void> write(Writer& writer, Writer::Work work) {
  std::promise<base::Result<void>> done;
  writer.submit(std::move(work),
                [&](base::Result<void> result) { done.set_value(std::move(result)); });
  return done.get_future().get();
}

}  // namespace

base::Result<BatchSessions::Found> BatchSessions::find_or_make(Writer& writer,
                                                               db::Connection& reader,
                                                               const BatchCasting& casting,
                                                               const std::string& inputs,
                                                               const std::string& name) {
  const std::string identity = casting.identity(inputs, name);
  auto known = store::find_batch(reader, identity);
  if (!known) return known.error();
  if (*known) return Found{.id = (*known)->id};
  base::Result<model::Batch> made = model::Batch();
  writer.run([&](db::Connection& connection) {
    made = store::find_or_make_batch(
        connection, {.identity = identity,
                     .name = fmt::format("{} over {}{}", casting.program().name, inputs,
                                         name.empty() ? "" : " (" + name + ")"),
                     .flow_version_id = casting.version().id,
                     .now = base::Clock::system().now()});
  });
  if (!made) return made.error();
  return Found{.id = made->id, .is_new = true};
}

base::Result<BatchStanding> BatchSessions::standing() {
  auto lines = store::count_batch_lines(reader_, batch_);
  if (!lines) return lines.error();
  auto usage = store::sum_batch_usage(reader_, batch_);
  if (!usage) return usage.error();
  return BatchStanding{.id = batch_, .results = *lines, .usage = *usage};
}

// Nothing where it is to be made.
base::Result<std::optional<PlacedInput>> BatchSessions::find(const BatchInput& input) {
  auto known = store::find_batch_input(reader_, batch_, input.id);
  if (!known) return known.error();
  if (!*known) return std::optional<PlacedInput>();
  if ((*known)->input.input_sha256 != input.sha256()) {
    const base::Error error{
        .code = base::Code::conflict,
        .message = fmt::format("this batch has begun another input under the id '{}'", input.id),
        .remedy = "inputs that were changed want new ids; --name NAME begins a batch of its own"};
    return input.place.empty() ? error : error.in(input.place);
  }
  PlacedInput placed{.has_result = (*known)->input.line.has_value(),
                     .session = (*known)->input.session_id.value_or(0),
                     .status = (*known)->status.value_or(model::SessionStatus::not_started)};
  if (placed.has_result) return std::optional(placed);
  if (!(*known)->status) return std::optional<PlacedInput>();
  auto usage = store::sum_usage(reader_, placed.session);
  if (!usage) return usage.error();
  placed.spent_usd = usage->cost_usd.value_or(0);
  return std::optional(placed);
}

base::Result<std::vector<PlacedInput>> BatchSessions::place(const BatchCasting& casting,
                                                            const std::vector<BatchInput>& inputs) {
  std::vector<PlacedInput> placed(inputs.size());
  std::vector<std::pair<std::size_t, store::NewSession>> fresh;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto known = find(inputs[i]);
    if (!known) return known.error();
    if (*known) {
      placed[i] = **known;
      continue;
    }
    auto session = casting.cast(inputs[i]);
    if (!session) return session.error();
    fresh.emplace_back(i, *std::move(session));
  }
  if (fresh.empty()) return placed;
  auto done = write(writer_, [&](db::Connection& connection) -> base::Result<void> {
    for (const auto& [i, session] : fresh) {
      auto id = store::create_session_within(connection, session);
      if (!id) return id.error();
      model::BatchInput row;
      row.batch_id = batch_;
      row.input_id = inputs[i].id;
      row.input_sha256 = inputs[i].sha256();
      row.session_id = *id;
      row.created_at = session.now;
      if (auto tied = store::tie_batch_input(connection, row); !tied) return tied;
      placed[i].session = *id;
    }
    return {};
  });
  if (!done) return done.error();
  return placed;
}

base::Result<std::int64_t> BatchSessions::give_lines(const std::vector<Id>& finished) {
  auto done = write(writer_, [&](db::Connection& connection) -> base::Result<void> {
    for (const Id session : finished)
      if (auto given = store::assign_batch_line(connection, batch_, session); !given) return given;
    return {};
  });
  if (!done) return done.error();
  return store::count_batch_lines(reader_, batch_);
}

base::Result<std::vector<ResultLine>> BatchSessions::lines(const BatchView& view,
                                                           std::int64_t first, std::int64_t limit) {
  auto rows = store::load_batch_lines(reader_, batch_, first, limit);
  if (!rows) return rows.error();
  std::vector<ResultLine> lines;
  lines.reserve(rows->size());
  std::optional<SessionData> keeps_the_flow;  // loaded once for all of these
  for (const auto& row : *rows) {
    ResultLine line{.number = row.line.value_or(0), .input = row.input_id, .text = {}};
    if (row.session_id) {
      if (!keeps_the_flow) {
        auto data = load_session_data(reader_, flows_, *row.session_id);
        if (!data) return data.error();
        keeps_the_flow.emplace(*std::move(data));
      }
      auto text = result_line(reader_, flows_, view, row.input_id, *row.session_id);
      if (!text) return text.error();
      line.text = *std::move(text);
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace tertulia::engine
