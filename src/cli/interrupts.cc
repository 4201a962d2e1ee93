#include "cli/interrupts.h"

namespace tertulia::cli {
namespace {

// Only the handler counts it up.
volatile std::sig_atomic_t count = 0;
void on_interrupt(int) {
  count = count + 1;
}

}  // namespace

int interrupts() {
  return count;
}

InterruptGuard::InterruptGuard() {
  count = 0;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, &old_int_);
  ::sigaction(SIGTERM, &action, &old_term_);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &old_int_, nullptr);
  ::sigaction(SIGTERM, &old_term_, nullptr);
}

}  // namespace tertulia::cli
