#include "support/disk_quota.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

namespace tertulia::test {

namespace fs = std::filesystem;

DiskQuota::DiskQuota() {
  // The server is another user.
  fs::permissions(folder_.path(), fs::perms(0755));
  fs::copy_file(TERTULIA_DISK_QUOTA_LIBRARY, folder_.file("disk_quota.so"));
  fs::permissions(folder_.file("disk_quota.so"), fs::perms(0755));
  const int file = ::open(folder_.file("left").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0 || ::fchmod(file, 0666) != 0 || ::ftruncate(file, sizeof *left_) != 0)
    throw std::runtime_error("the disk's quota cannot be made");
  void* memory = ::mmap(nullptr, sizeof *left_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
  left_ = static_cast<std::int64_t*>(memory);
  set(-1);
}

DiskQuota::~DiskQuota() {
  ::munmap(left_, sizeof *left_);
}

std::vector<std::string> DiskQuota::environment() const {
  return {"LD_PRELOAD=" + folder_.file("disk_quota.so"),
          "TERTULIA_DISK_LEFT=" + folder_.file("left")};
}

void DiskQuota::set(std::int64_t pages) {
  __atomic_store_n(left_, pages, __ATOMIC_SEQ_CST);
}

}  // namespace tertulia::test
