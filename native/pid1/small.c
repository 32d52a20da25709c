/*
 * In place of musl's own: of each the little that is needed here. musl's bring locks
 * and fallbacks with them, and every page of the program stays resident.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Commands that take a number, which are all that we use. */
int fcntl(int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  long value = va_arg(args, long);
  va_end(args);
  return (int)syscall(SYS_fcntl, fd, command, value);
}

/* The kernel's struct sigaction, with the member of SA_RESTORER, which x86_64 and aarch64
 * both have; without a handler there is nothing to restore from. */
struct disposition {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

/* For SIG_DFL and SIG_IGN alone: this program has no handlers. */
int sigaction(int sig, const struct sigaction *restrict new, struct sigaction *restrict old) {
  struct disposition set = {0}, was = {0};
  if (new != NULL) set.handler = new->sa_handler;
  long result = syscall(SYS_rt_sigaction, sig, new != NULL ? &set : NULL, &was, sizeof was.mask);
  if (old != NULL) old->sa_handler = was.handler;
  return (int)result;
}
