/* /proc/PID/stat without stdio: the reap handler reads it too. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

char *lg_digits(char *out, unsigned value) {
  char digits[12];
  int n = 0;
  for (; n == 0 || value != 0; value /= 10) digits[n++] = (char)('0' + value % 10);
  while (n > 0) *out++ = digits[--n];
  return out;
}

static void stat_path(char *out, pid_t pid) {
  memcpy(out, "/proc/", 6);
  memcpy(lg_digits(out + 6, (unsigned)pid), "/stat", 6);
}

int lg_read_stat(pid_t pid, struct lg_stat *out) {
  char path[32], text[512];
  memset(out, 0, sizeof *out);
  stat_path(path, pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ssize_t n = read(fd, text, sizeof text - 1);
  int error = n < 0 ? -errno : 0;
  close(fd);
  if (error != 0) return error;
  text[n] = '\0';

  /* "pid (comm) state ppid ...": the name may hold ')' and spaces, so it ends
   * at the last ')' (proc(5)). starttime is field 22, state is field 3. */
  char *open_paren = strchr(text, '('), *close_paren = strrchr(text, ')');
  if (open_paren == NULL || close_paren == NULL || close_paren < open_paren) return -EINVAL;
  size_t length = (size_t)(close_paren - open_paren - 1);
  memcpy(out->comm, open_paren + 1, length < LG_COMM ? length : LG_COMM);
  char *p = close_paren + 1;
  for (int field = 3; field <= 22; field++) {
    if (*p != ' ') return -EINVAL;
    p++;
    if (field == 3) out->state = *p;
    if (field == 4)
      for (char *q = p; *q >= '0' && *q <= '9'; q++) out->ppid = out->ppid * 10 + (*q - '0');
    if (field == 22) break;
    while (*p != ' ' && *p != '\0') p++;
  }
  for (; *p >= '0' && *p <= '9'; p++) out->start_ticks = out->start_ticks * 10 + (uint64_t)(*p - '0');
  return 0;
}

int lg_signal_exact(pid_t pid, uint64_t start_ticks, int sig) {
  if (pid <= 1 || pid == getpid()) return -EPERM; /* 0, -1 and groups never */
  /* First the handle, then the comparison: what the handle names cannot change
   * between the two any more. */
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0 && errno != ENOSYS && errno != EPERM) return -errno;
  struct lg_stat now;
  int error = lg_read_stat(pid, &now);
  if (error == -ENOENT || (error == 0 && now.start_ticks != start_ticks)) error = -ESRCH;
  if (error == 0) {
    if (pidfd >= 0) {
      if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) != 0) error = -errno;
    } else if (kill(pid, sig) != 0) {
      error = -errno;
    }
  }
  if (pidfd >= 0) close(pidfd);
  return error;
}
