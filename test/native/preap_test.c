/* Tests of native/preap from the inside. preap_test [NAME...] runs them, each in a
 * process of its own, and prints "ok NAME" or "not ok NAME: why".
 *   preap_test list               their names
 *   preap_test random SEED COUNT  COUNT random filters: ours against the kernel's word */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/seccomp.h>

#include "harness.h"
#include "preap.h"
#include "seccomp.h"
#include "stub.h"
#include "tracee.h"

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000u
#endif

#if defined __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#define OTHER_ARCH AUDIT_ARCH_I386
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define OTHER_ARCH AUDIT_ARCH_ARM
#endif

/* ------------------------------------------------------- filters written by hand */

typedef struct sock_filter insn;

#define ABS(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD(value) BPF_STMT(BPF_LD | BPF_IMM, value)
#define LOAD_X(value) BPF_STMT(BPF_LDX | BPF_IMM, value)
#define RET(value) BPF_STMT(BPF_RET | BPF_K, value)
#define ALLOW RET(SECCOMP_RET_ALLOW)
#define KILL RET(SECCOMP_RET_KILL_PROCESS)
#define IF(op, value, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_K, value, yes, no)
#define IF_X(op, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_X, 0, yes, no)
/* Ends a program: allowed if the accumulator has this value. */
#define ALLOW_IF(value) IF(BPF_JEQ, value, 0, 1), ALLOW, KILL

/* In a block of the exact size: AddressSanitizer sees a read beyond it. */
static bool allows_from(const insn *program, size_t length, uint32_t arch, long nr) {
  insn *copy = malloc(length * sizeof *copy + 1);
  CHECK(copy != NULL);
  memcpy(copy, program, length * sizeof *copy);
  bool yes = lg_seccomp_allows(copy, length, arch, (uint32_t)nr);
  free(copy);
  return yes;
}

#define PROGRAM(...) ((insn[]){__VA_ARGS__}), sizeof((insn[]){__VA_ARGS__}) / sizeof(insn)
#define ALLOWS(nr, ...) CHECK(allows_from(PROGRAM(__VA_ARGS__), OUR_ARCH, nr))
#define DENIES(nr, ...) CHECK(!allows_from(PROGRAM(__VA_ARGS__), OUR_ARCH, nr))

static void actions(void) {
  static const uint32_t no[] = {SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO,
                                SECCOMP_RET_KILL_PROCESS,  SECCOMP_RET_KILL_THREAD,
                                SECCOMP_RET_TRAP,          SECCOMP_RET_TRACE,
                                SECCOMP_RET_USER_NOTIF,    0x7fff0000u ^ 0x10000u,
                                0xffff0000u,               0x7ffb0000u};
  for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
    DENIES(SYS_wait4, RET(no[i]));
    DENIES(SYS_wait4, ABS(nr), IF(BPF_JEQ, SYS_wait4, 0, 1), RET(no[i]), ALLOW);
    ALLOWS(SYS_sched_yield, ABS(nr), IF(BPF_JEQ, SYS_wait4, 0, 1), RET(no[i]), ALLOW);
  }
  ALLOWS(SYS_wait4, ALLOW);
  ALLOWS(SYS_wait4, RET(SECCOMP_RET_ALLOW | 0xffff)); /* its data says nothing */
  ALLOWS(SYS_wait4, RET(SECCOMP_RET_LOG));
  ALLOWS(SYS_wait4, LOAD(SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
  DENIES(SYS_wait4, LOAD(SECCOMP_RET_ERRNO | 1), BPF_STMT(BPF_RET | BPF_A, SECCOMP_RET_ALLOW));
}

static void arch(void) {
#define ARCH_FIRST                                                                        \
  ABS(arch), IF(BPF_JEQ, OUR_ARCH, 1, 0), KILL, ABS(nr), IF(BPF_JEQ, SYS_wait4, 0, 1), ALLOW, KILL
  CHECK(allows_from(PROGRAM(ARCH_FIRST), OUR_ARCH, SYS_wait4));
  CHECK(!allows_from(PROGRAM(ARCH_FIRST), OTHER_ARCH, SYS_wait4));
  CHECK(!allows_from(PROGRAM(ARCH_FIRST), OUR_ARCH, SYS_sched_yield));
}

/* An argument could be anything: who asks for it has not promised to say yes. */
static void arguments(void) {
  static const uint32_t elsewhere[] = {
      offsetof(struct seccomp_data, instruction_pointer),
      offsetof(struct seccomp_data, instruction_pointer) + 4,
      offsetof(struct seccomp_data, args[0]),
      offsetof(struct seccomp_data, args[5]) + 4,
      sizeof(struct seccomp_data),
      1,
      UINT32_MAX - 3,
  };
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
    insn ask = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, elsewhere[i]);
    DENIES(SYS_wait4, ask, ALLOW);
    /* on the way of another call */
    ALLOWS(SYS_wait4, ABS(nr), IF(BPF_JEQ, SYS_clone, 0, 1), ask, ALLOW);
    DENIES(SYS_clone, ABS(nr), IF(BPF_JEQ, SYS_clone, 0, 1), ask, ALLOW);
  }
  DENIES(SYS_wait4, BPF_STMT(BPF_LDX | BPF_W | BPF_ABS, 0), ALLOW); /* there is no such one */
}

static void jumps(void) {
  static const struct {
    uint32_t a;
    uint16_t op;
    uint32_t k;
    bool yes;
  } list[] = {
      {7, BPF_JEQ, 7, true},           {7, BPF_JEQ, 8, false},
      {8, BPF_JGT, 7, true},           {7, BPF_JGT, 7, false},
      {0x80000000u, BPF_JGT, 1, true}, {1, BPF_JGT, 0x80000000u, false}, /* without a sign */
      {7, BPF_JGE, 7, true},           {6, BPF_JGE, 7, false},
      {UINT32_MAX, BPF_JGE, 0, true},  {6, BPF_JSET, 2, true},
      {6, BPF_JSET, 9, false},         {0x80000000u, BPF_JSET, 0x80000000u, true},
      {0, BPF_JSET, UINT32_MAX, false},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    bool yes = list[i].yes;
    test_name = yes ? "jumps (yes)" : "jumps (no)";
    EQUAL(allows_from(PROGRAM(LOAD(list[i].a), IF(list[i].op, list[i].k, 0, 1), ALLOW, KILL),
                      OUR_ARCH, 1), yes);
    EQUAL(allows_from(PROGRAM(LOAD(list[i].a), IF(list[i].op, list[i].k, 1, 0), ALLOW, KILL),
                      OUR_ARCH, 1), !yes);
    EQUAL(allows_from(PROGRAM(LOAD(list[i].a), LOAD_X(list[i].k), IF_X(list[i].op, 0, 1), ALLOW,
                              KILL), OUR_ARCH, 1), yes);
    EQUAL(allows_from(PROGRAM(LOAD(list[i].a), LOAD_X(list[i].k), IF_X(list[i].op, 2, 1), KILL,
                              KILL, ALLOW), OUR_ARCH, 1), yes);
  }
  ALLOWS(1, BPF_STMT(BPF_JMP | BPF_JA, 0), ALLOW);
  ALLOWS(1, BPF_STMT(BPF_JMP | BPF_JA, 2), KILL, KILL, ALLOW);
  DENIES(1, BPF_STMT(BPF_JMP | BPF_JA, 1), ALLOW, KILL);
  DENIES(1, BPF_STMT(BPF_JMP | 0x50, 0), ALLOW); /* no such jump */
  insn far[300];
  for (int i = 0; i < 300; i++) far[i] = (insn)KILL;
  far[0] = (insn)IF(BPF_JEQ, 0, 255, 0);
  far[256] = (insn)BPF_STMT(BPF_JMP | BPF_JA, 42);
  far[299] = (insn)ALLOW;
  CHECK(allows_from(far, 300, OUR_ARCH, 1));
}

static void arithmetic(void) {
  static const struct {
    uint32_t a;
    uint16_t op;
    uint32_t k, result;
  } list[] = {
      {3, BPF_ADD, 4, 7},
      {UINT32_MAX, BPF_ADD, 2, 1},
      {3, BPF_SUB, 4, UINT32_MAX},
      {0x10001, BPF_MUL, 0x10001, 0x20001},
      {100, BPF_DIV, 7, 14},
      {0x80000000u, BPF_DIV, UINT32_MAX, 0},
      {12, BPF_OR, 3, 15},
      {12, BPF_AND, 6, 4},
      {12, BPF_XOR, 6, 10},
      {3, BPF_LSH, 31, 0x80000000u},
      {0x80000000u, BPF_RSH, 31, 1},
      {5, BPF_LSH, 0, 5},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    uint16_t op = list[i].op;
    uint32_t k = list[i].k, result = list[i].result;
    ALLOWS(1, LOAD(list[i].a), BPF_STMT(BPF_ALU | op | BPF_K, k), ALLOW_IF(result));
    ALLOWS(1, LOAD(list[i].a), LOAD_X(k), BPF_STMT(BPF_ALU | op | BPF_X, 99), ALLOW_IF(result));
    DENIES(1, LOAD(list[i].a), BPF_STMT(BPF_ALU | op | BPF_K, k), ALLOW_IF(result + 1));
  }
  ALLOWS(1, LOAD(5), BPF_STMT(BPF_ALU | BPF_NEG, 0), ALLOW_IF(-5u));
  ALLOWS(1, LOAD(0), BPF_STMT(BPF_ALU | BPF_NEG, 0), ALLOW_IF(0));
  /* The kernel ends the program with 0, that is KILL. */
  DENIES(1, LOAD(5), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW);
  DENIES(1, LOAD(5), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW);
  /* Shifts by 32 and more are the processor's business: no promise. */
  DENIES(1, LOAD(5), LOAD_X(32), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), ALLOW);
  DENIES(1, LOAD(5), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 40), ALLOW);
  DENIES(1, LOAD(5), BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), ALLOW); /* not in seccomp */
}

static void memory(void) {
  for (uint32_t i = 0; i < BPF_MEMWORDS; i++) {
    ALLOWS(1, LOAD(i + 70), BPF_STMT(BPF_ST, i), LOAD(0), BPF_STMT(BPF_LD | BPF_MEM, i),
           ALLOW_IF(i + 70));
    ALLOWS(1, LOAD_X(i + 70), BPF_STMT(BPF_STX, i), LOAD_X(0), BPF_STMT(BPF_LDX | BPF_MEM, i),
           BPF_STMT(BPF_MISC | BPF_TXA, 0), ALLOW_IF(i + 70));
  }
  ALLOWS(1, LOAD(1), BPF_STMT(BPF_ST, 0), LOAD(2), BPF_STMT(BPF_ST, 1),
         BPF_STMT(BPF_LD | BPF_MEM, 0), ALLOW_IF(1));
  static const uint32_t beyond[] = {BPF_MEMWORDS, BPF_MEMWORDS + 1, UINT32_MAX};
  for (size_t i = 0; i < 3; i++) {
    DENIES(1, BPF_STMT(BPF_ST, beyond[i]), ALLOW);
    DENIES(1, BPF_STMT(BPF_STX, beyond[i]), ALLOW);
    DENIES(1, BPF_STMT(BPF_LD | BPF_MEM, beyond[i]), ALLOW);
    DENIES(1, BPF_STMT(BPF_LDX | BPF_MEM, beyond[i]), ALLOW);
  }
  ALLOWS(1, LOAD(9), BPF_STMT(BPF_MISC | BPF_TAX, 0), LOAD(0), BPF_STMT(BPF_MISC | BPF_TXA, 0),
         ALLOW_IF(9));
  ALLOWS(1, BPF_STMT(BPF_MISC | BPF_TXA, 0), ALLOW_IF(0)); /* both begin as 0 */
  DENIES(1, BPF_STMT(BPF_MISC | 0x40, 0), ALLOW);
  uint32_t size = sizeof(struct seccomp_data);
  ALLOWS(1, BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), ALLOW_IF(size));
  ALLOWS(1, BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0),
         ALLOW_IF(size));
}

static void no_end(void) {
  CHECK(!lg_seccomp_allows(NULL, 0, OUR_ARCH, 1));
  DENIES(1, LOAD(SECCOMP_RET_ALLOW));
  DENIES(1, ABS(nr), IF(BPF_JEQ, 1, 1, 0), ALLOW); /* out at the end */
  DENIES(1, BPF_STMT(BPF_JMP | BPF_JA, 5), ALLOW);
  DENIES(1, BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), ALLOW);
  DENIES(1, BPF_STMT(BPF_LD | BPF_IND, 0), ALLOW);
  DENIES(1, BPF_STMT(BPF_LDX | BPF_MSH, 0), ALLOW);
}

/* ------------------------------------------------------------- filters by chance */

static uint64_t seed;

static uint32_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)(seed >> 11);
}

static uint32_t below(uint32_t limit) { return next_random() % limit; }

/* Anything at all, also what no kernel would take. */
static void garbage(void) {
  seed = 0x9e3779b97f4a7c15u;
  for (int round = 0; round < 100000; round++) {
    insn program[24];
    uint32_t length = 1 + below(24);
    for (uint32_t i = 0; i < length; i++)
      program[i] = (insn){(uint16_t)(below(4) == 0 ? next_random() : below(256)),
                          (uint8_t)below(below(2) == 0 ? 4 : 256), (uint8_t)below(8),
                          below(3) == 0 ? next_random() : below(70)};
    (void)allows_from(program, length, OUR_ARCH, (long)below(500));
  }
}

/* Calls that succeed with a number that no other result looks like. */
static const long calls[] = {SYS_getpid, SYS_getppid, SYS_gettid, SYS_getsid, SYS_getpgid};
enum { CALLS = sizeof calls / sizeof *calls, MOST = 64 };

static uint32_t any_number(void) {
  switch (below(6)) {
    case 0: return (uint32_t)calls[below(CALLS)];
    case 1: return next_random();
    case 2: return OUR_ARCH;
    case 3: return 1u << below(32);
    default: return below(40);
  }
}

static uint32_t any_action(void) {
  static const uint32_t list[] = {
      SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW | 0x1234,
      SECCOMP_RET_LOG,   SECCOMP_RET_ERRNO, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_TRAP,
      SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_KILL_THREAD,
      SECCOMP_RET_KILL_PROCESS};
  return below(30) == 0 ? next_random() : list[below(sizeof list / sizeof *list)];
}

/* One that the kernel takes. Asks for nr and arch alone; all calls but the above pass
 * at the begin. shifts: it has a shift whose width is not known before. */
static size_t any_program(insn *p, bool *shifts) {
  static const uint16_t alu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,
                                 BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH};
  static const uint16_t ifs[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
  size_t n = 0, length = CALLS + 7 + 3 + below(30);
  *shifts = false;
  p[n++] = (insn)ABS(nr);
  for (uint8_t i = 0; i < CALLS; i++)
    p[n++] = (insn)IF(BPF_JEQ, (uint32_t)calls[i], (uint8_t)(CALLS - i), 0);
  p[n++] = (insn)ALLOW;
  for (uint32_t i = 0; i < 4; i++) p[n++] = (insn)BPF_STMT(BPF_ST, i); /* no load before it */
  while (n < length - 1) {
    uint32_t left = (uint32_t)(length - n - 1), most = left < 9 ? left : 9;
    uint16_t from = below(2) == 0 ? BPF_K : BPF_X, op;
    switch (below(12)) {
      case 0: p[n++] = (insn)ABS(nr); break;
      case 1: p[n++] = (insn)ABS(arch); break;
      case 2: p[n++] = (insn)BPF_STMT(below(2) ? BPF_LD | BPF_IMM : BPF_LDX | BPF_IMM, any_number()); break;
      case 3: p[n++] = (insn)BPF_STMT(below(2) ? BPF_LD | BPF_MEM : BPF_LDX | BPF_MEM, below(4)); break;
      case 4: p[n++] = (insn)BPF_STMT(below(2) ? BPF_ST : BPF_STX, below(BPF_MEMWORDS)); break;
      case 5: p[n++] = (insn)BPF_STMT(BPF_MISC | (below(2) ? BPF_TAX : BPF_TXA), 0); break;
      case 6: p[n++] = (insn)BPF_STMT((below(2) ? BPF_LD : BPF_LDX) | BPF_W | BPF_LEN, 0); break;
      case 7: p[n++] = (insn)BPF_STMT(BPF_JMP | BPF_JA, below(most)); break;
      case 8:
        if (below(3) == 0) p[n++] = (insn)RET(any_action());
        else if (below(4) == 0) p[n++] = (insn)BPF_STMT(BPF_RET | BPF_A, 0);
        else p[n++] = (insn)BPF_STMT(BPF_ALU | BPF_NEG, 0);
        break;
      case 9:
        op = alu[below(sizeof alu / sizeof *alu)];
        bool shift = op == BPF_LSH || op == BPF_RSH;
        if (shift && from == BPF_X) *shifts = true;
        uint32_t k = shift ? below(32) : any_number();
        p[n++] = (insn)BPF_STMT(BPF_ALU | op | from, op == BPF_DIV && k == 0 ? 1 : k);
        break;
      default:
        op = ifs[below(4)];
        p[n++] = (insn)BPF_JUMP(BPF_JMP | op | from, any_number(), (uint8_t)below(most),
                                (uint8_t)below(most));
    }
  }
  p[n++] = (insn)RET(any_action());
  return n;
}

static void on_sigsys(int signal) { (void)signal; }

struct seen {
  int at;                /* the call that was begun last */
  int error;             /* of seccomp(2)                */
  bool passed[CALLS];
};

static void try_calls(const insn *program, size_t length, volatile struct seen *seen) {
  struct sock_fprog whole = {(unsigned short)length, (insn *)(uintptr_t)program};
  struct sigaction action = {.sa_handler = on_sigsys};
  struct rlimit none = {0, 0};
  sigaction(SIGSYS, &action, NULL);
  setrlimit(RLIMIT_CORE, &none);
  long self = setsid(), wanted[CALLS] = {self, getppid(), self, self, self};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) != 0) {
    seen->error = errno;
    _exit(0);
  }
  while (++seen->at < CALLS) {
    int i = seen->at;
    seen->passed[i] = syscall(calls[i], 0) == wanted[i];
  }
  _exit(0);
}

static int random_programs(uint64_t first, int count) {
  struct seen *seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int allowed = 0, denied = 0, undecided = 0;
  test_name = "random";
  CHECK(seen != MAP_FAILED && first != 0);
  for (int round = 0; round < count; round++) {
    insn program[MOST];
    bool shifts;
    /* Its own seed, so that one program alone can be looked at. */
    seed = first + (uint64_t)round;
    for (int i = 0; i < 8; i++) (void)next_random();
    size_t length = any_program(program, &shifts);
    *seen = (struct seen){.at = -1};
    do {
      pid_t pid = fork();
      CHECK(pid >= 0);
      if (pid == 0) try_calls(program, length, seen);
      int status;
      EQUAL(waitpid(pid, &status, 0), pid);
      if (WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS)
        fail(__LINE__, "seed %llu: signal %d", (unsigned long long)first + round, WTERMSIG(status));
      if (seen->error != 0)
        fail(__LINE__, "seed %llu: the kernel does not take it: %s",
             (unsigned long long)first + round, strerror(seen->error));
    } while (seen->at < CALLS); /* killed at that one: go on with the next */
    for (int i = 0; i < CALLS; i++) {
      bool ours = allows_from(program, length, OUR_ARCH, calls[i]), theirs = seen->passed[i];
      if (ours != theirs && (ours || !shifts))
        fail(__LINE__, "seed %llu: call %ld: the kernel %s it, we say it %s",
             (unsigned long long)first + round, calls[i], theirs ? "passes" : "stops",
             ours ? "passes" : "does not");
      if (ours) allowed++;
      else if (theirs) undecided++;
      else denied++;
    }
  }
  /* Else the programs are no test. */
  CHECK(allowed > count && denied > count && undecided < count);
  printf("ok random\n");
  return 0;
}

/* ---------------------------------------------------------------------- the stub */

static void stub_layout(void) {
  struct lg_stub_code c = lg_stub_code();
  CHECK(c.size <= 1024);
  EQUAL(c.entry, sizeof(struct lg_stub_data));
  CHECK(c.entry < c.after_wait && c.after_wait < c.tail && c.tail < c.size);
  for (size_t i = 0; i < c.entry; i++) EQUAL(c.bytes[i], 0);
  /* A stop in the last call before the tail must not look like one in the tail. */
#if defined __x86_64__
  CHECK(memcmp(c.bytes + c.tail - 3, "\x0f\x05\x90", 3) == 0);
  CHECK(memcmp(c.bytes + c.after_wait - 2, "\x0f\x05", 2) == 0); /* syscall */
#else
  CHECK(memcmp(c.bytes + c.tail - 8, "\x01\x00\x00\xd4\x1f\x20\x03\xd5", 8) == 0);
  CHECK(memcmp(c.bytes + c.after_wait - 4, "\x01\x00\x00\xd4", 4) == 0); /* svc #0 */
#endif
  struct lg_stub_code again = lg_stub_code();
  EQUAL(memcmp(&again, &c, sizeof c), 0);
}

#if defined __x86_64__
static void mend(void) {
  static const long yes[] = {SYS_epoll_wait,  SYS_epoll_pwait,      441,
                             SYS_semop,       SYS_semtimedop,       SYS_rt_sigtimedwait,
                             SYS_io_getevents, 333,                 SYS_read,
                             SYS_readv,       SYS_recvfrom,         SYS_recvmsg,
                             SYS_accept,      SYS_accept4,          SYS_write,
                             SYS_writev,      SYS_sendto,           SYS_sendmsg,
                             SYS_msgrcv,      SYS_msgsnd,           SYS_mq_timedreceive,
                             SYS_mq_timedsend, 426,                 449,
                             455};
  for (long nr = -1; nr < 600; nr++) {
    bool listed = false;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) listed |= yes[i] == nr;
    static const long results[] = {-EINTR, -512, -513, -514, -516, -EAGAIN, 0, 4, EINTR};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
      lg_regs before, after;
      memset(&before, 0x5a, sizeof before);
      before.orig_rax = (unsigned long long)nr;
      before.rax = (unsigned long long)results[i];
      after = before;
      lg_regs_mend(&after);
      EQUAL(lg_regs_in_syscall(&before), nr >= 0);
      bool changed = memcmp(&before, &after, sizeof after) != 0;
      if (changed != (listed && results[i] == -EINTR))
        fail(__LINE__, "call %ld, result %ld", nr, results[i]);
      before.rax = (unsigned long long)-514; /* ERESTARTNOHAND: EINTR if a handler runs */
      if (changed) EQUAL(memcmp(&before, &after, sizeof after), 0);
    }
  }
}

/* Where the stub goes on when it is alone, and what it loads there. */
static void fill(void) {
  struct {
    long nr, result;
    uint64_t rax, back;
  } list[] = {{-1, -512, (uint64_t)-512, 0},
              {SYS_read, 5, 5, 0},
              {SYS_read, -EINTR, (uint64_t)-EINTR, 0},
              {SYS_read, -512, SYS_read, 2},
              {SYS_read, -513, SYS_read, 2},
              {SYS_read, -514, SYS_read, 2},
              {SYS_poll, -516, SYS_restart_syscall, 2}};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    struct lg_stub_data data = {.magic = 1};
    lg_regs regs;
    memset(&regs, 0, sizeof regs);
    regs.orig_rax = (unsigned long long)list[i].nr;
    regs.rax = (unsigned long long)list[i].result;
    regs.rip = 0x401000;
    regs.rcx = 11, regs.rbx = 12, regs.r15 = 13;
    regs.eflags = 0x8d5 | 0x202;
    lg_stub_fill(&data, &regs);
    EQUAL(data.regs[10], list[i].rax);
    EQUAL(data.regs[15], 0x401000 - list[i].back);
    EQUAL(data.regs[11], 11);
    EQUAL(data.regs[5], 12);
    EQUAL(data.regs[0], 13);
    CHECK(lg_regs_may_leave(&regs));
    regs.eflags |= 0x400;
    CHECK(!lg_regs_may_leave(&regs)); /* the direction flag */
    struct lg_stub_code code = lg_stub_code();
    lg_stub_enter(&regs, 0x7000, &code);
    EQUAL(lg_regs_pc(&regs), 0x7000 + code.entry);
    CHECK(!lg_regs_in_syscall(&regs));
  }
}
#endif

/* A call that a stop interrupts: no EINTR may be seen. Each returns true if all was well. */
static int pipes[2];

static bool in_read(void) {
  char byte = 0;
  return read(pipes[0], &byte, 1) == 1 && byte == 'x';
}

static bool in_poll(void) {
  struct pollfd p = {.fd = pipes[0], .events = POLLIN};
  return poll(&p, 1, -1) == 1 && in_read();
}

static bool in_poll_with_timeout(void) {
  struct pollfd p = {.fd = pipes[0], .events = POLLIN};
  return poll(&p, 1, 3600 * 1000) == 1 && in_read();
}

static bool in_nanosleep(void) {
  struct timespec t = {.tv_nsec = 300000000};
  int64_t from = lg_clock();
  return nanosleep(&t, NULL) == 0 && lg_clock() - from >= t.tv_nsec && in_read();
}

/* Runs all the while; a sum shows a register that changed. */
static bool in_computation(void) {
  char byte;
  if (fcntl(pipes[0], F_SETFL, O_NONBLOCK) != 0) return false;
  for (;;) {
    uint64_t sums[2];
    for (int turn = 0; turn < 2; turn++) {
      uint64_t a = 1, b = 2, c = 3, d = 4;
      double e = 5;
      for (int i = 0; i < 20000; i++) {
        a = a * 6364136223846793005u + b, b ^= a >> 7, c += a ^ (b << 3), d -= c * 31;
        e = e * 0.5 + (double)(d & 0xffff);
      }
      sums[turn] = a ^ b ^ c ^ d ^ (uint64_t)e;
    }
    if (sums[0] != sums[1]) return false;
    ssize_t n = read(pipes[0], &byte, 1);
    if (n == 1) return byte == 'x';
    if (n != -1 || errno != EAGAIN) return false;
  }
}

static int ready[2];
static bool (*busy_in_thread)(void);

static void *second_thread(void *unused) {
  pid_t tid = gettid();
  if (write(ready[1], &tid, sizeof tid) != sizeof tid || !busy_in_thread()) _exit(95);
  return unused;
}

static bool in_join(void) {
  pthread_t thread;
  return pthread_create(&thread, NULL, second_thread, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

/* Interrupts the last part of a stub, and goes back to it. */
static void slow_handler(int sig) {
  (void)sig;
  if (write(ready[1], "h", 1) != 1) _exit(96);
  struct timespec t = {.tv_nsec = 300000000};
  while (nanosleep(&t, &t) != 0) continue;
}

/* A call of ours while a thread that is not the one we would choose still is in the room. */
static void call_meanwhile(pid_t pid, pid_t zombie) {
  struct lg_zombie z = {.pid = zombie, .inner = zombie};
  struct lg_preap_request ask = {.parent = pid, .limit_ns = 60000000000, .zombies = &z, .count = 1};
  struct lg_preap_result out;
  char state;
  EQUAL(lg_process_stat(pid, &state, &ask.start_ticks), 0);
  EQUAL(lg_process_stat(zombie, &state, &z.start_ticks), 0);
  do lg_preap(&ask, &out);
  while (out.refusal == LG_REFUSED_BUSY);
  EQUAL(out.refusal, LG_REFUSED_NOT);
  EQUAL(z.outcome, LG_ZOMBIE_REAPED);
}

/* The tracer goes away in the moment the stub starts: it must do all of it alone.
 * in_thread: in the second thread, while the first one joins. handled: a signal comes
 * meanwhile, whose handler then runs before the stub has put back all. */
static void abandon(bool (*busy)(void), bool in_thread, bool handled) {
  CHECK(pipe(pipes) == 0 && pipe(ready) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    sigset_t mask, now;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (handled) signal(SIGUSR2, slow_handler);
    pid_t made[4];
    for (int i = 0; i < 4; i++) {
      made[i] = fork();
      if (made[i] == 0) _exit(i);
      siginfo_t info;
      if (waitid(P_PID, (id_t)made[i], &info, WEXITED | WNOWAIT) != 0) _exit(90);
    }
    if (write(ready[1], made, sizeof made) != sizeof made) _exit(91);
    busy_in_thread = busy;
    if (!(in_thread ? in_join() : busy())) _exit(92);
    sigprocmask(SIG_BLOCK, NULL, &now);
    if (memcmp(&mask, &now, 8) != 0) _exit(93);
    if (waitpid(-1, NULL, 0) != -1 || errno != ECHILD) _exit(94);
    exit(7);
  }
  struct lg_stub_code code = lg_stub_code();
  struct lg_stub_data data = {.magic = LG_STUB_MAGIC, .pause = {0, 1000000}, .count = 3};
  /* The fourth is left to a call of ours, or to the parent itself. */
  EQUAL(read(ready[0], data.pids, 4 * sizeof(int32_t)), 4 * sizeof(int32_t));
  if (!in_thread && !handled) data.count = 4;
  pid_t tid = pid;
  if (in_thread) EQUAL(read(ready[0], &tid, sizeof tid), sizeof tid);
  if (in_thread) data.pause[1] = 900000000;
  if (busy != in_computation)
    for (;;) { /* until it sleeps */
      struct lg_thread_status status;
      CHECK(lg_thread_status(pid, tid, &status) == 0);
      if (status.state == 'S') break;
      lg_pause(100000);
    }
  uint64_t room, again;
  struct lg_stub_data left;
  int error = 0;
  int memory = lg_tracee_memory(tid);
  EQUAL(lg_tracee_room(tid, memory, code.size, &room, &left), LG_REFUSED_NOT);
  EQUAL(left.magic, 0);
  data.owner = tid;
  lg_regs regs;
  bool foreign;
  CHECK(memory >= 0);
  for (;;) {
    EQUAL(lg_tracee_seize(tid, &error), LG_REFUSED_NOT);
    EQUAL(lg_tracee_stop(tid, 10000000000), LG_REFUSED_NOT);
    EQUAL(lg_tracee_regs(tid, &regs, &foreign), 0);
    if (!lg_tracee_in_rseq(tid, memory, &regs) && lg_regs_may_leave(&regs)) break;
    lg_tracee_detach(tid);
  }
  CHECK(!foreign);
  EQUAL(lg_tracee_mask(tid, &data.mask), 0);
  EQUAL(data.mask, 1ull << (SIGUSR1 - 1));
  lg_regs_mend(&regs);
  lg_stub_fill(&data, &regs);
  data.sp = lg_regs_sp(&regs);
  unsigned char whole[1024];
  memcpy(whole, code.bytes, code.size);
  memcpy(whole, &data, sizeof data);
  EQUAL(lg_tracee_write(tid, memory, room, whole, code.size), 0);
  lg_stub_enter(&regs, room, &code);
  EQUAL(lg_tracee_set_regs(tid, &regs), 0);
  EQUAL(lg_tracee_set_mask(tid, ~0ull), 0);
  if (handled) EQUAL(kill(pid, SIGUSR2), 0);
  lg_tracee_detach(tid);
  /* What is left in the room is known as ours, and is no hindrance. */
  EQUAL(lg_tracee_room(tid, memory, code.size, &again, &left), LG_REFUSED_NOT);
  EQUAL(left.magic, LG_STUB_MAGIC);
  EQUAL(left.owner, tid);
  EQUAL(again, room);
  close(memory);
  char byte;
  if (handled) EQUAL(read(ready[0], &byte, 1), 1);
  if (in_thread || handled) call_meanwhile(pid, data.pids[3]);
  EQUAL(write(pipes[1], "x", 1), 1);
  int status;
  EQUAL(waitpid(pid, &status, 0), pid);
  if (status != 7 << 8) fail(__LINE__, "status %#x", status);
}

static void abandoned_in_read(void) { abandon(in_read, false, false); }
static void abandoned_in_poll(void) { abandon(in_poll, false, false); }
static void abandoned_in_poll_with_timeout(void) { abandon(in_poll_with_timeout, false, false); }
static void abandoned_in_nanosleep(void) { abandon(in_nanosleep, false, false); }
static void abandoned_in_computation(void) {
  for (int i = 0; i < 20; i++) abandon(in_computation, false, false);
}

static void abandoned_under_a_handler(void) {
  abandon(in_read, false, true); /* poll would rightly see EINTR */
}

static void abandoned_in_another_thread(void) {
  abandon(in_read, true, false);
  abandon(in_poll_with_timeout, true, false);
}

/* --------------------------------------------------------------- the whole, in C */

static void request_of_nobody(void) {
  struct lg_zombie z = {.pid = 1, .inner = 1, .start_ticks = 1, .outcome = LG_ZOMBIE_KEPT};
  pid_t wrong[] = {0, -1, getpid()};
  for (size_t i = 0; i < 3; i++) {
    struct lg_preap_request ask = {.parent = wrong[i], .zombies = &z, .count = 1, .limit_ns = 1};
    struct lg_preap_result out;
    lg_preap(&ask, &out);
    EQUAL(out.refusal, LG_REFUSED_FAILED);
    EQUAL(out.error, EINVAL);
    EQUAL(z.outcome, LG_ZOMBIE_LEFT);
  }
}

/* A child of ours that ends meanwhile is seen as always; the helper process never is. */
static void only_our_own_children(void) {
  enum { MANY = 400 };
  struct lg_zombie zombies[MANY];
  struct lg_preap_request ask = {.limit_ns = 60000000000, .zombies = zombies, .count = MANY};
  struct lg_preap_result out;
  sigset_t child, before, after;
  char state;
  int made[2], ends[2], status;
  pid_t pids[MANY];
  CHECK(pipe(made) == 0 && pipe(ends) == 0);
  ask.parent = fork();
  CHECK(ask.parent >= 0);
  if (ask.parent == 0) {
    for (int i = 0; i < MANY; i++) {
      siginfo_t info;
      pids[i] = fork();
      if (pids[i] == 0) _exit(0);
      if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT) != 0) _exit(90);
    }
    if (write(made[1], pids, sizeof pids) != sizeof pids || read(ends[0], &state, 1) != 1) _exit(91);
    _exit(waitpid(-1, NULL, 0) == -1 && errno == ECHILD ? 5 : 92);
  }
  EQUAL(read(made[0], pids, sizeof pids), sizeof pids);
  EQUAL(lg_process_stat(ask.parent, &state, &ask.start_ticks), 0);
  for (int i = 0; i < MANY; i++) {
    zombies[i] = (struct lg_zombie){.pid = pids[i], .inner = pids[i]};
    EQUAL(lg_process_stat(pids[i], &state, &zombies[i].start_ticks), 0);
  }
  pid_t own = fork();
  CHECK(own >= 0);
  if (own == 0) { /* ends when the first one is reaped */
    while (kill(pids[0], 0) == 0) lg_pause(20000);
    _exit(6);
  }
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  sigprocmask(SIG_BLOCK, NULL, &before);
  lg_preap(&ask, &out);
  sigprocmask(SIG_BLOCK, NULL, &after);
  EQUAL(memcmp(&before, &after, 8), 0);
  EQUAL(out.refusal, LG_REFUSED_NOT);
  EQUAL(out.reaped, MANY);
  for (int i = 0; i < MANY; i++) EQUAL(zombies[i].outcome, LG_ZOMBIE_REAPED);
  siginfo_t info;
  EQUAL(sigwaitinfo(&child, &info), SIGCHLD);
  EQUAL(info.si_pid, own);
  EQUAL(waitpid(-1, &status, 0), own);
  EQUAL(status, 6 << 8);
  EQUAL(waitpid(-1, &status, WNOHANG | __WALL), 0); /* the parent alone is left */
  struct timespec none = {0, 0};
  EQUAL(sigtimedwait(&child, NULL, &none), -1);
  EQUAL(write(ends[1], "x", 1), 1);
  EQUAL(waitpid(-1, &status, 0), ask.parent);
  EQUAL(status, 5 << 8);
  EQUAL(waitpid(-1, &status, __WALL), -1);
  EQUAL(errno, ECHILD);
}

static const struct test tests[] = {
    {"actions", actions},
    {"arch", arch},
    {"arguments", arguments},
    {"jumps", jumps},
    {"arithmetic", arithmetic},
    {"memory", memory},
    {"no_end", no_end},
    {"garbage", garbage},
    {"stub_layout", stub_layout},
#if defined __x86_64__
    {"mend", mend},
    {"fill", fill},
#endif
    {"abandoned_in_read", abandoned_in_read},
    {"abandoned_in_poll", abandoned_in_poll},
    {"abandoned_in_poll_with_timeout", abandoned_in_poll_with_timeout},
    {"abandoned_in_nanosleep", abandoned_in_nanosleep},
    {"abandoned_in_computation", abandoned_in_computation},
    {"abandoned_under_a_handler", abandoned_under_a_handler},
    {"abandoned_in_another_thread", abandoned_in_another_thread},
    {"request_of_nobody", request_of_nobody},
    {"only_our_own_children", only_our_own_children},
};
enum { TESTS = sizeof tests / sizeof *tests };

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    for (size_t i = 0; i < TESTS; i++) puts(tests[i].name);
    return 0;
  }
  if (argc == 4 && strcmp(argv[1], "random") == 0)
    return random_programs(strtoull(argv[2], NULL, 10), atoi(argv[3]));
  return run_tests(tests, TESTS, argc, argv);
}
