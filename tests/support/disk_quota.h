// DiskQuota is a disk that fills up, for a program that keeps a database: a library that is loaded
// before the C library refuses to let the files of its databases grow by more writes (pages, of
// PostgreSQL) than there are left, with ENOSPC, as a full disk does. Everything else of the program
// is as it always is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/temp_dir.h"

namespace tertulia::test {

class DiskQuota final {
 public:
  // Without end, until it is set.
  DiskQuota();
  DiskQuota(const DiskQuota&) = delete;
  DiskQuota& operator=(const DiskQuota&) = delete;
  ~DiskQuota();

  // For PostgresServer or World. Of SQLite, the files in a folder "base" are meant.
  [[nodiscard]] std::vector<std::string> environment() const;
  // Negative: without end.
  void set(std::int64_t pages);

 private:
  TempDir folder_;
  std::int64_t* left_ = nullptr;  // shared with the server's processes
};

}  // namespace tertulia::test
