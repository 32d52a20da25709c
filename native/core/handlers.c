/*
 * Signals by handlers: taking the process over beside a runtime (Node), and giving
 * it back. A handler may run on any thread, and several at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* A signal that came before there was anybody to send it to. */
struct early {
  _Atomic int ready; /* 0 empty, 1 filled, 2 taken */
  int sig;
  siginfo_t info;
};

static struct {
  uint64_t runtime_ignored;
  struct sigaction saved[LG_NSIG];
  bool replaced[LG_NSIG];
  uint64_t saved_mask;
  struct early early[LG_EARLY];
  _Atomic unsigned early_count;
} way;

static void deliver_early(void) {
  unsigned n = atomic_load(&way.early_count);
  for (unsigned i = 0; i < n && i < LG_EARLY; i++) {
    int filled = 1; /* whoever takes it delivers it, once */
    if (atomic_compare_exchange_strong(&way.early[i].ready, &filled, 2))
      lg_deliver(way.early[i].sig, &way.early[i].info);
  }
}

static void on_signal(int sig, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  if (lg_about_ourselves(sig, info)) {
    /* abort() puts back the default action itself and raises again */
  } else if (atomic_load(&lg.child) > 0) {
    lg_deliver(sig, info);
  } else {
    unsigned i = atomic_fetch_add(&way.early_count, 1);
    if (i < LG_EARLY) {
      way.early[i].sig = sig;
      way.early[i].info = *info;
      atomic_store(&way.early[i].ready, 1);
    } else {
      atomic_fetch_add(&lg.dropped_signals, 1);
    }
    /* COMMAND may have been born meanwhile, its parent past the flush. */
    if (atomic_load(&lg.child) > 0) deliver_early();
  }
  errno = saved;
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
    action.sa_sigaction = on_signal;
    sigfillset(&action.sa_mask);
  }
  if (sigaction(sig, &action, NULL) != 0) {
    /* Emulators (valgrind, qemu-user) keep a real-time signal to themselves. */
    return errno == EINVAL && sig >= 34 ? 0 : -errno;
  }
  way.replaced[sig] = true;
  return 0;
}

int lg_arm(lg_wake_fn wake, void *arg, uint64_t runtime_ignored) {
  if (lg.armed) return -EBUSY;
  /* The kernel prefers the main thread for a signal of the process; only there
   * do we control the mask. */
  if ((pid_t)syscall(SYS_gettid) != getpid()) return -EPERM;
  lg_ring_reset();
  lg_reset(wake, arg);
  way.runtime_ignored = runtime_ignored;
  atomic_store(&way.early_count, 0);
  memset(way.early, 0, sizeof way.early);

  int error = lg_timers_create();
  if (error != 0) {
    lg_timers_delete();
    return error;
  }
  /* TTIN and TTOU stay blocked in this thread: our own writes to a terminal in
   * the background then go through, and one that was sent to us is handled by
   * another thread. Everything else is let in (a runtime may block USR1). */
  way.saved_mask = lg_mask(SIG_SETMASK, LG_BIT(SIGTTIN) | LG_BIT(SIGTTOU));
  lg.armed = true;
  /* All old ones are read before the first handler runs. */
  for (int sig = 1; sig < LG_NSIG; sig++) {
    way.replaced[sig] = false;
    memset(&way.saved[sig], 0, sizeof way.saved[sig]);
    sigaction(sig, NULL, &way.saved[sig]);
  }
  for (int sig = 1; sig < LG_NSIG && error == 0; sig++)
    if (sig == SIGCHLD || lg_forwardable(sig)) error = take(sig);
  if (error != 0) lg_disarm();
  return error;
}

void lg_way_of_child(void) {
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < LG_NSIG; sig++) {
    if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33) continue;
    /* What our parent ignored stays ignored, as far as the runtime left it to be
     * seen; what the runtime itself set to be ignored does not. */
    bool inherited = way.saved[sig].sa_handler == SIG_IGN &&
                     (way.runtime_ignored >> (sig - 1) & 1) == 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(sig, inherited ? &ignore : &by_default, NULL);
  }
  lg_mask(SIG_SETMASK, 0); /* the inherited one is lost: the runtime emptied it */
}

void lg_way_started(void) { deliver_early(); }

void lg_way_let_in(void) {
  struct timespec millisecond = {.tv_nsec = 1000000};
  nanosleep(&millisecond, NULL);
}

void lg_disarm(void) {
  if (!lg.armed) return;
  lg_timers_delete();
  for (int sig = 1; sig < LG_NSIG; sig++)
    if (way.replaced[sig]) sigaction(sig, &way.saved[sig], NULL);
  lg_mask(SIG_SETMASK, way.saved_mask);
  lg_tty_take_back();
  if (lg.made_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 0, 0L, 0L, 0L);
  lg.made_subreaper = false;
  if (lg.saved_death_signal >= 0) prctl(PR_SET_PDEATHSIG, lg.saved_death_signal, 0L, 0L, 0L);
  lg.saved_death_signal = -1;
  int pidfd = atomic_exchange(&lg.pidfd, -1);
  if (pidfd >= 0) close(pidfd);
  if (lg.tty >= 0) close(lg.tty);
  lg.tty = -1;
  lg.wake = NULL;
  lg.armed = lg.configured = false;
}
