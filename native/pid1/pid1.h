/* What the files of lychgate-pid1 share. */
#ifndef LYCHGATE_PID1_H
#define LYCHGATE_PID1_H

#include <signal.h>
#include <stdarg.h>

#include "../core/internal.h"
#include "plan.h"

/* entry.c: the mask that was ours at the first instruction: COMMAND's mask. */
extern uint64_t lg_inherited_mask;

/* wait.c */
void lg_wait_begin(void);
/* One signal, or the time (CLOCK_MONOTONIC ns, 0 = none) is over, or a deadline of
 * the core: whatever it is, it is seen to. */
void lg_wait_turn(int64_t until_ns);

/* events.c */
/* name: COMMAND's first word. Both must stay. */
void lg_events_begin(const struct lg_plan *plan, const char *name);
/* Signals that come after COMMAND's end go to all others from here on. */
void lg_events_draining(void);
/* The signal that stopped COMMAND since the last call, or 0. */
int lg_events_stopped(void);
/* The grace time is over: end what there is. */
bool lg_events_kill_all(void);
/* COMMAND was started, or (made->step) could not be. */
void lg_tell_spawned(const struct lg_spawned *made);
/* One of our own kinds with a number. */
void lg_tell(uint32_t kind, int32_t number);
/* These remained and are killed: told one by one, and then how many they were. */
void lg_tell_killed_one(pid_t pid, const struct lg_stat *about);
void lg_tell_killed(void);
void lg_tell_ended(int code);

/* Events of ours, told to the policy process beside those of the core: kinds from
 * 32 on, in struct lg_event (src/plan/events.ts). */
enum {
  LG_EV_STARTED = 32,  /* pid; sent = in the foreground                        */
  LG_EV_NOT_STARTED,   /* pid or 0; error; sent = step; see lg_step_number     */
  LG_EV_ROLE,          /* pid = our own; sent = we are a subreaper             */
  LG_EV_LOST,          /* sent = events that the full pipe did not take        */
  LG_EV_STUCK_STOPPED, /* pid, signal: nobody above can continue it            */
  LG_EV_DRAIN,         /* sent = how many processes                            */
  LG_EV_KILLED_ONE,    /* pid, comm: of those that had to be killed            */
  LG_EV_KILLED,        /* sent = how many these were                           */
  LG_EV_DRAIN_STUCK,
  LG_EV_DRAIN_BLIND,   /* no /proc                                             */
  LG_EV_ENDED          /* pid, status; sent = our exit code; start_ticks =
                          orphans reaped; time_ns = signals forwarded          */
};

/* policy.c: the TypeScript side, a supervised child. */
/* Ask it for a plan: fills plan (LG_PLAN_HEAD bytes) or does not return. */
void lg_policy_ask(char **argv, struct lg_plan *plan);
/* Baked: its words, of a mapping that stays. */
void lg_policy_bake(const char *first, unsigned count);
/* Keep it: start it where it does not run, and again when it ends. */
void lg_policy_keep(char **command);
/* End it, where it is not kept. */
void lg_policy_dismiss(void);
/* Start it where it does not run and is due. */
void lg_policy_see_to(void);
int64_t lg_policy_due(void);
void lg_policy_ended(int status);
/* An event for it; never waits. false: there is no way to tell it anything. */
bool lg_policy_tell(const struct lg_event *event);
/* The last event of all, which lg_policy_close sees to. */
void lg_policy_farewell(const struct lg_event *event);
/* Nothing more is told: let it write what it has, 5 s at most. */
void lg_policy_close(void);

/* others.c: the processes besides COMMAND that we answer for. */
bool lg_others_visible(void);
bool lg_others_any(void);
void lg_others_signal(int sig);
/* Each living one that can be seen. */
void lg_others_each(void (*one)(pid_t pid, const struct lg_stat *about));

/* say.c: one line to standard error, never waiting for it. In the format
 *   %s  text, made printable    %R  text that is printable already
 *   %d  int                     %u  uint64_t
 *   %S  int, a signal's name    %E  int, an errno in words
 *   %T  int64_t ns as seconds   %A  uint64_t, hundredths of a second; UINT64_MAX unknown
 *   %B  int, " as " and a signal's name; 0 nothing
 *   %W  int, a wait status: how it ended */
enum lg_level { LG_ERROR, LG_WARN, LG_INFO, LG_DEBUG };
extern uint32_t lg_verbosity;
void lg_say(enum lg_level level, const char *format, ...);
/* Characters that could forge a line become \xHH. Returns the length. */
size_t lg_printable(char *out, size_t size, const char *text, size_t n);

/* explain.c */
void lg_explain_spawn(const char *name, const struct lg_spawned *made, int64_t nofile);
const char *lg_errno_text(int error);

#endif
