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

void lg_tty_open(void) {
  lg.tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
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
  sigset_t ttou, before;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  sigprocmask(SIG_BLOCK, &ttou, &before);
  tcsetpgrp(lg.tty, pgid); /* best effort: ENOTTY and EPERM after a hang-up */
  sigprocmask(SIG_SETMASK, &before, NULL);
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
  sigset_t only, before;
  sigemptyset(&only);
  sigaddset(&only, sig);
  if (sigaction(sig, &by_default, &ours) != 0) return false;
  sigprocmask(SIG_UNBLOCK, &only, &before);
  kill(0, sig);

  /* Stopped and continued: then SIGCONT's handler clears the mark, on whatever
   * thread and a little later than this one runs on. Still set after 100 looks:
   * the kernel refused. Looks, not time, for the clock runs while we stand. */
  struct timespec millisecond = {.tv_nsec = 1000000};
  for (int look = 0; look < 100 && atomic_load(&lg.suspended); look++) nanosleep(&millisecond, NULL);
  sigprocmask(SIG_SETMASK, &before, NULL);
  sigaction(sig, &ours, NULL);
  if (!atomic_exchange(&lg.suspended, false)) return true;
  if (had && lg_tty_ours()) lg_tty_give(atomic_load(&lg.child));
  return false;
}
