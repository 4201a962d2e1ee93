#include "llm/limited_provider.h"

#include <mutex>
#include <utility>

#include "llm/wrapping_provider.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;

// A call from its entry into the queue to its end, shared by the queue, the inner call's listener
// and whoever may stop it.
class Passage final : public std::enable_shared_from_this<Passage> {
 public:
  Passage(std::shared_ptr<Provider> inner, std::shared_ptr<Gate> gate, Request request,
          std::string body, const Deadlines& deadlines, Listener listener)
      : inner_(std::move(inner)),
        gate_(std::move(gate)),
        request_(std::move(request)),
        body_(std::move(body)),
        deadlines_(deadlines),
        listener_(std::move(listener)) {}

  void enter(std::int64_t tokens) {
    ticket_ = gate_->enter(
        tokens,
        [self = shared_from_this()](
            Gate::Ticket ticket, const std::optional<Gate::Refusal>& refusal, milliseconds queued) {
          if (refusal) return self->refuse(*refusal, queued);
          self->go(ticket, queued);
        });
  }

  // Not before `enter` has returned.
  void stop() {
    if (const auto queued = gate_->withdraw(ticket_))
      return report(Outcome::cancelled, "cancelled while it waited for its turn", *queued);
    std::unique_ptr<Call> call;
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
      call = std::move(call_);
    }
    if (call) call->cancel();
  }

 private:
  void refuse(const Gate::Refusal& refusal, milliseconds queued) {
    report(refusal.outcome, refusal.error, queued, refusal.retry_after);
  }

  // Of a call that was not sent.
  void report(Outcome outcome, const std::string& error, milliseconds queued,
              std::optional<milliseconds> retry_after = {}) {
    Answer answer;
    answer.outcome = outcome;
    answer.error = error;
    answer.queued = queued;
    answer.retry_after = retry_after;
    const Listener listener = std::exchange(listener_, {});
    if (listener.on_done) listener.on_done(std::move(answer));
  }

  void go(Gate::Ticket ticket, milliseconds queued) {
    Listener ears;
    ears.on_text = std::move(listener_.on_text);
    ears.on_done = [gate = gate_, ticket, queued,
                    on_done = std::move(listener_.on_done)](Answer answer) {
      answer.queued = queued;
      gate->ended(ticket, answer);
      if (on_done) on_done(std::move(answer));
    };
    auto call = inner_->start(request_, std::move(body_), deadlines_, std::move(ears));
    {
      const std::scoped_lock lock(mutex_);
      if (!stopped_) {
        call_ = std::move(call);
        return;
      }
    }
    call->cancel();  // it was stopped while it was being admitted
  }

  const std::shared_ptr<Provider> inner_;
  const std::shared_ptr<Gate> gate_;
  const Request request_;
  std::string body_;
  const Deadlines deadlines_;
  Listener listener_;
  Gate::Ticket ticket_ = 0;

  std::mutex mutex_;  // guards the rest
  bool stopped_ = false;
  std::unique_ptr<Call> call_;
};

class LimitedCall final : public Call {
 public:
  explicit LimitedCall(std::shared_ptr<Passage> passage) : passage_(std::move(passage)) {}
  ~LimitedCall() override { passage_->stop(); }
  void cancel() override { passage_->stop(); }

 private:
  const std::shared_ptr<Passage> passage_;
};

class LimitedProvider final : public WrappingProvider {
 public:
  LimitedProvider(std::shared_ptr<Provider> inner, std::shared_ptr<Gate> gate)
      : WrappingProvider(std::move(inner)), gate_(std::move(gate)) {}

  std::unique_ptr<Call> start(const Request& request, std::string body, const Deadlines& deadlines,
                              Listener listener) override {
    const auto passage = std::make_shared<Passage>(inner(), gate_, request, std::move(body),
                                                   deadlines, std::move(listener));
    passage->enter(gate_->counts_tokens() ? charge(request) : 0);
    return std::make_unique<LimitedCall>(passage);
  }

 private:
  // What a server counts before it has answered: the prompt, and what the answer may take.
  [[nodiscard]] std::int64_t charge(const Request& request) const {
    std::int64_t tokens = estimate_tokens(request.system);
    for (const Turn& turn : request.turns) tokens += estimate_tokens(turn.text);
    return tokens + request.parameters.max_tokens.value_or(gate_->usual_answer());
  }

  const std::shared_ptr<Gate> gate_;
};

}  // namespace

std::shared_ptr<Provider> make_limited(std::shared_ptr<Provider> inner,
                                       std::shared_ptr<Gate> gate) {
  return std::make_shared<LimitedProvider>(std::move(inner), std::move(gate));
}

}  // namespace tertulia::llm
