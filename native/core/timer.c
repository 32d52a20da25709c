/*
 * Two deadlines that hold although the upper layer hangs: the grace time after
 * a forwarded TERM, and the time the upper layer has to leave after COMMAND's
 * end. Kernel timers that send SIGCHLD, not threads: no stack, no wake-up while
 * idle, and the handler is there already. A SIGCHLD that was pending swallows
 * nothing, since every run of the handler looks at the clock.
 *
 * Raw system calls: glibc moved timer_create between libraries in 2.34, and the
 * built file shall load on older ones too.
 */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* Not by the vDSO: it would be the one page of it that a small init keeps resident. */
int64_t lg_now(int clock) {
  struct timespec t;
  if (syscall(SYS_clock_gettime, clock, &t) != 0) return 0;
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int create(int *id) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCHLD};
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, id) == 0) return 0;
  *id = -1;
  return -errno;
}

int lg_timers_create(void) {
  int error = create(&lg.grace_timer);
  return error != 0 ? error : create(&lg.exit_timer);
}

void lg_timers_delete(void) {
  if (lg.grace_timer >= 0) syscall(SYS_timer_delete, lg.grace_timer);
  if (lg.exit_timer >= 0) syscall(SYS_timer_delete, lg.exit_timer);
  lg.grace_timer = lg.exit_timer = -1;
  atomic_store(&lg.grace_at, 0);
  atomic_store(&lg.exit_at, 0);
}

int lg_timer_set(int timer, _Atomic int64_t *at, int64_t in_ns) {
  struct itimerspec when = {.it_value = {.tv_sec = in_ns / 1000000000,
                                         .tv_nsec = in_ns % 1000000000}};
  atomic_store(at, in_ns > 0 ? lg_now(CLOCK_MONOTONIC) + in_ns : 0);
  if (timer < 0) return 0;
  return syscall(SYS_timer_settime, timer, 0, &when, NULL) == 0 ? 0 : -errno;
}

static bool due(_Atomic int64_t *at) {
  int64_t t = atomic_load(at);
  if (t == 0 || lg_now(CLOCK_MONOTONIC) < t) return false;
  return atomic_compare_exchange_strong(at, &t, 0); /* one thread acts on it */
}

void lg_check_deadlines(void) {
  if (due(&lg.grace_at)) {
    struct lg_event event = {.kind = LG_EV_GRACE_OVER,
                             .pid = atomic_load(&lg.child),
                             .sent = SIGKILL,
                             .time_ns = (uint64_t)lg_now(CLOCK_BOOTTIME)};
    if (!atomic_load(&lg.ended)) event.error = lg_kill_child();
    lg_push(&event); /* what else remains is the upper layer's to kill */
    lg_wake();
  }
  if (due(&lg.exit_at) && atomic_load(&lg.ended)) {
    static const char text[] =
        "lychgate: the policy code did not answer after the command's end; leaving without it\n";
    /* A pipe that nobody reads may be just what the upper layer hangs on. */
    struct pollfd standard_error = {.fd = 2, .events = POLLOUT};
    if (poll(&standard_error, 1, 0) == 1 && write(2, text, sizeof text - 1) < 0) {
      /* nobody to tell */
    }
    lg_finish(lg_exit_code(atomic_load(&lg.status)));
  }
}
