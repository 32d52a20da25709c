/*
 * Who does the work: a helper process that shares our memory. The stops of the tracee
 * are told to the helper and never meet our own waitpid, and its end, however it comes,
 * lets the tracee go.
 */
#include "preap.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "work.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9 */
#endif

static char stack[128 * 1024] __attribute__((aligned(64)));
static atomic_flag taken = ATOMIC_FLAG_INIT;

/* A helper kept for later: where zombies have used up the limit of processes, none
 * could be made any more. It waits for turn to be JOB. */
enum turn { IDLE, JOB, DONE, QUIT };
static _Atomic int turn;
static struct work *job;
static pid_t keeper;

/* errno belongs to the thread that made the keeper, and that one runs on meanwhile. */
static long raw(long nr, long a, long b, long c, long d) {
#if defined __x86_64__
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#endif
}

static void futex_wait(int value, const struct timespec *most) {
  raw(SYS_futex, (long)&turn, FUTEX_WAIT, value, (long)most);
}

static void pass(int to) {
  atomic_store(&turn, to);
  raw(SYS_futex, (long)&turn, FUTEX_WAKE, 1, 0);
}

static int keep(void *argument) {
  static const char name[] = "lychgate-reap";
  (void)argument;
  raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0); /* the memory is not ours alone */
  raw(SYS_prctl, PR_SET_NAME, (long)name, 0, 0);
  /* A copy of our descriptors: a pipe kept open here would never end for its reader. */
  if (raw(SYS_close_range, 0, ~0u, 0, 0) != 0)
    for (int fd = 0; fd < 4096; fd++) raw(SYS_close, fd, 0, 0, 0);
  for (;;) {
    int now = atomic_load(&turn);
    if (now == QUIT) return 0;
    if (now != JOB) {
      futex_wait(now, NULL);
      continue;
    }
    lg_work(job); /* who asked waits: errno is free */
    /* Whom it could not stop it can let go by its end alone. */
    bool end = job->out->refusal != LG_REFUSED_NOT;
    pass(DONE);
    if (end) return 0;
  }
}

/* Whether there is one, and nobody has killed it. */
static bool keeper_lives(void) {
  int status;
  if (keeper != 0 && waitpid(keeper, &status, WNOHANG | __WALL) != 0) keeper = 0;
  return keeper != 0;
}

static void forget_keeper(void) {
  int status;
  while (waitpid(keeper, &status, __WALL) < 0 && errno == EINTR) continue;
  keeper = 0;
}

/* All blocked: handlers run on our other threads, never in the helper, and this thread
 * is not chosen while it waits. The C library's function leaves two out. */
static uint64_t block_all(void) {
  uint64_t all = ~0ull, mask;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
  return mask;
}

static void unblock(uint64_t mask) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

int lg_preap_keep(bool yes) {
  if (atomic_flag_test_and_set(&taken)) return -EBUSY;
  int error = 0;
  bool lives = keeper_lives();
  if (!yes && lives) {
    pass(QUIT);
    forget_keeper();
  }
  if (yes && !lives) {
    atomic_store(&turn, IDLE);
    uint64_t mask = block_all();
    pid_t pid = clone(keep, stack + sizeof stack, CLONE_VM, NULL);
    if (pid > 0) keeper = pid;
    else error = -errno;
    unblock(mask);
  }
  atomic_flag_clear(&taken);
  return error;
}

/* False when it has been killed. */
static bool by_keeper(struct work *w) {
  static const struct timespec look_after = {.tv_nsec = 50 * MS};
  job = w;
  pass(JOB);
  while (atomic_load(&turn) == JOB) {
    futex_wait(JOB, &look_after);
    if (atomic_load(&turn) == JOB && !keeper_lives()) return false;
  }
  if (w->out->refusal != LG_REFUSED_NOT) forget_keeper();
  return true;
}

/* For this job alone. False when it has been killed; or could not be made, then with
 * error and step. */
static bool by_helper(struct work *w) {
  /* No exit signal: waitpid(-1) does not see it (__WCLONE in wait(2)), and neither
   * does a handler of SIGCHLD. */
  pid_t pid = clone(lg_work, stack + sizeof stack, CLONE_VM | CLONE_VFORK, w);
  if (pid < 0) {
    w->out->step = "making a helper process";
    w->out->error = errno;
    return false;
  }
  int status;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) continue;
  return !WIFSIGNALED(status);
}

void lg_preap(const struct lg_preap_request *request, struct lg_preap_result *out) {
  struct work w = {.ask = request, .out = out, .cost = FIRST_GUESS, .code = lg_stub_code()};
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < request->count; i++) request->zombies[i].outcome = LG_ZOMBIE_LEFT;
  out->refusal = LG_REFUSED_FAILED;
  out->step = "reaping";
  out->error = request->parent <= 0 || request->parent == getpid() ? EINVAL : EBUSY;
  if (out->error == EINVAL || atomic_flag_test_and_set(&taken)) return;
  out->step = "the helper process ended";
  out->error = 0;
  uint64_t mask = block_all();
  bool done = keeper_lives() ? by_keeper(&w) : by_helper(&w);
  if (done && out->refusal != LG_REFUSED_FAILED) out->step = NULL;
  unblock(mask);
  atomic_flag_clear(&taken);
}
