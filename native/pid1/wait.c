/*
 * Signals without handlers: all are blocked, always, and taken one by one. So nothing
 * here is ever interrupted, no stack frame of a handler is ever written, and a signal
 * that comes at the wrong moment simply waits.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"

static bool child_was_ignored;

void lg_wait_begin(void) {
  lg_reset(NULL, NULL);
  lg.armed = true;
  /* With SIGCHLD ignored the kernel keeps no status (wait(2)). COMMAND gets it back. */
  struct sigaction was, by_default = {.sa_handler = SIG_DFL};
  if (sigaction(SIGCHLD, &by_default, &was) == 0) child_was_ignored = was.sa_handler == SIG_IGN;
}

/* COMMAND starts with what we were started with. */
void lg_way_of_child(void) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (child_was_ignored) sigaction(SIGCHLD, &ignore, NULL);
  lg_mask(SIG_SETMASK, lg_inherited_mask);
}

void lg_way_started(void) {} /* what came before still waits in the kernel */

static int take(uint64_t set, siginfo_t *info, const struct timespec *time) {
  return (int)syscall(SYS_rt_sigtimedwait, &set, info, time, sizeof set);
}

void lg_way_let_in(void) {
  const struct timespec millisecond = {.tv_nsec = 1000000};
  siginfo_t info;
  if (take(LG_BIT(SIGCONT), &info, &millisecond) == SIGCONT) lg_deliver(SIGCONT, &info);
}

static int64_t earlier(int64_t a, int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

void lg_wait_turn(int64_t until) {
  until = earlier(until, atomic_load(&lg.grace_at));
  until = earlier(until, lg_policy_due());
  struct timespec left = {0}, *timeout = NULL;
  if (until != 0) {
    int64_t ns = until - lg_now(CLOCK_MONOTONIC);
    if (ns > 0) left = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    timeout = &left;
  }
  siginfo_t info;
  int sig = take(LG_ALL_SIGNALS, &info, timeout);
  if (sig == SIGCHLD) {
    lg_on_child(sig, &info, NULL);
  } else {
    if (sig > 0 && lg_forwardable(sig) && !lg_about_ourselves(sig, &info)) lg_deliver(sig, &info);
    if (until != 0) lg_check_deadlines();
  }
  int stopped = lg_events_stopped();
  if (stopped != 0 && atomic_load(&lg.stopped) && !lg_suspend(stopped) && stopped != SIGSTOP) {
    struct lg_event event = {
        .kind = LG_EV_STUCK_STOPPED, .pid = atomic_load(&lg.child), .signal = stopped};
    lg_push(&event);
  }
  lg_policy_see_to();
}
