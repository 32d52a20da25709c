/* Taking the process over, and giving it back. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

struct lg_state lg = {.tty = -1, .pidfd = -1, .saved_death_signal = -1, .grace_timer = -1, .exit_timer = -1};

void lg_wake(void) {
  if (lg.wake != NULL) lg.wake(lg.wake_arg);
}

static int take(int sig) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sig == SIGCHLD) {
    /* Not blocked during its own run: a nested one only leaves word and
     * returns (reap.c). Blocked here it would wake another thread for that. */
    action.sa_flags |= SA_NODEFER;
    action.sa_sigaction = lg_on_child;
    sigemptyset(&action.sa_mask);
  } else {
    action.sa_sigaction = lg_on_signal;
    sigfillset(&action.sa_mask);
  }
  if (sigaction(sig, &action, NULL) != 0) {
    /* Emulators (valgrind, qemu-user) keep a real-time signal to themselves. */
    return errno == EINVAL && sig >= 34 ? 0 : -errno;
  }
  lg.replaced[sig] = true;
  return 0;
}

int lg_arm(lg_wake_fn wake, void *arg, uint64_t runtime_ignored) {
  if (lg.armed) return -EBUSY;
  /* The kernel prefers the main thread for a signal of the process; only there
   * do we control the mask. */
  if ((pid_t)syscall(SYS_gettid) != getpid()) return -EPERM;
  lg_ring_reset();
  lg.wake = wake;
  lg.wake_arg = arg;
  lg.runtime_ignored = runtime_ignored;
  atomic_store(&lg.child, 0);
  atomic_store(&lg.ended, false);
  atomic_store(&lg.stopped, false);
  atomic_store(&lg.exec_done, false);
  atomic_store(&lg.wake_on_reap, false);
  atomic_store(&lg.reaped, 0);
  atomic_store(&lg.forwarded, 0);
  atomic_store(&lg.dropped_signals, 0);
  atomic_store(&lg.early_count, 0);
  memset(&lg.config, 0, sizeof lg.config);
  memset(lg.early, 0, sizeof lg.early);
  lg.configured = lg.spawned = false;
  atomic_store(&lg.gave_terminal, false);

  int error = lg_timers_create();
  if (error != 0) {
    lg_timers_delete();
    return error;
  }
  /* TTIN and TTOU stay blocked in this thread: our own writes to a terminal in
   * the background then go through, and one that was sent to us is handled by
   * another thread. Everything else is let in (a runtime may block USR1). */
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGTTIN);
  sigaddset(&ours, SIGTTOU);
  sigprocmask(SIG_SETMASK, &ours, &lg.saved_mask);
  lg.armed = true;
  /* All old ones are read before the first handler runs. */
  for (int sig = 1; sig < LG_NSIG; sig++) {
    lg.replaced[sig] = false;
    memset(&lg.saved[sig], 0, sizeof lg.saved[sig]);
    sigaction(sig, NULL, &lg.saved[sig]);
  }
  for (int sig = 1; sig < LG_NSIG && error == 0; sig++)
    if (sig == SIGCHLD || lg_forwardable(sig)) error = take(sig);
  if (error != 0) lg_disarm();
  return error;
}

int lg_configure(const struct lg_config *config, const char **failed) {
  *failed = NULL;
  if (!lg.armed || lg.spawned) return -EINVAL;
  lg.config = *config;
  if (config->subreaper) {
    int was = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &was);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
      *failed = "prctl(PR_SET_CHILD_SUBREAPER)";
      return -errno;
    }
    if (was == 0) lg.made_subreaper = true; /* stays so through a second call */
  }
  if (config->parent_death_signal != 0) {
    int was = 0;
    prctl(PR_GET_PDEATHSIG, &was);
    if (prctl(PR_SET_PDEATHSIG, config->parent_death_signal) != 0) {
      *failed = "prctl(PR_SET_PDEATHSIG)";
      return -errno;
    }
    if (lg.saved_death_signal < 0) lg.saved_death_signal = was;
  }
  if (lg.tty < 0) lg_tty_open();
  lg.configured = true;
  return 0;
}

void lg_stats(struct lg_stats_out *out) {
  out->reaped = atomic_load(&lg.reaped);
  out->forwarded = atomic_load(&lg.forwarded);
  out->dropped_events = lg_ring_dropped();
  out->dropped_signals = atomic_load(&lg.dropped_signals);
  out->pid = atomic_load(&lg.child);
  out->ended = atomic_load(&lg.ended);
  out->status = atomic_load(&lg.status);
  out->stopped = atomic_load(&lg.stopped);
}

void lg_wake_on_reap(bool on) { atomic_store(&lg.wake_on_reap, on); }

int lg_set_exit_deadline(int64_t ns) {
  if (!lg.armed) return -EINVAL;
  lg.config.exit_deadline_ns = ns;
  return atomic_load(&lg.ended) ? lg_timer_set(lg.exit_timer, &lg.exit_at, ns) : 0;
}

int lg_exit_code(int status) {
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return lg.config.exit_map[code & 0xff];
}

int lg_signal_all(int sig) {
  if (getpid() != 1) return -EPERM;
  return kill(-1, sig) == 0 ? 0 : -errno;
}

void lg_disarm(void) {
  if (!lg.armed) return;
  lg_timers_delete();
  for (int sig = 1; sig < LG_NSIG; sig++)
    if (lg.replaced[sig]) sigaction(sig, &lg.saved[sig], NULL);
  sigprocmask(SIG_SETMASK, &lg.saved_mask, NULL);
  lg_tty_take_back();
  if (lg.made_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 0);
  lg.made_subreaper = false;
  if (lg.saved_death_signal >= 0) prctl(PR_SET_PDEATHSIG, lg.saved_death_signal);
  lg.saved_death_signal = -1;
  int pidfd = atomic_exchange(&lg.pidfd, -1);
  if (pidfd >= 0) close(pidfd);
  if (lg.tty >= 0) close(lg.tty);
  lg.tty = -1;
  lg.wake = NULL;
  lg.armed = lg.configured = false;
}

void lg_finish(int code) {
  lg_tty_take_back();
  _exit(code);
}
