/*
 * Rounds. In each one a thread of the parent stands still for less than a
 * millisecond and reaps what it can in that time; then it runs for at least twice
 * as long. stub.h says what runs in it, and why our death does no harm:
 *
 *   before the registers are set    nothing but padding has been changed
 *   after that                      the stub ends by itself and puts all back
 *   after they are put back         the kernel goes on as after any stop
 *
 * The mask is changed after the registers and put back before them, so that it is
 * never the only thing changed.
 */
#include "preap.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracee.h"

#define US 1000ll
#define MS 1000000ll
#define BUDGET (400 * US)       /* of standing still, for the calls themselves     */
#define FIRST_GUESS (30 * US)   /* of one call; learnt from the rounds             */
#define STOP_TIMEOUT (100 * MS) /* a thread that runs or sleeps needs microseconds */
#define YIELDS (1u << 18)       /* of the stub: some 50 ms and more                */
#define TRIES 50

struct work {
  const struct lg_preap_request *ask;
  struct lg_preap_result *out;
  struct lg_stub_code code;
  int64_t cost;
  int64_t let_go;        /* when the last one that stood went on; 0 = none      */
  bool checked;          /* filters and dispatch were looked at ...             */
  int filters;           /* ... when it had so many                             */
  struct lg_zombie *batch[LG_STUB_PIDS];
  uint32_t count;
};

static enum lg_refusal failed(struct work *w, const char *step, int error) {
  if (error == -ESRCH) return LG_REFUSED_VANISHED; /* killed while it stood */
  w->out->step = step;
  w->out->error = -error;
  return LG_REFUSED_FAILED;
}

/* Outside view of one zombie; LEFT = it is still there as it was. */
static enum lg_zombie_outcome look(const struct lg_zombie *z) {
  char state;
  uint64_t start;
  if (lg_process_stat(z->pid, &state, &start) != 0) return LG_ZOMBIE_GONE;
  return state == 'Z' && start == z->start_ticks ? LG_ZOMBIE_LEFT : LG_ZOMBIE_CHANGED;
}

/* The next ones to try, each compared with its identity just now. */
static void collect(struct work *w) {
  uint32_t most = (uint32_t)(BUDGET / w->cost);
  if (most < 1) most = 1;
  if (most > LG_STUB_PIDS) most = LG_STUB_PIDS;
  w->count = 0;
  for (size_t i = 0; i < w->ask->count && w->count < most; i++) {
    struct lg_zombie *z = &w->ask->zombies[i];
    if (z->outcome != LG_ZOMBIE_LEFT) continue;
    z->outcome = look(z);
    if (z->outcome == LG_ZOMBIE_LEFT) w->batch[w->count++] = z;
  }
}

static bool more(const struct work *w) {
  for (size_t i = 0; i < w->ask->count; i++)
    if (w->ask->zombies[i].outcome == LG_ZOMBIE_LEFT) return true;
  return false;
}

static bool in_room(const lg_regs *regs, uint64_t room, const struct work *w) {
  return lg_regs_pc(regs) - room < w->code.size;
}

/* What must hold while it stands, before anything is changed. */
static enum lg_refusal inspect(struct work *w, pid_t tid) {
  struct lg_thread_status status;
  int error = lg_thread_status(w->ask->parent, tid, &status);
  if (error != 0) return LG_REFUSED_VANISHED;
  if (w->checked && status.filters == w->filters && status.filters >= 0) return LG_REFUSED_NOT;
  if (lg_tracee_dispatches(tid)) return LG_REFUSED_SECCOMP;
  enum lg_refusal refusal = lg_tracee_filters(tid, &status, w->ask->descends);
  w->checked = refusal == LG_REFUSED_NOT;
  w->filters = status.filters;
  return refusal;
}

/* What the stub came to. Returns how many calls were made; 0 when it never ran. */
static uint32_t settle(struct work *w, const lg_regs *now, uint64_t room) {
  uint64_t at = lg_regs_pc(now) - room, bits = 0;
  uint32_t made = w->count;
  bool alone = at >= w->code.tail; /* too late: it has gone on by itself */
  if (!alone && at <= w->code.entry) return 0;
  if (!alone) {
    pid_t just = at >= w->code.after_wait ? lg_stub_just_reaped(now) : 0;
    bits = lg_stub_reaped(now);
    if (lg_stub_index(now) < made) made = lg_stub_index(now);
    for (uint32_t i = 0; i < w->count; i++)
      if (just != 0 && w->batch[i]->inner == just) {
        bits |= 1ull << i;
        if (made <= i) made = i + 1;
      }
  }
  for (uint32_t i = 0; i < made; i++) {
    struct lg_zombie *z = w->batch[i];
    enum lg_zombie_outcome seen = (bits >> i & 1) != 0 ? LG_ZOMBIE_REAPED : look(z);
    if (seen == LG_ZOMBIE_LEFT) seen = LG_ZOMBIE_KEPT;
    if (seen == LG_ZOMBIE_GONE && alone) seen = LG_ZOMBIE_REAPED;
    z->outcome = seen;
    if (seen == LG_ZOMBIE_REAPED) w->out->reaped++;
  }
  return made;
}

static void learn(struct work *w, int64_t ran, uint32_t made) {
  int64_t seen = made < w->count ? ran / (made > 0 ? made : 1) : w->cost * 9 / 10;
  w->cost = (w->cost + seen) / 2;
  if (w->cost < 2 * US) w->cost = 2 * US;
  if (w->cost > BUDGET) w->cost = BUDGET;
}

struct place {
  pid_t tid;
  int memory;
  uint64_t room;
};

static void clear(struct work *w, const struct place *at) {
  static const uint64_t zeros[128];
  /* Should that fail, the padding keeps what no one runs. */
  lg_tracee_write(at->tid, at->memory, at->room, zeros, w->code.size);
}

static int write_stub(struct work *w, const struct place *at, const struct lg_stub_data *data) {
  unsigned char whole[1024];
  memcpy(whole, w->code.bytes, w->code.size);
  memcpy(whole, data, sizeof *data);
  return lg_tracee_write(at->tid, at->memory, at->room, whole, w->code.size);
}

/* The thread stands. Returns NOT with *made calls; afterwards it is to be detached,
 * or (DEAF, VANISHED) cannot be. */
static enum lg_refusal standing(struct work *w, const struct place *at, const lg_regs *regs,
                                uint32_t *made) {
  struct lg_stub_data data = {.magic = LG_STUB_MAGIC, .count = w->count, .yields = YIELDS};
  lg_regs original = *regs, entered = *regs, now;
  bool foreign;
  int error = lg_tracee_mask(at->tid, &data.mask);
  if (error != 0) return failed(w, "PTRACE_GETSIGMASK", error);
  lg_regs_mend(&original);
  lg_stub_fill(&data, &original);
  for (uint32_t i = 0; i < w->count; i++) data.pids[i] = w->batch[i]->inner;
  error = write_stub(w, at, &data);
  if (error != 0) return failed(w, "PTRACE_POKEDATA", error);
  lg_stub_enter(&entered, at->room, &w->code);
  error = lg_tracee_set_regs(at->tid, &entered);
  if (error != 0) return failed(w, "PTRACE_SETREGSET", error);
  lg_tracee_set_mask(at->tid, ~0ull); /* without it a handler may run in between: no harm */

  int64_t began = lg_clock();
  int64_t time = w->cost * w->count * 5 / 4 + 10 * US;
  error = lg_tracee_run(at->tid);
  if (error != 0) return LG_REFUSED_VANISHED;
  lg_pause(time < BUDGET ? time : BUDGET);
  enum lg_refusal refusal = lg_tracee_stop(at->tid, STOP_TIMEOUT);
  if (refusal != LG_REFUSED_NOT && refusal != LG_REFUSED_STOPPED) return refusal;
  int64_t ran = lg_clock() - began;
  error = lg_tracee_regs(at->tid, &now, &foreign);
  if (error != 0) return LG_REFUSED_VANISHED;
  if (in_room(&now, at->room, w)) {
    lg_tracee_set_mask(at->tid, data.mask);
    error = lg_tracee_set_regs(at->tid, &original);
    if (error == 0) clear(w, at);
  }
  lg_tracee_detach(at->tid);
  w->let_go = lg_clock();
  *made = settle(w, &now, at->room);
  learn(w, ran, *made);
  return refusal;
}

static enum lg_refusal seize(struct work *w, struct place *at) {
  struct lg_preap_result *out = w->out;
  struct lg_thread_status status;
  char state;
  uint64_t start;
  if (lg_process_stat(w->ask->parent, &state, &start) != 0 || start != w->ask->start_ticks)
    return LG_REFUSED_VANISHED;
  enum lg_refusal refusal = lg_tracee_choose(w->ask->parent, &at->tid);
  if (refusal != LG_REFUSED_NOT) return refusal;
  if (lg_thread_status(w->ask->parent, at->tid, &status) != 0) return LG_REFUSED_VANISHED;
  if (status.tracer != 0) return LG_REFUSED_TRACED;
  refusal = lg_tracee_room(w->ask->parent, w->code.size, &at->room);
  /* Without the permission to trace there is none to look for the room either, and
   * that is then the reason to name. */
  if (refusal == LG_REFUSED_VANISHED || refusal == LG_REFUSED_PERMISSION) return refusal;
  enum lg_refusal seized = lg_tracee_seize(at->tid, &out->error);
  if (seized == LG_REFUSED_FAILED) out->step = "PTRACE_SEIZE";
  if (seized != LG_REFUSED_NOT) return seized;
  if (refusal != LG_REFUSED_NOT) return refusal;
  /* Now the pid cannot become another one's unseen: look again. */
  if (lg_process_stat(w->ask->parent, &state, &start) != 0 || start != w->ask->start_ticks)
    return LG_REFUSED_VANISHED;
  return state == 'T' ? LG_REFUSED_STOPPED : LG_REFUSED_NOT;
}

/* What has to hold once it stands; then the calls. */
static enum lg_refusal visit(struct work *w, const struct place *at, uint32_t *made) {
  lg_regs regs;
  bool foreign;
  int error = lg_tracee_regs(at->tid, &regs, &foreign);
  if (error != 0) return failed(w, "PTRACE_GETREGSET", error);
  if (foreign) return LG_REFUSED_FOREIGN;
  enum lg_refusal refusal = inspect(w, at->tid);
  if (refusal != LG_REFUSED_NOT) return refusal;
  /* A stub that a killed one of us left at work, or a place not to be left. */
  if (in_room(&regs, at->room, w) || !lg_regs_may_leave(&regs) || lg_tracee_in_rseq(at->tid, &regs))
    return LG_REFUSED_BUSY;
  w->out->rounds++;
  return standing(w, at, &regs, made);
}

/* One stop. BUSY: nothing was done, try again. */
static enum lg_refusal round_of(struct work *w, uint32_t *made) {
  struct place at = {.memory = -1};
  enum lg_refusal refusal = seize(w, &at);
  if (refusal != LG_REFUSED_NOT) return refusal;
  at.memory = lg_tracee_memory(w->ask->parent);
  int64_t began = lg_clock();
  refusal = lg_tracee_stop(at.tid, STOP_TIMEOUT);
  if (refusal == LG_REFUSED_NOT) refusal = visit(w, &at, made);
  lg_tracee_detach(at.tid); /* again where standing() did: then it does nothing */
  int64_t stood = w->let_go - began;
  if (w->let_go == 0) stood = lg_clock() - began;
  w->let_go = 0;
  w->out->total_ns += (uint64_t)stood;
  if ((uint64_t)stood > w->out->longest_ns) w->out->longest_ns = (uint64_t)stood;
  if (at.memory >= 0) close(at.memory);
  return refusal;
}

static enum lg_refusal rounds(struct work *w) {
  int64_t until = lg_clock() + w->ask->limit_ns;
  int busy = 0, idle = 0;
  do {
    collect(w);
    if (w->count == 0) break;
    uint32_t made = 0;
    uint64_t before = w->out->total_ns;
    enum lg_refusal refusal = round_of(w, &made);
    if (refusal == LG_REFUSED_BUSY && ++busy < TRIES) {
      lg_pause(MS);
      continue;
    }
    if (refusal != LG_REFUSED_NOT) return refusal;
    /* Frozen on cgroup v2 it stops, and does not run. */
    idle = made == 0 ? idle + 1 : 0;
    if (idle == 10) return LG_REFUSED_STUCK;
    int64_t stood = (int64_t)(w->out->total_ns - before);
    if (more(w)) lg_pause(2 * (stood > 100 * US ? stood : 100 * US));
  } while (lg_clock() < until);
  return LG_REFUSED_NOT;
}

static int helper(void *argument) {
  struct work *w = argument;
  /* So that the thread stands no longer than it must on a busy machine; best effort,
   * it needs CAP_SYS_NICE. The helper sleeps nearly all of the time. */
  struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) setpriority(PRIO_PROCESS, 0, -20);
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* the pauses are short */
  w->out->refusal = rounds(w);
  return 0;
}

static char stack[128 * 1024] __attribute__((aligned(64)));
static atomic_flag taken = ATOMIC_FLAG_INIT;

void lg_preap(const struct lg_preap_request *request, struct lg_preap_result *out) {
  struct work w = {.ask = request, .out = out, .cost = FIRST_GUESS, .code = lg_stub_code()};
  uint64_t all = ~0ull, mask;
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < request->count; i++) request->zombies[i].outcome = LG_ZOMBIE_LEFT;
  out->refusal = LG_REFUSED_FAILED;
  out->step = "reaping";
  out->error = request->parent <= 0 || request->parent == getpid() ? EINVAL : EBUSY;
  if (out->error == EINVAL || atomic_flag_test_and_set(&taken)) return;
  /* All blocked: handlers run on our other threads, never in the helper, and this
   * thread is not chosen while it waits. The C library's function leaves two out. */
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
  /* No exit signal: waitpid(-1) does not see it (__WCLONE in wait(2)), and neither
   * does a handler of SIGCHLD. */
  out->step = NULL;
  out->error = 0;
  pid_t pid = clone(helper, stack + sizeof stack, CLONE_VM | CLONE_VFORK, &w);
  if (pid < 0) {
    out->step = "clone";
    out->error = errno;
  } else {
    int status;
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) continue;
    if (out->refusal == LG_REFUSED_FAILED && out->step == NULL) out->step = "the helper process ended";
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
  atomic_flag_clear(&taken);
}
