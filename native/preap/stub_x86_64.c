/* The stub for x86_64; see stub.h. */
#if defined __x86_64__
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "stub.h"

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

#define FLAG_DIRECTION 0x400
#define FLAG_OVERFLOW 0x800

enum slot { R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI, TARGET, FLAGS };

#define REG(n) "lg_stub_begin+16+8*" TEXT(n) "(%rip)"

/* rbx index, rbp pids, r12 count, r13 one bit for each that was reaped. */
__asm__(
    ".pushsection .rodata.lg_stub, \"a\"\n"
    ".globl lg_stub_begin, lg_stub_entry, lg_stub_after_wait, lg_stub_tail, lg_stub_end\n"
    ".hidden lg_stub_begin, lg_stub_entry, lg_stub_after_wait, lg_stub_tail, lg_stub_end\n"
    ".balign 16\n"
    "lg_stub_begin:\n"
    "  .fill 448, 1, 0\n"
    "lg_stub_entry:\n"
    "  xor %ebx, %ebx\n"
    "  xor %r13d, %r13d\n"
    "  lea lg_stub_begin+308(%rip), %rbp\n"
    "  mov lg_stub_begin+304(%rip), %r12d\n"
    "lg_stub_next:\n"
    "  cmp %r12d, %ebx\n"
    "  jae 3f\n"
    "  mov (%rbp,%rbx,4), %edi\n"
    "  xor %esi, %esi\n"
    "  mov $0x40000001, %edx\n" /* WNOHANG | __WALL: also children of clone */
    "  xor %r10d, %r10d\n"
    "  mov $61, %eax\n" /* wait4 */
    "  syscall\n"
    "lg_stub_after_wait:\n"
    "  cmp %edi, %eax\n"
    "  jne 2f\n"
    "  bts %rbx, %r13\n"
    "2: inc %ebx\n"
    "  jmp lg_stub_next\n"
    "3: mov $271, %eax\n" /* ppoll(NULL, 0, pause, NULL, 0) */
    "  xor %edi, %edi\n"
    "  xor %esi, %esi\n"
    "  lea lg_stub_begin+288(%rip), %rdx\n"
    "  xor %r10d, %r10d\n"
    "  xor %r8d, %r8d\n"
    "  syscall\n"
    "  nop\n" /* stopped in the call it is here, and not at the tail */
    "lg_stub_tail:\n"
    "  mov $14, %eax\n" /* rt_sigprocmask(SIG_SETMASK, mask, NULL, 8) */
    "  mov $2, %edi\n"
    "  lea lg_stub_begin+8(%rip), %rsi\n"
    "  xor %edx, %edx\n"
    "  mov $8, %r10d\n"
    "  syscall\n"
    "  mov " REG(0) ", %r15\n"
    "  mov " REG(1) ", %r14\n"
    "  mov " REG(2) ", %r13\n"
    "  mov " REG(3) ", %r12\n"
    "  mov " REG(4) ", %rbp\n"
    "  mov " REG(5) ", %rbx\n"
    "  mov " REG(6) ", %r11\n"
    "  mov " REG(7) ", %r10\n"
    "  mov " REG(8) ", %r9\n"
    "  mov " REG(9) ", %r8\n"
    "  mov " REG(11) ", %rcx\n"
    "  mov " REG(12) ", %rdx\n"
    "  mov " REG(13) ", %rsi\n"
    "  mov " REG(14) ", %rdi\n"
    /* Flags without the stack, whose red zone is not ours: al is 1 when OF was
     * set, ah are the five flags of sahf. What follows changes none of them. */
    "  mov " REG(16) ", %rax\n"
    "  add $127, %al\n"
    "  sahf\n"
    "  mov " REG(10) ", %rax\n"
    "  jmp *" REG(15) "\n"
    "lg_stub_end:\n"
    ".popsection\n");

/* Backwards string instructions: the flag is not given back by the stub, and the
 * state lasts for a few instructions only. */
bool lg_regs_may_leave(const lg_regs *regs) { return (regs->eflags & FLAG_DIRECTION) == 0; }

bool lg_regs_in_syscall(const lg_regs *regs) { return (long)regs->orig_rax >= 0; }

uint64_t lg_regs_sp(const lg_regs *regs) { return regs->rsp; }

uint64_t lg_regs_pc(const lg_regs *regs) { return regs->rip; }

void lg_regs_mend(lg_regs *regs) {
  if ((long)regs->rax == -EINTR && lg_regs_in_syscall(regs) &&
      lg_call_repeatable((long)regs->orig_rax))
    regs->rax = (unsigned long long)-ERESTARTNOHAND; /* and EINTR if a handler runs */
}

void lg_stub_fill(struct lg_stub_data *data, const lg_regs *regs) {
  uint64_t *to = data->regs;
  to[R15] = regs->r15, to[R14] = regs->r14, to[R13] = regs->r13, to[R12] = regs->r12;
  to[RBP] = regs->rbp, to[RBX] = regs->rbx, to[R11] = regs->r11, to[R10] = regs->r10;
  to[R9] = regs->r9, to[R8] = regs->r8, to[RAX] = regs->rax, to[RCX] = regs->rcx;
  to[RDX] = regs->rdx, to[RSI] = regs->rsi, to[RDI] = regs->rdi, to[TARGET] = regs->rip;
  to[FLAGS] = (regs->eflags & 0xff) << 8 | ((regs->eflags & FLAG_OVERFLOW) != 0);
  if (!lg_regs_in_syscall(regs)) return;
  /* As arch_do_signal_or_restart does it (arch/x86/kernel/signal.c). */
  switch (-(long)regs->rax) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
      to[RAX] = regs->orig_rax;
      to[TARGET] -= 2;
      break;
    case ERESTART_RESTARTBLOCK:
      to[RAX] = SYS_restart_syscall;
      to[TARGET] -= 2;
      break;
    default:
      break;
  }
}

void lg_stub_enter(lg_regs *regs, uint64_t room, const struct lg_stub_code *code) {
  regs->rip = room + code->entry;
  regs->orig_rax = (unsigned long long)-1; /* in no system call: nothing to restart */
}

pid_t lg_stub_just_reaped(const lg_regs *regs) {
  return regs->rax != 0 && (int32_t)regs->rax == (int32_t)regs->rdi ? (pid_t)regs->rdi : 0;
}

uint64_t lg_stub_reaped(const lg_regs *regs) { return regs->r13; }

uint32_t lg_stub_index(const lg_regs *regs) { return (uint32_t)regs->rbx; }
#endif
typedef int lg_stub_x86_64; /* a file must not be empty */
