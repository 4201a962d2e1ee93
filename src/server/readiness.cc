#include "server/readiness.h"

#include <chrono>

#include "base/log.h"
#include "schema/proof.h"

namespace tertulia::server {
namespace {

constexpr std::chrono::seconds kLook{1};
constexpr int kLooksBetweenProofs = 5;

}  // namespace

Readiness::Readiness(db::Location location) : location_(std::move(location)) {}

Readiness::~Readiness() {
  stop();
}

void Readiness::start(std::function<void()> each_second, std::function<void()> on_ready) {
  each_second_ = std::move(each_second);
  on_ready_ = std::move(on_ready);
  thread_ = std::thread([this] { watch(); });
}

void Readiness::stop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<base::Error> Readiness::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

std::optional<base::Error> Readiness::look() {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++looks_begun_;
  }
  auto proof = schema::prove_at(location_);
  std::optional<base::Error> trouble;
  if (!proof) {
    trouble = proof.error();
  } else if (!proof->may_run()) {
    trouble = proof->error();
  }
  const std::lock_guard lock(mutex_);
  // Who looked later saw what is so now, and others were told of it.
  if (number < newest_look_) return trouble;
  newest_look_ = number;
  if (trouble && !trouble_)
    spdlog::error("the database cannot be worked with: {}", trouble->message);
  if (!trouble && trouble_) {
    spdlog::info("the database is as it must be again");
    wake_.notify_all();
  }
  trouble_ = trouble;
  return trouble;
}

void Readiness::watch() {
  bool was_well = !trouble();
  int looks = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kLook, [&] { return ending_; });
      if (ending_) return;
    }
    if (trouble() || ++looks >= kLooksBetweenProofs) {
      looks = 0;
      static_cast<void>(look());
    }
    const bool is_well = !trouble();
    if (is_well && !was_well) on_ready_();
    if (is_well) each_second_();
    was_well = is_well;
  }
}

}  // namespace tertulia::server
