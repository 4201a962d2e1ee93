// A session that goes on under another version of its flow: the state's places in the one program
// (steps, blocks, visits, jumps) become those of the same steps in the other, its variables those
// that the other declares.
//
// Steps are the same where they have the same id and are of the same kind; without an id, where
// they stand at the same place in the same block, and the same role speaks. Pure: a replay that
// comes to the row at which the version changed gets the same state.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "flow/program.h"
#include "flow/state.h"

namespace tertulia::flow {

// Invalid where the other version has no step for one at which the state stands (an open row, a
// block under way), where such a step is another one there (other roles take turns in it, another
// branches, another condition is judged), or where a variable has neither value nor default: the
// error names it. Limits stay as they are: they are an input.
[[nodiscard]] base::Result<State> move_to_version(const Program& from, const Program& to,
                                                  const State& state);

// The variables that `program` declares: with their values where there are any, else their
// defaults. Invalid where one has neither, or its value is of another type.
[[nodiscard]] base::Result<std::map<std::string, json::value, std::less<>>> variables_of_version(
    const Program& program, const std::map<std::string, json::value, std::less<>>& values);

}  // namespace tertulia::flow
