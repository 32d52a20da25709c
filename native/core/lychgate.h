/*
 * lychgate core: reap, forward, spawn. Plain C; knows neither Node-API nor V8.
 *
 * Who runs it: native/addon.cc inside Node, and native/pid1, a program of its
 * own. One process has one core: the state is static, because signal handlers
 * can be given no argument.
 *
 * Life: lg_arm -> lg_configure -> lg_spawn -> (handlers work) -> lg_disarm or
 * lg_finish. All functions but the handlers belong to the main thread.
 * Functions that can fail return 0 or a negative errno.
 */
#ifndef LYCHGATE_H
#define LYCHGATE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signals are 1..64 on every Linux port but MIPS, which is not supported. */
#define LG_NSIG 65
#define LG_COMM 16

enum lg_event_kind {
  LG_EV_REAPED = 1,    /* an orphan was reaped: pid, status, comm, start     */
  LG_EV_MAIN_ENDED,    /* COMMAND ended: pid, status                         */
  LG_EV_MAIN_STOPPED,  /* COMMAND stopped: pid, signal                       */
  LG_EV_MAIN_CONTINUED,
  LG_EV_FORWARDED,     /* signal (as received), sent (as sent), error        */
  LG_EV_DROPPED,       /* a signal that the table maps to 0                  */
  LG_EV_LATE,          /* a signal that came after COMMAND's end             */
  LG_EV_GRACE_OVER,    /* the grace time ran out and COMMAND was killed      */
  LG_EV_HELPER_ENDED   /* the process of lg_spawn_helper ended: pid, status  */
};

/* One record of the ring. The layout is read by src/native.ts: fixed widths,
 * native byte order, no padding the compiler could choose. */
struct lg_event {
  uint32_t kind;
  int32_t pid;
  int32_t status;       /* as waitpid(2) gives it                            */
  int32_t signal;       /* as received                                       */
  int32_t sent;         /* as sent, after the rewrite table                  */
  int32_t error;        /* errno of the send, 0 when it went through         */
  int32_t sender;       /* si_pid, 0 when the kernel sent it                 */
  uint32_t reserved;
  uint64_t time_ns;     /* CLOCK_BOOTTIME                                    */
  uint64_t start_ticks; /* starttime of proc(5), clock ticks since boot      */
  char comm[LG_COMM];   /* not necessarily terminated                        */
};

struct lg_config {
  uint8_t signal_map[LG_NSIG]; /* received -> sent; 0 drops it               */
  uint8_t exit_map[256];       /* exit code of COMMAND -> ours               */
  bool group;                  /* forward to COMMAND's process group         */
  bool session;                /* COMMAND leads a session, not only a group  */
  bool subreaper;              /* PR_SET_CHILD_SUBREAPER                     */
  bool report_reaped;          /* an LG_EV_REAPED for each orphan            */
  bool report_forwarded;       /* an LG_EV_FORWARDED for each signal         */
  int parent_death_signal;     /* PR_SET_PDEATHSIG on ourselves, 0 = none    */
  int64_t grace_ns;            /* TERM/INT/QUIT -> KILL; 0 = never           */
  int64_t exit_deadline_ns;    /* after COMMAND's end: leave by ourselves if
                                  the upper layer has not; 0 = never         */
};

struct lg_spawn_request {
  const char *file;      /* looked up in path when it holds no slash         */
  char *const *argv;     /* NULL-terminated                                  */
  char *const *envp;     /* NULL-terminated; NULL = environ                  */
  const int *fds;        /* descriptors to pass on; NULL = leave all as is   */
  size_t nfds;
  int64_t nofile;        /* soft RLIMIT_NOFILE to set, -1 = leave            */
};

struct lg_spawned {
  pid_t pid;             /* 0 when no process was made                       */
  int error;             /* errno of the step that failed, 0 = it runs       */
  const char *step;      /* "clone", "setrlimit", "exec"; NULL = it runs     */
  bool foreground;       /* it was given the terminal                        */
};

struct lg_stats_out {
  uint64_t reaped;          /* orphans, COMMAND not counted                  */
  uint64_t forwarded;
  uint64_t dropped_events;  /* the ring was full                             */
  uint64_t dropped_signals; /* more than 64 before COMMAND was started       */
  pid_t pid;
  bool ended;
  int status;               /* valid when ended                              */
  bool stopped;
};

/* Must be async-signal-safe: it is called from the handlers. */
typedef void (*lg_wake_fn)(void *arg);

/* Install the handlers. Signals that come before lg_spawn are kept and
 * delivered after it. runtime_ignored: bit n-1 set = the runtime we live in,
 * not our parent, set signal n to SIG_IGN. -EBUSY when already armed, -EPERM
 * off the main thread. */
int lg_arm(lg_wake_fn wake, void *arg, uint64_t runtime_ignored);

/* Before lg_spawn only. *failed names the call that failed, for the message. */
int lg_configure(const struct lg_config *config, const char **failed);

/* Start COMMAND: own process group, the terminal's foreground if we had it,
 * default dispositions (inherited SIG_IGN kept where it is known), empty mask. */
void lg_spawn(const struct lg_spawn_request *what, struct lg_spawned *out);

/* Start a process of ours beside COMMAND, in a session of its own: of the
 * descriptors above 2 it gets what->fds alone. One at a time (EBUSY). */
void lg_spawn_helper(const struct lg_spawn_request *what, struct lg_spawned *out);

/* Copy up to max events, oldest first; the number copied. */
size_t lg_drain(struct lg_event *out, size_t max);

void lg_stats(struct lg_stats_out *out);

/* Wake the upper layer after every reap (while it ends the other processes). */
void lg_wake_on_reap(bool on);

/* Replace the exit deadline; counted from now, 0 = none. */
int lg_set_exit_deadline(int64_t ns);

/* The exit code this end of COMMAND asks for, exit_map applied. */
int lg_exit_code(int status);

/* COMMAND was stopped by sig under a terminal: hand the terminal back and stop
 * with our own group, as a job of the shell above. true = we were stopped and
 * continued; false = nobody above could continue us, so we did not stop. */
bool lg_suspend(int sig);

/* PID 1 only: signal every other process of the namespace. -EPERM elsewhere:
 * there kill(-1) would reach the whole machine. */
int lg_signal_all(int sig);

/* Signal pid only if it is still the process that started at start_ticks.
 * -ESRCH when it is not. Best effort where the kernel has no pidfd. */
int lg_signal_exact(pid_t pid, uint64_t start_ticks, int sig);

/* Put back every disposition, the mask and the subreaper attribute. */
void lg_disarm(void);

/* Hand the terminal back and _exit(code). */
void lg_finish(int code) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
