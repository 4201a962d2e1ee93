#include "engine/writer.h"

#include <future>

#include "base/log.h"
#include "store/sessions.h"

namespace tertulia::engine {
namespace {

constexpr std::size_t kMaxGroup = 256;

}  // namespace

Writer::Writer(std::unique_ptr<db::Connection> connection, Opener reopen, Observer* observer)
    : connection_(std::move(connection)),
      reopen_(std::move(reopen)),
      observer_(observer),
      thread_([this] { work(); }) {}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Writer::enqueue(Waiting waiting) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(waiting));
    if (waiting_.size() > 1) return;  // the writer has been woken for the first
  }
  wake_.notify_one();
}

void Writer::submit(store::Commit commit, Done done) {
  enqueue(make_member(std::move(commit), std::move(done)));
}

void Writer::submit(Work work, Done done) {
  enqueue(make_member(std::move(work), std::move(done)));
}

Writer::Member Writer::make_member(std::variant<store::Commit, Work> what, Done done) const {
  Member member{.what = std::move(what), .done = std::move(done)};
  if (observer_ != nullptr) member.submitted = std::chrono::steady_clock::now();
  return member;
}

void Writer::run(const Job& job) {
  std::promise<void> finished;
  enqueue(Job([&](db::Connection& connection) {
    job(connection);
    finished.set_value();
  }));
  finished.get_future().wait();
}

Writer::Counts Writer::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::size_t Writer::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

void Writer::work() {
  std::vector<Waiting> taken;
  std::vector<Member> group;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      taken.swap(waiting_);
    }
    for (Waiting& each : taken) {
      if (auto* member = std::get_if<Member>(&each)) {
        group.push_back(std::move(*member));
        if (group.size() < kMaxGroup) continue;
      }
      perform_group(group);
      group.clear();
      if (const auto* job = std::get_if<Job>(&each)) (*job)(*connection_);
    }
    perform_group(group);
    group.clear();
    taken.clear();
  }
}

void Writer::perform_group(std::span<Member> members) {
  if (members.empty()) return;
  const auto whole = perform_whole(members);
  {
    const std::lock_guard lock(mutex_);
    counts_.commits += members.size();
    ++counts_.transactions;
    if (!whole) counts_.retried_alone += members.size();
  }
  if (observer_ != nullptr) observer_->group_ended(members.size());
  if (whole) {
    for (Member& member : members) end_member(member, {});
    return;
  }
  spdlog::debug("a group of {} commits failed: {}", members.size(), whole.error().message);
  restore_connection();
  for (Member& member : members) end_member(member, perform_alone(member));
}

void Writer::end_member(Member& member, base::Result<void> result) {
  if (observer_ != nullptr && std::holds_alternative<store::Commit>(member.what))
    observer_->commit_ended(std::chrono::steady_clock::now() - member.submitted,
                            static_cast<bool>(result));
  member.done(std::move(result));
}

base::Result<void> Writer::perform_whole(std::span<Member> members) {
  auto transaction = db::Transaction::begin(*connection_);
  if (!transaction) return transaction.error();
  for (const Member& member : members) {
    const auto* commit = std::get_if<store::Commit>(&member.what);
    auto done = commit != nullptr ? store::apply(*connection_, *commit)
                                  : std::get<Work>(member.what)(*connection_);
    if (!done) return done;
  }
  return transaction->commit();
}

base::Result<void> Writer::perform_alone(const Member& member) {
  auto transaction = db::Transaction::begin(*connection_);
  if (!transaction) return transaction.error();
  if (const Work* work = std::get_if<Work>(&member.what)) {
    if (auto done = (*work)(*connection_); !done) return done;
    return transaction->commit();
  }
  const auto& commit = std::get<store::Commit>(member.what);
  auto already = is_applied(commit);
  if (!already) return already.error();
  if (*already) return {};
  if (auto applied = store::apply(*connection_, commit); !applied) return applied;
  auto committed = transaction->commit();
  if (committed) return {};
  // Reported as failed: find out.
  already = is_applied(commit);
  if (already && *already) return {};
  return committed;
}

base::Result<bool> Writer::is_applied(const store::Commit& commit) {
  auto stored = store::load_machine_state(*connection_, commit.session_id);
  if (!stored) return stored.error();
  return stored->state == commit.state;
}

void Writer::restore_connection() {
  auto alive = connection_->each_text("SELECT 1", {},
                                      [](const db::Row&) -> base::Result<void> { return {}; });
  if (alive) return;
  auto opened = reopen_();
  if (opened) {
    connection_ = *std::move(opened);
  } else {
    spdlog::warn("the database connection is lost: {}", opened.error().message);
  }
}

}  // namespace tertulia::engine
