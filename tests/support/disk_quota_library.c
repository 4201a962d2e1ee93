/* What disk_quota.h loads into a program that keeps a database. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ssize_t (*Write)(int, const void*, size_t, off64_t);

static int64_t* left_of_disk(void) {
  static int64_t* left;
  if (left == NULL) {
    const char* path = getenv("TERTULIA_DISK_LEFT");
    const int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return NULL;
    void* memory = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) left = memory;
  }
  return left;
}

/* The log has a place of its own: a server that cannot write it goes down, whatever we do. */
static int grows_database(int file, off64_t offset) {
  struct stat64 found;
  if (fstat64(file, &found) != 0 || offset < found.st_size) return 0;
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, "/base/") != NULL;
}

static ssize_t write_within_quota(const char* name, int file, const void* data, size_t size,
                                  off64_t offset) {
  int64_t* left = left_of_disk();
  if (left != NULL && __atomic_load_n(left, __ATOMIC_SEQ_CST) >= 0 &&
      grows_database(file, offset)) {
    if (__atomic_load_n(left, __ATOMIC_SEQ_CST) == 0) {
      errno = ENOSPC;
      return -1;
    }
    __atomic_sub_fetch(left, 1, __ATOMIC_SEQ_CST);
  }
  Write write_page;
  *(void**)&write_page = dlsym(RTLD_NEXT, name);
  return write_page(file, data, size, offset);
}

ssize_t pwrite(int file, const void* data, size_t size, off_t offset) {
  return write_within_quota("pwrite", file, data, size, offset);
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t offset) {
  return write_within_quota("pwrite64", file, data, size, offset);
}
