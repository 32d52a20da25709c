/*
 * How an interrupted call goes on. x86_64 says it in the registers of the stop: what
 * was put back is what the kernel decides by. aarch64 has decided before the stop
 * (do_signal in arch/arm64/kernel/signal.c), and does not say what.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tracee.h"

#if defined __aarch64__
#define SYSTEM_CALL 0x404 /* NT_ARM_SYSTEM_CALL */
#define SVC 0xd4000001u
#define CALL_STOP (SIGTRAP | 0x80)

/* Lets it go on, and waits: its signal and the event above it, 0 = it has not come. */
static int next_stop(pid_t tid, long how) {
  int status;
  if (lg_ptrace(how, tid, 0, NULL) != 0) return 0;
  int error = lg_tracee_await_patiently(tid, lg_clock(), LG_STOP_TIMEOUT, &status);
  return error == 0 && WIFSTOPPED(status) ? status >> 8 : 0;
}

/* EINTR says all, but the first argument is lost. That it is of the call from before
 * the stop, and not of a later one like it but for that, we have to believe. */
static bool interrupted(const struct lg_call *call, const lg_regs *regs) {
  return call->number >= 0 && (int64_t)regs->regs[0] == -EINTR &&
         regs->regs[8] == (uint64_t)call->number && regs->sp == call->sp && regs->pc == call->pc &&
         memcmp(&regs->regs[1], &call->args[1], 5 * sizeof(uint64_t)) == 0;
}

static bool untouchable(const lg_regs *regs) {
  switch (regs->regs[8]) {
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_rt_sigreturn: return true;
    default: return lg_call_transfers((long)regs->regs[8], regs->regs);
  }
}

/* At a call, perhaps for the second time: the kernel lets it begin, and end at once
 * since an interruption is pending; what it says then is looked at on its way out.
 * Nothing is changed, so that our death at any of these stops does nothing. */
enum lg_refusal lg_tracee_learn(pid_t tid, int memory, const struct lg_call *before,
                                lg_regs *regs) {
  uint32_t word;
  bool foreign;
  if (interrupted(before, regs)) {
    regs->call = (int32_t)before->number;
    regs->first = before->args[0];
    return LG_REFUSED_NOT;
  }
  /* Its end was under way already: a handler may have to run, with the mask of the call. */
  if ((int64_t)regs->regs[0] == -EINTR &&
      lg_tracee_peek(memory, regs->pc - 4, &word, sizeof word) && word == SVC)
    return LG_REFUSED_BUSY;
  while (lg_tracee_peek(memory, regs->pc, &word, sizeof word) && word == SVC) {
    if (untouchable(regs)) return LG_REFUSED_BUSY;
    lg_regs begun = *regs;
    int stop = next_stop(tid, PTRACE_SYSCALL);
    if (stop == 0) return LG_REFUSED_DEAF;
    if (stop >> 8 == LG_EVENT_STOP) return LG_REFUSED_STOPPED;
    if (stop != CALL_STOP) { /* a signal: it gets it, and stops before its handler runs */
      if (lg_ptrace(PTRACE_CONT, tid, 0, (void *)(long)stop) != 0) return LG_REFUSED_VANISHED;
      enum lg_refusal refusal = lg_tracee_stop(tid, LG_STOP_TIMEOUT);
      if (refusal != LG_REFUSED_NOT) return refusal;
      if (lg_tracee_regs(tid, regs, &foreign) != 0) return LG_REFUSED_VANISHED;
      continue;
    }
    lg_ptrace(PTRACE_INTERRUPT, tid, 0, NULL);
    if (next_stop(tid, PTRACE_SYSCALL) != CALL_STOP) return LG_REFUSED_DEAF;
    if (lg_tracee_regs(tid, regs, &foreign) != 0) return LG_REFUSED_VANISHED;
    regs->call = (int32_t)regs->regs[8];
    regs->first = begun.regs[0];
    regs->regs[7] = begun.regs[7]; /* it says there whether a call begins or ends */
    return LG_REFUSED_NOT;
  }
  return LG_REFUSED_NOT;
}

/* The kernel is to decide about the call once more, now: a restart, or a handler that
 * has come meanwhile. It does that on the way out of a call, by its number, result and
 * first argument, and the last cannot be set. So another call is begun with it, and
 * made to end as the one of the thread. Registers last: before, the stub goes on alone. */
int lg_tracee_restore(pid_t tid, uint64_t again, const lg_regs *regs, uint64_t mask) {
  lg_regs alone = *regs;
  if (lg_regs_restart(&alone)) {
    lg_regs begin = alone;
    int number = regs->call;
    struct iovec io = {&number, sizeof number};
    begin.pc = again;
    begin.regs[8] = SYS_sched_yield;
    int error = lg_tracee_set_regs(tid, &begin);
    if (error != 0) return error;
    if (next_stop(tid, PTRACE_SYSCALL) == CALL_STOP &&
        next_stop(tid, PTRACE_SYSCALL) == CALL_STOP) {
      lg_tracee_set_mask(tid, mask);
      if (lg_ptrace(PTRACE_SETREGSET, tid, SYSTEM_CALL, &io) == 0 &&
          lg_ptrace(PTRACE_INTERRUPT, tid, 0, NULL) == 0) /* or it would not look */
        return lg_tracee_set_regs(tid, regs);
    }
    /* To be stopped by a signal. */
  }
  lg_tracee_set_mask(tid, mask);
  return lg_tracee_set_regs(tid, &alone);
}
#else
enum lg_refusal lg_tracee_learn(pid_t tid, int memory, const struct lg_call *before,
                                lg_regs *regs) {
  (void)tid, (void)memory, (void)before, (void)regs; /* orig_rax and rax say it */
  return LG_REFUSED_NOT;
}

int lg_tracee_restore(pid_t tid, uint64_t again, const lg_regs *regs, uint64_t mask) {
  (void)again;
  lg_tracee_set_mask(tid, mask);
  return lg_tracee_set_regs(tid, regs);
}
#endif
