// The closed lists of states and reasons that the rows hold, with the texts that stand in the
// database. `to_text` and `from_text` are each other's inverse (status_test tries them all).
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace tertulia::model {

// A specialisation lists every value of E with its text.
template <class E>
struct Names;

template <class E>
[[nodiscard]] constexpr std::string_view to_text(E value) {
  for (const auto& [each, text] : Names<E>::all)
    if (each == value) return text;
  return {};
}

template <class E>
[[nodiscard]] constexpr std::optional<E> from_text(std::string_view text) {
  for (const auto& [value, name] : Names<E>::all)
    if (name == text) return value;
  return {};
}

enum class SessionStatus { not_started, running, waiting, paused, finished, failed, terminated };
template <>
struct Names<SessionStatus> {
  static constexpr std::array all = {
      std::pair{SessionStatus::not_started, std::string_view("not_started")},
      std::pair{SessionStatus::running, std::string_view("running")},
      std::pair{SessionStatus::waiting, std::string_view("waiting")},
      std::pair{SessionStatus::paused, std::string_view("paused")},
      std::pair{SessionStatus::finished, std::string_view("finished")},
      std::pair{SessionStatus::failed, std::string_view("failed")},
      std::pair{SessionStatus::terminated, std::string_view("terminated")}};
};

enum class StepStatus { pending, running, waiting, completed, failed, skipped, timeout };
template <>
struct Names<StepStatus> {
  static constexpr std::array all = {
      std::pair{StepStatus::pending, std::string_view("pending")},
      std::pair{StepStatus::running, std::string_view("running")},
      std::pair{StepStatus::waiting, std::string_view("waiting")},
      std::pair{StepStatus::completed, std::string_view("completed")},
      std::pair{StepStatus::failed, std::string_view("failed")},
      std::pair{StepStatus::skipped, std::string_view("skipped")},
      std::pair{StepStatus::timeout, std::string_view("timeout")}};
};

enum class ResultType {
  success,
  condition_true,
  condition_false,
  loop_entry,
  loop_continue,
  loop_break,
  error,
};
template <>
struct Names<ResultType> {
  static constexpr std::array all = {
      std::pair{ResultType::success, std::string_view("success")},
      std::pair{ResultType::condition_true, std::string_view("condition_true")},
      std::pair{ResultType::condition_false, std::string_view("condition_false")},
      std::pair{ResultType::loop_entry, std::string_view("loop_entry")},
      std::pair{ResultType::loop_continue, std::string_view("loop_continue")},
      std::pair{ResultType::loop_break, std::string_view("loop_break")},
      std::pair{ResultType::error, std::string_view("error")}};
};

// Why a session that is not under way stands where it stands.
enum class StopReason {
  end_of_flow,        // finished: its last step is done
  end_step,           // finished: an `end` step was reached
  limit_steps,        // paused or finished: the limit on steps is reached
  limit_rounds,       // ... on rounds
  limit_time,         // ... on time
  limit_tokens,       // ... on tokens
  limit_cost,         // ... on cost
  asked,              // paused: a person asked for it
  single_step,        // paused: one step was asked for, and it is done
  step_failed,        // paused: a step used up its attempts
  step_timeout,       // paused: a step used up its time
  model_unavailable,  // paused: no key, no connection, or refused credentials
  storage_full,       // paused: the disk has no room
  unsupported,        // paused: the flow needs what this program cannot do yet
  shutdown,           // paused: the server that performed it stopped; the next one goes on
  cancelled,          // terminated: a person asked for it
  engine_failure,     // failed: a defect; the log says more
  does_not_fit,       // an adopted session whose messages do not follow its flow: to be read only
};
template <>
struct Names<StopReason> {
  static constexpr std::array all = {
      std::pair{StopReason::end_of_flow, std::string_view("end_of_flow")},
      std::pair{StopReason::end_step, std::string_view("end_step")},
      std::pair{StopReason::limit_steps, std::string_view("limit_steps")},
      std::pair{StopReason::limit_rounds, std::string_view("limit_rounds")},
      std::pair{StopReason::limit_time, std::string_view("limit_time")},
      std::pair{StopReason::limit_tokens, std::string_view("limit_tokens")},
      std::pair{StopReason::limit_cost, std::string_view("limit_cost")},
      std::pair{StopReason::asked, std::string_view("asked")},
      std::pair{StopReason::single_step, std::string_view("single_step")},
      std::pair{StopReason::step_failed, std::string_view("step_failed")},
      std::pair{StopReason::step_timeout, std::string_view("step_timeout")},
      std::pair{StopReason::model_unavailable, std::string_view("model_unavailable")},
      std::pair{StopReason::storage_full, std::string_view("storage_full")},
      std::pair{StopReason::unsupported, std::string_view("unsupported")},
      std::pair{StopReason::shutdown, std::string_view("shutdown")},
      std::pair{StopReason::cancelled, std::string_view("cancelled")},
      std::pair{StopReason::engine_failure, std::string_view("engine_failure")},
      std::pair{StopReason::does_not_fit, std::string_view("does_not_fit")}};
};

}  // namespace tertulia::model
