// embed_flows FOLDER OUT writes the flow files of a folder as C++ text.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: embed_flows FOLDER OUT\n";
    return 1;
  }
  std::set<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(argv[1]))
    if (entry.path().extension() == ".yaml") paths.insert(entry.path());
  fs::create_directories(fs::path(argv[2]).parent_path());
  std::ofstream out(argv[2]);
  out << "// Made by embed_flows from the shipped flows; do not edit.\n"
      << "#include \"service/shipped_flows.h\"\n\nnamespace tertulia::service {\n\n"
      << "std::span<const ShippedFlow> shipped_flows() {\n"
      << "  static const ShippedFlow flows[] = {\n";
  for (const auto& path : paths) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    out << "      {\"" << path.stem().string() << "\",\nR\"flow(" << text.str() << ")flow\"},\n";
  }
  out << "  };\n  return flows;\n}\n\n}  // namespace tertulia::service\n";
  return out.good() ? 0 : 1;
}
