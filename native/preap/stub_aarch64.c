/*
 * The stub for aarch64; see stub.h.
 *
 * At the stop the kernel has already decided how an interrupted call goes on, and does
 * not show what it decided (do_signal in arch/arm64/kernel/signal.c): the program
 * counter is at the call again, and x0 is its argument. lg_tracee_learn finds it out,
 * and has registers as x86_64 has them: behind the call, with the result in x0.
 */
#if defined __aarch64__
#include <errno.h>
#include <sys/syscall.h>

#include "stub.h"

enum { TARGET = 31, FLAGS = 32 };

/* x19 room, x20 index, x21 one bit for each that was reaped, x22 count, x23 pids,
 * x24 the pid. */
__asm__(
    ".pushsection .rodata.lg_stub, \"a\"\n"
    ".globl lg_stub_begin, lg_stub_entry, lg_stub_after_wait, lg_stub_again\n"
    ".globl lg_stub_tail, lg_stub_end\n"
    ".hidden lg_stub_begin, lg_stub_entry, lg_stub_after_wait, lg_stub_again\n"
    ".hidden lg_stub_tail, lg_stub_end\n"
    ".balign 16\n"
    "lg_stub_begin:\n"
    "  .fill 448, 1, 0\n"
    "lg_stub_entry:\n"
    "  adr x19, lg_stub_begin\n"
    "  mov w20, #0\n"
    "  mov x21, #0\n"
    "  ldr w22, [x19, #304]\n"
    "  add x23, x19, #308\n"
    "1: cmp w20, w22\n"
    "  b.hs 3f\n"
    "  ldr w24, [x23, w20, uxtw #2]\n"
    "  mov w0, w24\n"
    "  mov x1, #0\n"
    "  mov w2, #1\n" /* WNOHANG | __WALL: also children of clone */
    "  movk w2, #0x4000, lsl #16\n"
    "  mov x3, #0\n"
    "  mov x8, #260\n" /* wait4 */
    "  svc #0\n"
    "lg_stub_after_wait:\n"
    "  cmp w0, w24\n"
    "  b.ne 2f\n"
    "  mov x4, #1\n"
    "  lsl x4, x4, x20\n"
    "  orr x21, x21, x4\n"
    "2: add w20, w20, #1\n"
    "  b 1b\n"
    "3: mov x8, #73\n" /* ppoll(NULL, 0, pause, NULL, 0) */
    "  mov x0, #0\n"
    "  mov x1, #0\n"
    "  add x2, x19, #288\n"
    "  mov x3, #0\n"
    "  mov x4, #0\n"
    "  svc #0\n"
    "  b lg_stub_tail\n"
    "lg_stub_again:\n" /* lg_tracee_restore comes here, with the registers of the thread */
    "  svc #0\n"
    "lg_stub_tail:\n"
    "  adr x19, lg_stub_begin\n"
    "  mov x8, #135\n" /* rt_sigprocmask(SIG_SETMASK, mask, NULL, 8) */
    "  mov x0, #2\n"
    "  add x1, x19, #8\n"
    "  mov x2, #0\n"
    "  mov x3, #8\n"
    "  svc #0\n"
    "  add x16, x19, #16\n"
    "  ldr x17, [x16, #256]\n"
    "  msr nzcv, x17\n"
    "  ldp x0, x1, [x16]\n"
    "  ldp x2, x3, [x16, #16]\n"
    "  ldp x4, x5, [x16, #32]\n"
    "  ldp x6, x7, [x16, #48]\n"
    "  ldp x8, x9, [x16, #64]\n"
    "  ldp x10, x11, [x16, #80]\n"
    "  ldp x12, x13, [x16, #96]\n"
    "  ldp x14, x15, [x16, #112]\n"
    "  ldp x18, x19, [x16, #144]\n"
    "  ldp x20, x21, [x16, #160]\n"
    "  ldp x22, x23, [x16, #176]\n"
    "  ldp x24, x25, [x16, #192]\n"
    "  ldp x26, x27, [x16, #208]\n"
    "  ldp x28, x29, [x16, #224]\n"
    "  ldr x30, [x16, #240]\n"
    /* x17 is lost: there is no jump without a register. ret, and not br: no landing
     * pad (BTI) is asked for. */
    "  ldr x17, [x16, #248]\n"
    "  ldr x16, [x16, #128]\n"
    "  ret x17\n"
    "lg_stub_end:\n"
    ".popsection\n");

bool lg_regs_may_leave(const lg_regs *regs) {
  (void)regs;
  return true;
}

bool lg_regs_in_syscall(const lg_regs *regs) { return regs->call >= 0; }

uint64_t lg_regs_sp(const lg_regs *regs) { return regs->sp; }

uint64_t lg_regs_pc(const lg_regs *regs) { return regs->pc; }

void lg_regs_mend(lg_regs *regs) {
  if ((int64_t)regs->regs[0] == -EINTR && lg_regs_in_syscall(regs) && lg_call_repeatable(regs->call))
    regs->regs[0] = (uint64_t)-ERESTARTNOHAND; /* and EINTR if a handler runs */
}

bool lg_regs_restart(lg_regs *regs) {
  if (!lg_regs_in_syscall(regs)) return false;
  switch (-(int64_t)regs->regs[0]) {
    case ERESTART_RESTARTBLOCK:
      regs->regs[8] = SYS_restart_syscall;
      break;
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
      break;
    default:
      return false;
  }
  regs->regs[0] = regs->first;
  regs->pc -= 4;
  return true;
}

void lg_stub_fill(struct lg_stub_data *data, const lg_regs *regs) {
  lg_regs alone = *regs;
  lg_regs_restart(&alone);
  for (int i = 0; i < 31; i++) data->regs[i] = alone.regs[i];
  data->regs[TARGET] = alone.pc;
  data->regs[FLAGS] = alone.pstate & 0xf0000000u;
}

void lg_stub_enter(lg_regs *regs, uint64_t room, const struct lg_stub_code *code) {
  regs->pc = room + code->entry;
  regs->regs[0] = 0; /* may be on the way out of a call: nothing to restart */
}

pid_t lg_stub_just_reaped(const lg_regs *regs) {
  return regs->regs[0] != 0 && (int32_t)regs->regs[0] == (int32_t)regs->regs[24]
             ? (pid_t)regs->regs[24]
             : 0;
}

uint64_t lg_stub_reaped(const lg_regs *regs) { return regs->regs[21]; }

uint32_t lg_stub_index(const lg_regs *regs) { return (uint32_t)regs->regs[20]; }
#endif
typedef int lg_stub_aarch64; /* a file must not be empty */
