/*
 * The code that runs in the tracee, and the room it lies in.
 *
 * The room is the padding of zeros between the end of the vDSO's image and the end
 * of its last page: it is mapped executable in every process, no code of the tracee
 * is touched, and the page becomes the process's own when it is written.
 *
 * The stub needs nobody. Should we be killed at any moment, the kernel detaches, and
 * the stub goes on alone: it makes the calls, pauses (the time in which we would have
 * stopped it), gives the signal mask back, loads every register and jumps to where the
 * thread was, at the system call again if it was in one. One thing is then less exact
 * than with us: a call that a handler should have ended with EINTR is restarted. Nothing
 * is stored by it, nothing is pushed on the stack.
 *
 * Or a handler runs upon its last part, and returns to it: so what is left in the room is
 * not touched before it is certain that nobody comes back.
 *
 * The pause is a ppoll: unlike nanosleep and poll it leaves alone what the kernel keeps
 * for the restart of the thread's own call. And it is a sleep, for a loop of sched_yield
 * takes minutes where others want the same CPU.
 */
#ifndef LYCHGATE_STUB_H
#define LYCHGATE_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define LG_STUB_PIDS 32
#define LG_STUB_MAGIC 0x65746167686379ffull
#define LG_STUB_REGS 34

#if defined __x86_64__
typedef struct user_regs_struct lg_regs;
#elif defined __aarch64__
typedef struct {
  uint64_t regs[31], sp, pc, pstate; /* struct user_regs_struct; the rest is ours: */
  uint64_t first;                    /* argument of the call x0 has the result of */
  int32_t call;                      /* its number, -1 = in none (orig_rax)       */
} lg_regs;
#else
#error "lychgate knows x86_64 and aarch64"
#endif

/* Read by the stub's code at these offsets. */
struct lg_stub_data {
  uint64_t magic;              /*   0 */
  uint64_t mask;               /*   8: the signal mask to give back           */
  uint64_t regs[LG_STUB_REGS]; /*  16: in the stub's own order                */
  int64_t pause[2];            /* 288: struct timespec of 64 bits             */
  uint32_t count;              /* 304 */
  int32_t pids[LG_STUB_PIDS];  /* 308 */
  int32_t owner;               /* 436: the thread that runs it                */
  uint64_t sp;                 /* 440: its stack pointer                      */
};

/* The kernel's own, seen by a tracer alone (include/linux/errno.h). */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

/* Offsets of the code, from the begin of the room. */
struct lg_stub_code {
  const uint8_t *bytes;
  size_t size;         /* of data and code; the data is at the begin          */
  size_t entry;
  size_t after_wait;   /* from just behind the call up to tail its result may
                          be in a register only                               */
  size_t again;        /* aarch64: a system call right ahead of the tail      */
  size_t tail;         /* from here on it gives back what it took             */
};

struct lg_stub_code lg_stub_code(void);

/* How registers are read, and what of them matters here. */
bool lg_regs_may_leave(const lg_regs *regs);  /* no state we could not restore */
bool lg_regs_in_syscall(const lg_regs *regs);
uint64_t lg_regs_pc(const lg_regs *regs);
uint64_t lg_regs_sp(const lg_regs *regs);

/* Calls that transfer nothing when they say EINTR, so that a second one is the first
 * one over again. Not close, not connect. A timeout counts anew. */
bool lg_call_repeatable(long nr);

/* A call that ended with EINTR only because we stopped the thread (signal(7), the
 * ones that fail so after SIGCONT) is made one that the kernel restarts. */
void lg_regs_mend(lg_regs *regs);

#if defined __aarch64__
/* What the kernel does with an interrupted call when no handler comes first, done
 * here; false = there is nothing to do. */
bool lg_regs_restart(lg_regs *regs);
#endif

/* What the stub has to load to go on alone. */
void lg_stub_fill(struct lg_stub_data *data, const lg_regs *regs);

/* The registers that start it. */
void lg_stub_enter(lg_regs *regs, uint64_t room, const struct lg_stub_code *code);

/* The pid that wait4 has just given, 0 = none; where pc lies in after_wait..tail. */
pid_t lg_stub_just_reaped(const lg_regs *regs);
/* While pc lies before the tail: one bit for each pid that wait4 gave, and how many
 * calls were made for certain. */
uint64_t lg_stub_reaped(const lg_regs *regs);
uint32_t lg_stub_index(const lg_regs *regs);

#endif
