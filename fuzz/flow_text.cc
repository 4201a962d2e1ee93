// The flow language: whatever the text, the check ends and tells every mistake's place; what it
// accepts is stored and read back as the same program.
#include "base/json.h"
#include "flow/check.h"
#include "target.h"

using tertulia::base::json::value;
using tertulia::flow::Program;
using tertulia::fuzz::must_hold;

TERTULIA_FUZZ(flow_text) {
  const auto checked = tertulia::flow::check_flow(input);
  for (const auto& problem : checked.problems)
    must_hold(problem.line >= 1 && problem.column >= 1 && !problem.message.empty(),
              "a problem has a place and words");
  if (!checked.ok()) {
    must_hold(!checked.problems.empty(), "what is refused is told why");
    return;
  }
  const auto header = tertulia::base::to_text(value(checked.program->header_json()));
  const auto reread = tertulia::base::parse_json(header);
  must_hold(reread && reread->is_object(), "the header is a JSON object");
  const auto again = Program::from_rows(reread->get_object(), checked.program->to_rows());
  must_hold(again.ok(), "a program that was compiled can be read back");
  must_hold(tertulia::base::to_text(value(again->header_json())) == header,
            "the header read back is the same");
  must_hold(again->steps.size() == checked.program->steps.size(), "no step is lost");
  for (int i = 0; i < static_cast<int>(again->steps.size()); ++i)
    must_hold(again->spec_json(i) == checked.program->spec_json(i), "each step is the same");
}
