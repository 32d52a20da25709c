/* The state, and what there is to say of it. */
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

uint64_t lg_mask(int how, uint64_t set) {
  uint64_t before = 0;
  syscall(SYS_rt_sigprocmask, how, &set, &before, sizeof set);
  return before;
}

void lg_reset(lg_wake_fn wake, void *arg) {
  lg.wake = wake;
  lg.wake_arg = arg;
  atomic_store(&lg.child, 0);
  atomic_store(&lg.helper, 0);
  atomic_store(&lg.ended, false);
  atomic_store(&lg.stopped, false);
  atomic_store(&lg.exec_done, false);
  atomic_store(&lg.wake_on_reap, false);
  atomic_store(&lg.reaped, 0);
  atomic_store(&lg.forwarded, 0);
  atomic_store(&lg.dropped_signals, 0);
  memset(&lg.config, 0, sizeof lg.config);
  lg.configured = lg.spawned = false;
  atomic_store(&lg.gave_terminal, false);
}

int lg_configure(const struct lg_config *config, const char **failed) {
  *failed = NULL;
  if (!lg.armed || lg.spawned) return -EINVAL;
  lg.config = *config;
  if (config->subreaper) {
    int was = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &was, 0L, 0L, 0L);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0L, 0L, 0L) != 0) {
      *failed = "prctl(PR_SET_CHILD_SUBREAPER)";
      return -errno;
    }
    if (was == 0) lg.made_subreaper = true; /* stays so through a second call */
  }
  if (config->parent_death_signal != 0) {
    int was = 0;
    prctl(PR_GET_PDEATHSIG, &was, 0L, 0L, 0L);
    if (prctl(PR_SET_PDEATHSIG, config->parent_death_signal, 0L, 0L, 0L) != 0) {
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
  /* First: whoever sees the end sees all that was reaped before it. */
  out->ended = atomic_load(&lg.ended);
  out->reaped = atomic_load(&lg.reaped);
  out->forwarded = atomic_load(&lg.forwarded);
  out->dropped_events = lg_dropped_events();
  out->dropped_signals = atomic_load(&lg.dropped_signals);
  out->pid = atomic_load(&lg.child);
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

void lg_finish(int code) {
  lg_tty_take_back();
  _exit(code);
}
