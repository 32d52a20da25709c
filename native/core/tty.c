/*
 * The terminal: COMMAND gets the foreground if we had it, and it comes back to
 * us when COMMAND stops or ends. Every call here can be made in a handler.
 * With SIGTTOU blocked tcsetpgrp(3) works from the background too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

int lg_above_standard(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return high;
}

void lg_tty_open(void) {
  lg.tty = lg_above_standard(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (lg.tty >= 0) return;
  /* No /dev/tty in this root: a standard descriptor may be the terminal. */
  for (int fd = 0; fd <= 2; fd++) {
    if (tcgetpgrp(fd) >= 0) {
      lg.tty = fcntl(fd, F_DUPFD_CLOEXEC, 3);
      return;
    }
  }
}

/* Is our group in the foreground? In a new PID namespace the group of the
 * outside reads as 0, here and there alike. */
bool lg_tty_ours(void) { return lg.tty >= 0 && tcgetpgrp(lg.tty) == getpgrp(); }

static void set_foreground(pid_t pgid) {
  uint64_t before = lg_mask(SIG_BLOCK, LG_BIT(SIGTTOU));
  tcsetpgrp(lg.tty, pgid); /* best effort: ENOTTY and EPERM after a hang-up */
  lg_mask(SIG_SETMASK, before);
}

void lg_tty_give(pid_t pgid) {
  set_foreground(pgid);
  lg.gave_terminal = true;
}

/* Only from COMMAND's group, or from a group that is gone: a terminal that
 * somebody else was given meanwhile stays his. */
void lg_tty_take_back(void) {
  if (lg.tty < 0 || !lg.gave_terminal) return;
  pid_t owner = tcgetpgrp(lg.tty);
  if (owner == atomic_load(&lg.child) || (owner > 0 && kill(-owner, 0) != 0 && errno == ESRCH))
    set_foreground(getpgrp());
  lg.gave_terminal = false;
}

bool lg_suspend(int sig) {
  /* A session leader has no shell above it, and PID 1 cannot be stopped. */
  if (lg.tty < 0 || getpid() == 1 || getsid(0) == getpid()) return false;
  bool had = lg.gave_terminal;
  lg_tty_take_back();
  atomic_store(&lg.suspended, true);

  /* Default action for the whole job: kill(0) as the terminal would, so that
   * the rest of a pipeline stops too. The kernel itself refuses when the group
   * is orphaned (setpgid(2), NOTES). STOP has no such check: TSTP instead. */
  if (sig == SIGSTOP) sig = SIGTSTP;
  struct sigaction by_default = {.sa_handler = SIG_DFL}, ours;
  if (sigaction(sig, &by_default, &ours) != 0) return false;
  uint64_t before = lg_mask(SIG_UNBLOCK, LG_BIT(sig));
  kill(0, sig);

  /* Stopped and continued: then SIGCONT's delivery clears the mark, on whatever
   * thread and a little later than this one runs on. Still set after 100 looks:
   * the kernel refused. Looks, not time, for the clock runs while we stand. */
  for (int look = 0; look < 100 && atomic_load(&lg.suspended); look++) lg_way_let_in();
  lg_mask(SIG_SETMASK, before);
  sigaction(sig, &ours, NULL);
  if (!atomic_exchange(&lg.suspended, false)) return true;
  if (had && lg_tty_ours()) lg_tty_give(atomic_load(&lg.child));
  return false;
}
