/* What the files of the core share. Nobody outside includes this. */
#ifndef LYCHGATE_INTERNAL_H
#define LYCHGATE_INTERNAL_H

#include <stdatomic.h>

#include "lychgate.h"

#define LG_EARLY 64

struct lg_state {
  struct lg_config config;
  lg_wake_fn wake;
  void *wake_arg;
  bool armed, configured, spawned, made_subreaper;
  int saved_death_signal; /* -1 = not changed by us */

  /* child is written by the kernel (CLONE_PARENT_SETTID) before COMMAND runs */
  _Atomic pid_t child;
  /* A process of ours beside COMMAND; 0 = none. Its end is no orphan's. */
  _Atomic pid_t helper;
  _Atomic int pidfd;
  _Atomic bool exec_done, ended, stopped, wake_on_reap;
  _Atomic int status;

  /* reap.c: how many asked for a reap; who found 0 does the work */
  _Atomic unsigned asked;

  _Atomic uint64_t reaped, forwarded, dropped_signals;

  int tty;              /* controlling terminal, -1 = none */
  _Atomic bool gave_terminal;
  _Atomic bool suspended;

  int grace_timer, exit_timer;       /* timer ids of the kernel, -1 = none */
  _Atomic int64_t grace_at, exit_at; /* CLOCK_MONOTONIC ns, 0 = not armed */
};

extern struct lg_state lg;

int64_t lg_now(int clock);
void lg_wake(void);

/* start.c */
void lg_reset(lg_wake_fn wake, void *arg);

/* The kernel's own 64 bits, bit n-1 is signal n: a C library keeps some signals
 * to itself in its sigset_t. how as in sigprocmask(2); the mask before. */
uint64_t lg_mask(int how, uint64_t set);
#define LG_ALL_SIGNALS UINT64_MAX
#define LG_BIT(sig) (UINT64_C(1) << ((sig) - 1))

/*
 * How signals reach the core. There are two ways, and a program links one:
 * handlers.c, a handler for each, beside a runtime that has other work;
 * native/pid1/wait.c, where nothing else is to be done than to wait for them.
 */
void lg_way_of_child(void);   /* in the child: COMMAND's dispositions and mask   */
void lg_way_started(void);    /* COMMAND's pid is known: deliver what came before */
void lg_way_let_in(void);     /* for a millisecond let a SIGCONT come             */

/* ring.c, or native/pid1/events.c: where events go. Never waits. */
void lg_push(const struct lg_event *event);
uint64_t lg_dropped_events(void);
void lg_ring_reset(void);

/* reap.c: all are async-signal-safe */
void lg_reap_hold(void);    /* from here on nobody reaps ... */
void lg_reap_release(void); /* ... until here, where everything due is reaped */
void lg_on_child(int sig, siginfo_t *info, void *context);

/* forward.c */
bool lg_forwardable(int sig);
bool lg_about_ourselves(int sig, const siginfo_t *info);
void lg_deliver(int sig, const siginfo_t *info);
int lg_kill_child(void);

/* timer.c */
int lg_timers_create(void);
void lg_timers_delete(void);
/* Without a timer (id -1) only the time is noted, for a loop that looks itself. */
int lg_timer_set(int timer, _Atomic int64_t *at, int64_t in_ns);
void lg_check_deadlines(void);

/* spawn.c: words up to the NULL; of no list none */
size_t lg_count(char *const *list);

/* tty.c */
/* A descriptor that came to lie where a closed standard one was must not become that:
 * its copy above 2, the low one closed. -1 stays -1. */
int lg_above_standard(int fd);
void lg_tty_open(void);
bool lg_tty_ours(void);
void lg_tty_give(pid_t pgid);
void lg_tty_take_back(void);

/* proc.c */
/* value in decimal, not terminated; the end of it. At most 10 characters. */
char *lg_digits(char *out, unsigned value);
struct lg_stat {
  char comm[LG_COMM];
  uint64_t start_ticks;
  pid_t ppid;
  char state;
};
int lg_read_stat(pid_t pid, struct lg_stat *out);

#endif
