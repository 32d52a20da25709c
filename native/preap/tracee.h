/* One thread of the parent: what /proc says of it, stopping it, letting it go. */
#ifndef LYCHGATE_TRACEE_H
#define LYCHGATE_TRACEE_H

#include "preap.h"
#include "stub.h"

/* What /proc/PID/task/TID/status says. */
struct lg_thread_status {
  char state;       /* R, S, D, T, t, Z ... */
  int tracer;       /* 0 = nobody           */
  int seccomp;      /* 0, 1 strict, 2 filter */
  int filters;      /* -1 = an old kernel does not say */
};

/* 0 or a negative errno. */
int lg_thread_status(pid_t pid, pid_t tid, struct lg_thread_status *out);

/* State and start of a process; 0, or -ESRCH when there is none. */
int lg_process_stat(pid_t pid, char *state, uint64_t *start_ticks);

/* The thread to stop: the first one, or another if that has ended or hangs. BUSY:
 * they are all in calls that must not be cut short. */
enum lg_refusal lg_tracee_choose(pid_t pid, pid_t *tid);

/* Its memory, as a descriptor; a negative errno when we are not permitted. Not
 * process_vm_readv: docker's seccomp profile lets it pass with CAP_SYS_PTRACE only. */
int lg_tracee_memory(pid_t tid);

/* Where the room is. left: what a killed one of us left in it, magic 0 = nothing. NO_ROOM
 * when there is none that is large enough and free. Asks the thread: a first one that has
 * ended has no memory. */
enum lg_refusal lg_tracee_room(pid_t tid, int memory, size_t need, uint64_t *room,
                                struct lg_stub_data *left);

/* Whether a handler that interrupted the stub may still return to it: its frame would
 * hold an address in the room, on the stack of now or on that of then. The thread is not
 * in the room itself. Words that only look so count too: then later. */
bool lg_tracee_may_return(int memory, const lg_regs *now, uint64_t then_sp, uint64_t room,
                          size_t size);

/* PTRACE_SEIZE and PTRACE_INTERRUPT, and wait until it stands. A thread that has not
 * come to a stop is let go by the end of this process alone (ptrace(2)). The timeout is
 * for one that sleeps; one that runs gets more of them, for the machine may be busy. */
enum lg_refusal lg_tracee_seize(pid_t tid, int *error);
enum lg_refusal lg_tracee_stop(pid_t tid, int64_t timeout_ns);

/* Whether it came to sleep in that time, or was in no need of a CPU from the begin. */
bool lg_tracee_sleeps(pid_t tid, int64_t timeout_ns);

/* A system call, as /proc/PID/task/TID/syscall says: number < 0 = in none. */
struct lg_call {
  long number;
  uint64_t args[6], sp, pc;
};
void lg_tracee_call(pid_t pid, pid_t tid, struct lg_call *out);

/* How an interrupted call is to go on, where the registers do not say it. before: of
 * just ahead of the stop. BUSY: a call not to be touched now. The thread stands again
 * afterwards, unless it says DEAF or VANISHED. */
enum lg_refusal lg_tracee_learn(pid_t tid, int memory, const struct lg_call *before,
                                lg_regs *regs);

/* All these need the thread to stand. 0 or a negative errno. */
int lg_tracee_regs(pid_t tid, lg_regs *regs, bool *foreign);
int lg_tracee_set_regs(pid_t tid, const lg_regs *regs);
int lg_tracee_mask(pid_t tid, uint64_t *mask);
int lg_tracee_set_mask(pid_t tid, uint64_t mask);
/* Mask and registers as they were; again: see stub.h. */
int lg_tracee_restore(pid_t tid, uint64_t again, const lg_regs *regs, uint64_t mask);
int lg_tracee_write(pid_t tid, int memory, uint64_t to, const void *from, size_t size);
int lg_tracee_run(pid_t tid);
void lg_tracee_detach(pid_t tid);

/* pc lies in a restartable sequence (rseq(2)), which must not be left and entered again. */
bool lg_tracee_in_rseq(pid_t tid, int memory, const lg_regs *regs);
/* System calls are handed to the program itself (prctl(2), PR_SET_SYSCALL_USER_DISPATCH). */
bool lg_tracee_dispatches(pid_t tid);
/* NOT when the calls of the stub pass. status is of now. */
enum lg_refusal lg_tracee_filters(pid_t tid, const struct lg_thread_status *status, bool descends);

/* For restart.c. The system call itself; waiting for a stop until then; reading. */
#define LG_EVENT_STOP 128 /* PTRACE_EVENT_STOP */
#define LG_STOP_TIMEOUT 100000000ll /* a thread that runs or sleeps needs microseconds */
long lg_ptrace(long what, pid_t tid, unsigned long address, void *data);
int lg_tracee_await_patiently(pid_t tid, int64_t began, int64_t timeout_ns, int *status);
bool lg_tracee_peek(int memory, uint64_t from, void *to, size_t size);
bool lg_call_transfers(long number, const uint64_t *args);

int64_t lg_clock(void);
void lg_pause(int64_t ns);

#endif
