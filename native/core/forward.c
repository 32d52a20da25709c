/*
 * Forwarding, right where a signal is received: no queue between the sender and
 * COMMAND that a busy upper layer could hold up.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

/* Not forwarded: what cannot be caught, what is about our own children, and
 * the synchronous faults, which the kernel raises for an instruction of ours. */
bool lg_forwardable(int sig) {
  switch (sig) {
    case SIGKILL: case SIGSTOP: case SIGCHLD:
    case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP: case SIGSYS:
      return false;
    default:
      /* 32 and 33 belong to the C library's threads. */
      return sig >= 1 && sig < LG_NSIG && sig != 32 && sig != 33;
  }
}

/* Some signals reach us because of what we did: abort(), a write to a closed
 * pipe, our own CPU or file-size limit. They are nobody's message to COMMAND. */
bool lg_about_ourselves(int sig, const siginfo_t *info) {
  switch (sig) {
    case SIGABRT: case SIGPIPE: case SIGXFSZ:
      return info->si_pid == getpid() && info->si_code <= 0;
    case SIGXCPU:
      return info->si_code == SI_KERNEL;
    default:
      return false;
  }
}

static bool asks_to_end(int sig) { return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT; }

static int send_single(int sig, const siginfo_t *from) {
  pid_t child = atomic_load(&lg.child);
  int pidfd = atomic_load(&lg.pidfd);
  /* A value sent with sigqueue(3) travels on: rt_sigqueueinfo(2) lets us repeat
   * a siginfo whose si_code is negative. */
  siginfo_t copy;
  siginfo_t *info = NULL;
  if (from != NULL && from->si_code == SI_QUEUE) {
    copy = *from;
    copy.si_signo = sig;
    info = &copy;
  }
  if (pidfd >= 0) {
    if (syscall(SYS_pidfd_send_signal, pidfd, sig, info, 0) == 0) return 0;
    if (errno != ENOSYS && errno != EPERM) return errno; /* else: an old kernel or
                                                            a seccomp profile */
  }
  return kill(child, sig) == 0 ? 0 : errno;
}

static int send_to_child(int sig, const siginfo_t *from) {
  if (!lg.config.group) return send_single(sig, from);
  pid_t child = atomic_load(&lg.child);
  /* Before its exec we may set its group as well as it can (setpgid(2)): so the
   * group exists whenever a signal comes. Afterwards: EACCES, ignored. */
  if (!atomic_load(&lg.exec_done)) setpgid(child, child);
  return kill(-child, sig) == 0 ? 0 : errno;
}

/* KILL for COMMAND and its group, whatever --group says: the group may have been
 * left by the leader, or the leader by the group. Returns an errno. */
int lg_kill_child(void) {
  int group = kill(-atomic_load(&lg.child), SIGKILL) == 0 ? 0 : errno;
  int single = send_single(SIGKILL, NULL);
  return single == 0 ? 0 : group;
}

void lg_deliver(int sig, const siginfo_t *from) {
  int sent = lg.config.signal_map[sig];
  pid_t child = atomic_load(&lg.child);
  uint32_t kind = LG_EV_FORWARDED;
  int error = 0;
  if (atomic_load(&lg.ended)) {
    kind = LG_EV_LATE;
  } else if (sent == 0) {
    kind = LG_EV_DROPPED;
  } else {
    if (sig == SIGCONT && atomic_exchange(&lg.suspended, false)) {
      /* fg or bg of the shell above: the job is COMMAND's whole group. */
      if (lg_tty_ours()) lg_tty_give(child);
      kill(-child, SIGCONT);
    }
    error = send_to_child(sent, from); /* first of all: somebody waits for it */
    /* A stopped process dies of TERM only after it was continued. */
    if (sent == SIGTERM && atomic_load(&lg.stopped)) send_to_child(SIGCONT, NULL);
    if (error == 0) {
      atomic_fetch_add_explicit(&lg.forwarded, 1, memory_order_relaxed);
      if (lg.config.grace_ns > 0 && (asks_to_end(sig) || asks_to_end(sent)) &&
          atomic_load(&lg.grace_at) == 0)
        lg_timer_set(lg.grace_timer, &lg.grace_at, lg.config.grace_ns);
    }
  }
  if (!lg.config.report_forwarded && kind != LG_EV_LATE && error == 0) return;
  struct lg_event event = {.kind = kind,
                           .pid = child,
                           .signal = sig,
                           .sent = sent,
                           .error = error,
                           .sender = from->si_code <= 0 ? from->si_pid : 0,
                           .time_ns = (uint64_t)lg_now(CLOCK_BOOTTIME)};
  lg_push(&event);
  lg_wake();
}
