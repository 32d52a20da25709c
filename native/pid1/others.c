/*
 * The processes besides COMMAND that we answer for: as PID 1 every one of the
 * namespace, as a subreaper our descendants. Never the policy process and what it
 * started.
 *
 * PID 1 alone uses kill(-1): one atomic step that needs no /proc. Otherwise one by
 * one, each checked again (src/init/others.ts does the same).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pid1.h"

struct entry { /* struct linux_dirent64, getdents64(2) */
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

static pid_t self;

/* A /proc of another namespace has other numbers. */
bool lg_others_visible(void) {
  char text[16];
  ssize_t n = readlink("/proc/self", text, sizeof text - 1);
  pid_t seen = 0;
  for (ssize_t i = 0; i < n; i++) seen = seen * 10 + (text[i] - '0');
  self = getpid();
  return n > 0 && seen == self;
}

static bool at_once(void) {
  return getpid() == 1 && (atomic_load(&lg.helper) == 0 || !lg_others_visible());
}

/* Is it ours? Up from parent to parent; a chain longer than the machine has processes
 * would be one that changes under our eyes. */
static bool is_ours(const struct lg_stat *about) {
  pid_t helper = atomic_load(&lg.helper), at = about->ppid;
  struct lg_stat above;
  for (int steps = 0; steps < 100000; steps++) {
    if (at == helper && helper != 0) return false;
    if (at == self) return true;
    if (at <= 1) return self == 1; /* of `docker exec`: its parent is out of sight */
    if (lg_read_stat(at, &above) != 0) return self == 1; /* gone meanwhile: it will be ours */
    at = above.ppid;
  }
  return false;
}

static int each(void (*one)(pid_t, const struct lg_stat *), bool zombies) {
  union {
    struct entry first;
    char bytes[2048];
  } list;
  int found = 0, fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || !lg_others_visible()) {
    if (fd >= 0) close(fd);
    return 0;
  }
  for (ssize_t n; (n = syscall(SYS_getdents64, fd, &list, sizeof list)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      const struct entry *e = (const struct entry *)(list.bytes + at);
      at += e->length;
      pid_t pid = 0;
      const char *digit = e->name;
      for (; *digit >= '0' && *digit <= '9'; digit++) pid = pid * 10 + (*digit - '0');
      struct lg_stat about;
      if (*digit != '\0' || pid == self || pid == atomic_load(&lg.helper)) continue;
      if (lg_read_stat(pid, &about) != 0 || !is_ours(&about)) continue;
      if (!zombies && (about.state == 'Z' || about.state == 'X')) continue;
      found++;
      if (one != NULL) one(pid, &about);
    }
  }
  close(fd);
  return found;
}

bool lg_others_any(void) {
  return at_once() ? kill(-1, 0) == 0 || errno != ESRCH : each(NULL, true) > 0;
}

void lg_others_each(void (*one)(pid_t, const struct lg_stat *)) { each(one, false); }

static int signal_now;
static void signal_one(pid_t pid, const struct lg_stat *about) {
  lg_signal_exact(pid, about->start_ticks, signal_now); /* best effort: it may have ended */
}

void lg_others_signal(int sig) {
  if (at_once()) {
    kill(-1, sig);
    return;
  }
  signal_now = sig;
  /* KILL is repeated for those born meanwhile; anything else is said once */
  for (int round = 0; round < 5; round++)
    if (each(signal_one, false) == 0 || sig != SIGKILL) return;
}
