#include "cli/session_selection.h"

namespace tertulia::cli {

void add_selection(CLI::App& command, service::SessionSelection& selection) {
  command.add_option("id", selection.ids, "The sessions' ids")->check(CLI::PositiveNumber);
  command
      .add_option("--status", selection.statuses, "Only these; several with commas between them")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(
          {"not_started", "running", "waiting", "paused", "finished", "failed", "terminated"}));
  command.add_option("--flow", selection.flow, "Only sessions of this flow");
  command.add_option("--batch", selection.batch, "Only sessions of the batch of this number")
      ->check(CLI::PositiveNumber);
  command.add_option("--older-than", selection.older_than,
                     "Only sessions with which nothing was done for so long, such as 90d or 12h");
}

}  // namespace tertulia::cli
