/*
 * Reaping, in the SIGCHLD handler itself: waitpid(2) is async-signal-safe, and
 * so it goes on while the upper layer computes, collects garbage or hangs.
 * Standalone there is no handler, and the loop calls lg_on_child (native/pid1).
 *
 * The handler can run on any thread, and on several at once. One of them
 * reaps; the others only leave word that there is more to do. So the spawner
 * can hold the role while it learns COMMAND's pid, and events come in order.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

static void main_changed(pid_t pid, int status) {
  struct lg_event event = {
      .pid = pid, .status = status, .time_ns = (uint64_t)lg_now(CLOCK_BOOTTIME)};
  if (WIFSTOPPED(status)) {
    event.kind = LG_EV_MAIN_STOPPED;
    event.signal = WSTOPSIG(status);
    atomic_store(&lg.stopped, true);
  } else if (WIFCONTINUED(status)) {
    event.kind = LG_EV_MAIN_CONTINUED;
    atomic_store(&lg.stopped, false);
  } else {
    event.kind = LG_EV_MAIN_ENDED;
    atomic_store(&lg.status, status);
    atomic_store(&lg.ended, true); /* the state; the event may be dropped */
    if (lg.config.exit_deadline_ns > 0)
      lg_timer_set(lg.exit_timer, &lg.exit_at, lg.config.exit_deadline_ns);
  }
  lg_push(&event);
  lg_wake();
}

/* COMMAND, and not an orphan that was given its number after it had ended. */
static bool is_main(pid_t pid) { return pid == atomic_load(&lg.child) && !atomic_load(&lg.ended); }

/* The next change of a child, 0 when none is due. With a description wanted,
 * look first (afterwards /proc knows nothing of it) and then wait for that very
 * pid: another one may have become due in between. */
static pid_t next_change(int *status, struct lg_stat *about) {
  if (!lg.config.report_reaped) return waitpid(-1, status, WNOHANG | WUNTRACED | WCONTINUED);
  siginfo_t info;
  info.si_pid = 0;
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    if (!is_main(info.si_pid)) lg_read_stat(info.si_pid, about);
    pid_t pid = waitpid(info.si_pid, status, WNOHANG);
    if (pid > 0) return pid; /* else: other code of this process took it first */
    memset(about, 0, sizeof *about);
    return waitpid(-1, status, WNOHANG | WUNTRACED | WCONTINUED);
  }
  info.si_pid = 0;
  if (waitid(P_ALL, 0, &info, WSTOPPED | WCONTINUED | WNOHANG) != 0 || info.si_pid == 0) return 0;
  *status = info.si_code == CLD_CONTINUED ? 0xffff : info.si_status << 8 | 0x7f;
  return info.si_pid;
}

static void reap_all(void) {
  bool any = false;
  for (;;) {
    struct lg_stat about = {0};
    int status;
    pid_t pid = next_change(&status, &about);
    if (pid <= 0) break; /* 0: none is due; ECHILD: there is none */
    if (is_main(pid)) {
      main_changed(pid, status);
      continue;
    }
    if (WIFSTOPPED(status) || WIFCONTINUED(status)) continue;
    if (pid == atomic_load(&lg.helper)) {
      atomic_store(&lg.helper, 0);
      struct lg_event event = {.kind = LG_EV_HELPER_ENDED, .pid = pid, .status = status};
      lg_push(&event);
      lg_wake();
      continue;
    }
    atomic_fetch_add_explicit(&lg.reaped, 1, memory_order_relaxed);
    any = true;
    if (lg.config.report_reaped) {
      struct lg_event event = {.kind = LG_EV_REAPED,
                               .pid = pid,
                               .status = status,
                               .time_ns = (uint64_t)lg_now(CLOCK_BOOTTIME),
                               .start_ticks = about.start_ticks};
      memcpy(event.comm, about.comm, sizeof event.comm);
      lg_push(&event);
    }
  }
  if (any && (lg.config.report_reaped || atomic_load(&lg.wake_on_reap))) lg_wake();
}

static void work(unsigned seen) {
  for (;;) {
    reap_all();
    unsigned now = atomic_fetch_sub(&lg.asked, seen);
    if (now == seen) return;
    seen = now - seen;
  }
}

void lg_reap_hold(void) {
  /* All signals are blocked here, so whoever has the role is another thread
   * inside the handler: it ends soon. */
  unsigned none = 0;
  while (!atomic_compare_exchange_weak(&lg.asked, &none, 1)) {
    none = 0;
    sched_yield();
  }
}

void lg_reap_release(void) { work(1); }

void lg_on_child(int sig, siginfo_t *info, void *context) {
  (void)sig;
  (void)info;
  (void)context;
  int saved = errno;
  if (atomic_fetch_add(&lg.asked, 1) == 0) work(1);
  lg_check_deadlines();
  errno = saved;
}
