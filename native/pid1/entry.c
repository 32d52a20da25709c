/*
 * The first instructions: block every signal, before the C library starts. A signal
 * that comes from here on waits in the kernel until COMMAND runs (signal(7): blocked
 * ones are kept for PID 1 too, although it has no handler for them).
 */
#include "pid1.h"

__attribute__((used)) uint64_t lg_inherited_mask; /* by the assembler */

/* rt_sigprocmask(SIG_BLOCK, all, &lg_inherited_mask, 8), then the C library's _start,
 * which finds stack and registers as the kernel left them. */
#if defined __x86_64__
__asm__(
    ".text\n.globl lg_entry\n.type lg_entry,@function\nlg_entry:\n"
    "  pushq $-1\n"
    "  movl $14, %eax\n"
    "  xorl %edi, %edi\n"
    "  movq %rsp, %rsi\n"
    "  movl $lg_inherited_mask, %edx\n"
    "  movl $8, %r10d\n"
    "  syscall\n"
    "  popq %rax\n"
    "  xorl %edx, %edx\n"
    "  jmp _start\n"
    ".size lg_entry, .-lg_entry\n");
#elif defined __aarch64__
__asm__(
    ".text\n.globl lg_entry\n.type lg_entry,%function\nlg_entry:\n"
    "  mov x9, #-1\n"
    "  str x9, [sp, #-16]!\n"
    "  mov x8, #135\n"
    "  mov x0, #0\n"
    "  mov x1, sp\n"
    "  adrp x2, lg_inherited_mask\n"
    "  add x2, x2, :lo12:lg_inherited_mask\n"
    "  mov x3, #8\n"
    "  svc #0\n"
    "  add sp, sp, #16\n"
    "  mov x0, #0\n"
    "  b _start\n"
    ".size lg_entry, .-lg_entry\n");
#else
#error "lychgate-pid1: no entry for this instruction set"
#endif
