/* LD_PRELOAD: a disk that takes SLOW_FSYNC_MS longer to say that it has written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int fd) {
  const char *milliseconds = getenv("SLOW_FSYNC_MS");
  if (milliseconds) usleep(1000 * (useconds_t)atoi(milliseconds));
  return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
