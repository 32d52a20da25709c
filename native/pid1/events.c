/*
 * What happens, and who tells it: the policy process, which knows JSON, when the plan
 * wants that; else we, in the words of src/init/narrate.ts. The core's events come
 * here at once (lg_push), for nobody else runs in this process.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"

static const struct lg_plan *plan;
static const char *name;
static bool draining, kill_all;
static int stopped_by;

void lg_events_begin(const struct lg_plan *of, const char *command) {
  plan = of;
  name = command;
}

void lg_events_draining(void) { draining = true; }
bool lg_events_kill_all(void) { return kill_all; }

int lg_events_stopped(void) {
  int sig = stopped_by;
  stopped_by = 0;
  return sig;
}

/* There is no ring that could be full. */
uint64_t lg_dropped_events(void) { return 0; }

static uint64_t age_of(const struct lg_event *e) {
  /* USER_HZ is 100 on every port: starttime is in hundredths of a second */
  uint64_t now = e->time_ns / 10000000;
  if (e->start_ticks == 0) return UINT64_MAX;
  return now > e->start_ticks ? now - e->start_ticks : 0;
}

static void say_forwarded(const struct lg_event *e) {
  int as = e->sent != e->signal ? e->sent : 0;
  if (e->error != 0) {
    /* ESRCH: it ended in between; nothing is wrong with that */
    lg_say(e->error == ESRCH ? LG_INFO : LG_WARN, "could not forward %S%B to pid %d (errno %d%R)",
           e->signal, as, e->pid, e->error,
           e->error == EPERM ? ", EPERM: it runs as another user" : "");
  } else {
    lg_say(LG_INFO, "forwarded %S%B to %Rpid %d", e->signal, as,
           (plan->flags & LG_PLAN_GROUP) != 0 ? "the group of " : "", e->pid);
  }
}

static void say(const struct lg_event *e) {
  char comm[5 * LG_COMM];
  switch (e->kind) {
    case LG_EV_REAPED:
      lg_printable(comm, sizeof comm, e->comm, LG_COMM);
      lg_say((plan->flags & LG_PLAN_WARN_REAPED) != 0 ? LG_WARN : LG_DEBUG,
             "reaped orphan %d (%R), age %A, %W", e->pid, comm[0] != '\0' ? comm : "?", age_of(e),
             e->status);
      break;
    case LG_EV_MAIN_STOPPED:
      lg_say(LG_INFO, "pid %d was stopped by %S", e->pid, e->signal);
      break;
    case LG_EV_MAIN_CONTINUED:
      lg_say(LG_INFO, "pid %d goes on", e->pid);
      break;
    case LG_EV_FORWARDED:
      say_forwarded(e);
      break;
    case LG_EV_DROPPED:
      lg_say(LG_INFO, "dropped %S, as --rewrite asks", e->signal);
      break;
    case LG_EV_GRACE_OVER:
      lg_say(LG_WARN, "the grace time of %T s is over: killing what remains", plan->grace_ns);
      break;
    case LG_EV_STARTED:
      lg_say(LG_INFO, "started %s as pid %d%R", name, e->pid,
             e->sent != 0 ? ", in the foreground of the terminal" : "");
      break;
    case LG_EV_ROLE:
      if (e->sent != 0) lg_say(LG_INFO, "not PID 1 but %d: adopting orphans as a subreaper", e->pid);
      else
        lg_say(LG_WARN,
               "not PID 1 but %d, and no subreaper: orphans go past us. Leave --no-subreaper out, "
               "or run as the first process of the container",
               e->pid);
      break;
    case LG_EV_STUCK_STOPPED:
      lg_say(LG_WARN,
             "pid %d was stopped by %S and no shell above can continue it; send us SIGCONT for that "
             "(docker kill -s CONT CONTAINER)",
             e->pid, e->signal);
      break;
    case LG_EV_DRAIN:
      if (e->sent > 0) lg_say(LG_INFO, "%s has ended; asking %d other processes to end", name, e->sent);
      else lg_say(LG_INFO, "%s has ended; asking the other processes to end", name);
      break;
    case LG_EV_DRAIN_STUCK:
      lg_say(LG_WARN, "some processes do not end even after SIGKILL (state D?); leaving");
      break;
    case LG_EV_DRAIN_BLIND:
      lg_say(LG_WARN, "--drain needs /proc when not PID 1; the other processes stay");
      break;
    default: break;
  }
}

static bool elsewhere(void) { return (plan->flags & LG_PLAN_EVENTS) != 0; }

static void tell(struct lg_event *event) {
  if (event->time_ns == 0) event->time_ns = (uint64_t)lg_now(CLOCK_BOOTTIME);
  if (!elsewhere() || !lg_policy_tell(event)) say(event);
}

void lg_push(const struct lg_event *event) {
  if (plan == NULL && event->kind != LG_EV_HELPER_ENDED) return; /* nothing was asked yet */
  switch (event->kind) {
    case LG_EV_MAIN_STOPPED: stopped_by = event->signal; break;
    case LG_EV_LATE:
      if (draining && event->sent > 0) lg_others_signal(event->sent);
      return;
    case LG_EV_GRACE_OVER: kill_all = true; break;
    case LG_EV_MAIN_ENDED: return; /* lg_tell_ended says it when all is done */
    case LG_EV_HELPER_ENDED: lg_policy_ended(event->status); return;
    default: break;
  }
  struct lg_event copy = *event;
  tell(&copy);
  if (event->kind == LG_EV_GRACE_OVER) lg_others_signal(SIGKILL);
}

void lg_tell(uint32_t kind, int32_t number) {
  struct lg_event event = {.kind = kind, .pid = getpid(), .sent = number};
  tell(&event);
}

void lg_tell_spawned(const struct lg_spawned *made) {
  struct lg_event event = {.kind = LG_EV_STARTED, .pid = made->pid, .sent = made->foreground};
  if (made->step == NULL) {
    tell(&event);
  } else if (!elsewhere()) {
    lg_explain_spawn(name, made, plan->nofile);
  } else {
    event.kind = LG_EV_NOT_STARTED;
    event.error = made->error;
    memcpy(event.comm, made->step, strnlen(made->step, LG_COMM));
    tell(&event);
  }
}

/* Of many the first, as the line has room. */
static char killed[1024];
static size_t killed_used;
static int killed_count, killed_listed;

void lg_tell_killed_one(pid_t pid, const struct lg_stat *about) {
  killed_count++;
  if (elsewhere()) {
    struct lg_event event = {.kind = LG_EV_KILLED_ONE, .pid = pid};
    memcpy(event.comm, about->comm, sizeof event.comm);
    tell(&event);
    return;
  }
  char comm[5 * LG_COMM];
  size_t length = lg_printable(comm, sizeof comm, about->comm, LG_COMM);
  if (killed_listed == 20 || killed_used + length + 20 > sizeof killed) return;
  char *out = killed + killed_used;
  if (killed_listed++ > 0) out = mempcpy(out, ", ", 2);
  out = lg_digits(out, (unsigned)pid);
  out = mempcpy(out, " (", 2);
  out = mempcpy(out, comm, length);
  *out++ = ')';
  *out = '\0';
  killed_used = (size_t)(out - killed);
}

void lg_tell_killed(void) {
  if (killed_count == 0) return;
  if (elsewhere()) {
    lg_tell(LG_EV_KILLED, killed_count);
  } else if (killed_count == killed_listed) {
    lg_say(LG_WARN, "had to kill %d processes that did not end: %R", killed_count, killed);
  } else {
    lg_say(LG_WARN, "had to kill %d processes that did not end: %R and %d more", killed_count, killed,
           killed_count - killed_listed);
  }
}

void lg_tell_ended(int code) {
  struct lg_stats_out stats;
  lg_stats(&stats);
  if (!elsewhere()) {
    lg_say(LG_INFO, "pid %d ended: %W; exiting with %d (%u orphans reaped, %u signals forwarded)",
           stats.pid, stats.status, code, stats.reaped, stats.forwarded);
    return;
  }
  struct lg_event event = {.kind = LG_EV_ENDED,
                           .pid = stats.pid,
                           .status = stats.status,
                           .sent = code,
                           .start_ticks = stats.reaped,
                           .time_ns = stats.forwarded};
  lg_policy_farewell(&event);
}
