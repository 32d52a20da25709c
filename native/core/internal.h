/* What the files of the core share. Nobody outside includes this. */
#ifndef LYCHGATE_INTERNAL_H
#define LYCHGATE_INTERNAL_H

#include <stdatomic.h>

#include "lychgate.h"

#define LG_EARLY 64

/* A signal that came before there was anybody to send it to. */
struct lg_early {
  _Atomic int ready; /* 0 empty, 1 filled, 2 taken */
  int sig;
  siginfo_t info;
};

struct lg_state {
  struct lg_config config;
  lg_wake_fn wake;
  void *wake_arg;
  uint64_t runtime_ignored;
  bool armed, configured, spawned, made_subreaper;
  int saved_death_signal; /* -1 = not changed by us */

  struct sigaction saved[LG_NSIG];
  bool replaced[LG_NSIG];
  sigset_t saved_mask;

  /* child is written by the kernel (CLONE_PARENT_SETTID) before COMMAND runs */
  _Atomic pid_t child;
  _Atomic int pidfd;
  _Atomic bool exec_done, ended, stopped, wake_on_reap;
  _Atomic int status;

  /* reap.c: how many asked for a reap; who found 0 does the work */
  _Atomic unsigned asked;

  _Atomic uint64_t reaped, forwarded, dropped_signals;

  struct lg_early early[LG_EARLY];
  _Atomic unsigned early_count;

  int tty;              /* controlling terminal, -1 = none */
  _Atomic bool gave_terminal;
  _Atomic bool suspended;

  int grace_timer, exit_timer;       /* timer ids of the kernel, -1 = none */
  _Atomic int64_t grace_at, exit_at; /* CLOCK_MONOTONIC ns, 0 = not armed */
};

extern struct lg_state lg;

int64_t lg_now(int clock);
void lg_wake(void);

/* ring.c */
void lg_ring_reset(void);
void lg_push(const struct lg_event *event);
uint64_t lg_ring_dropped(void);

/* reap.c: all are async-signal-safe */
void lg_reap_hold(void);    /* from here on nobody reaps ... */
void lg_reap_release(void); /* ... until here, where everything due is reaped */
void lg_on_child(int sig, siginfo_t *info, void *context);

/* forward.c */
bool lg_forwardable(int sig);
void lg_on_signal(int sig, siginfo_t *info, void *context);
void lg_flush_early(void);
int lg_kill_child(void);

/* timer.c */
int lg_timers_create(void);
void lg_timers_delete(void);
int lg_timer_set(int timer, _Atomic int64_t *at, int64_t in_ns);
void lg_check_deadlines(void);

/* tty.c */
void lg_tty_open(void);
bool lg_tty_ours(void);
void lg_tty_give(pid_t pgid);
void lg_tty_take_back(void);

/* proc.c */
struct lg_stat {
  char comm[LG_COMM];
  uint64_t start_ticks;
  char state;
};
int lg_read_stat(pid_t pid, struct lg_stat *out);

#endif
