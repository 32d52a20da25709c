/*
 * Reaping another process's zombies: its own thread is made to run wait4. Plain C;
 * knows neither Node-API nor V8, and needs nothing of native/core.
 *
 * A zombie belongs to its parent (or to the subreaper after the parent's end);
 * nobody else can wait for it (wait(2), kernel/exit.c). So one thread of the parent
 * is stopped (PTRACE_SEIZE, PTRACE_INTERRUPT: no signal is sent), some wait4 calls
 * are run in it, and everything is put back as it was. Solaris had preap(1).
 */
#ifndef LYCHGATE_PREAP_H
#define LYCHGATE_PREAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lg_zombie_outcome {
  LG_ZOMBIE_LEFT = 0,   /* not tried: refused, or the time was over           */
  LG_ZOMBIE_REAPED = 1, /* by us                                              */
  LG_ZOMBIE_GONE = 2,   /* not there any more: its parent was quicker         */
  LG_ZOMBIE_CHANGED = 3,/* the pid is another process now, or is no zombie    */
  LG_ZOMBIE_KEPT = 4    /* wait4 did not give it: not a child of this parent,
                           or a tracer has to wait for it first               */
};

struct lg_zombie {
  pid_t pid;            /* as /proc here shows it                             */
  pid_t inner;          /* as the parent's PID namespace has it               */
  uint64_t start_ticks; /* field 22 of stat: with pid the identity            */
  enum lg_zombie_outcome outcome; /* out                                      */
};

/* Why nothing, or nothing more, was done. */
enum lg_refusal {
  LG_REFUSED_NOT = 0,
  LG_REFUSED_VANISHED,  /* the parent is gone, or the pid is another process  */
  LG_REFUSED_PERMISSION,/* not our user and no CAP_SYS_PTRACE; setuid; Yama   */
  LG_REFUSED_TRACED,    /* a debugger has it                                  */
  LG_REFUSED_STOPPED,   /* it is stopped and may wait when it goes on         */
  LG_REFUSED_DEAF,      /* it did not come to a stop: in D, frozen, or vfork  */
  LG_REFUSED_FOREIGN,   /* not of this addon's instruction set (32 bit)       */
  LG_REFUSED_SECCOMP,   /* its filter forbids the calls                       */
  LG_REFUSED_SECCOMP_UNKNOWN, /* its filter cannot be read                    */
  LG_REFUSED_NO_ROOM,   /* no vDSO, or no free room behind its code           */
  LG_REFUSED_BUSY,      /* again and again at a place that must not be left   */
  LG_REFUSED_STUCK,     /* it stops, but does not run: frozen on cgroup v2    */
  LG_REFUSED_FAILED     /* a system call failed: error and step say which     */
};

struct lg_preap_request {
  pid_t parent;
  uint64_t start_ticks;
  /* The parent was made by us or a child of ours: it has our seccomp filters, and
   * as many as we have means the same. */
  bool descends;
  int64_t limit_ns;     /* begin no round after this time                     */
  struct lg_zombie *zombies;
  size_t count;
};

struct lg_preap_result {
  enum lg_refusal refusal;
  int error;            /* errno, when FAILED or PERMISSION                   */
  const char *step;     /* what failed                                        */
  uint32_t rounds;      /* times the thread was stopped                       */
  uint64_t reaped;
  uint64_t longest_ns;  /* the longest the thread stood still                 */
  uint64_t total_ns;
};

/* Blocks until done. Runs in a process of its own that shares our memory, so that
 * the stops of the tracee never meet our own waitpid, and so that its end, however
 * it comes, detaches. Takes no signal and raises none. One call at a time (EBUSY
 * as FAILED). Needs room for one more process, unless lg_preap_keep was called. */
void lg_preap(const struct lg_preap_request *request, struct lg_preap_result *out);

/* Make the helper now, and keep it: later the limit of processes may be used up, by the
 * very zombies. It is a sleeping process "lychgate-reap", which counts as one, and
 * ends with the thread that made it; false ends it. 0 or a negative errno. */
int lg_preap_keep(bool yes);

#ifdef __cplusplus
}
#endif
#endif
