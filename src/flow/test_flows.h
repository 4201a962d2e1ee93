// For the tests of this room: the flows that ship, as files.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "flow/check.h"
#include "support/places.h"

namespace tertulia::flow::test {

// Their sources, by file name without its ending.
inline std::map<std::string, std::string> shipped_sources() {
  std::map<std::string, std::string> sources;
  for (const auto& entry :
       std::filesystem::directory_iterator(tertulia::test::in_source("flows"))) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    sources[entry.path().stem()] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  return sources;
}

// CheckOptions::find_flow among them.
inline base::Result<std::shared_ptr<const Program>> find_shipped(const std::string& name) {
  const auto sources = shipped_sources();
  const auto found = sources.find(name);
  if (found == sources.end())
    return base::Error{.code = base::Code::not_found, .message = "there is no flow " + name};
  CheckOptions options;
  options.find_flow = find_shipped;
  CheckedFlow checked = check_flow(found->second, options);
  if (!checked.ok())
    return base::Error{.code = base::Code::invalid, .message = name + " has mistakes"};
  return std::make_shared<const Program>(*std::move(checked.program));
}

}  // namespace tertulia::flow::test
