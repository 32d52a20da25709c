/*
 * Rounds. In each one a thread of the parent stands still for less than a
 * millisecond and reaps what it can in that time; then it runs, for at least twice as
 * long. stub.h says what runs in it, and why our death does no harm:
 *
 *   before the registers are set    nothing but padding has been changed
 *   after that                      the stub ends by itself and puts all back
 *   after they are put back         the kernel goes on as after any stop
 *
 * The mask is changed after the registers and put back before them, so that it is
 * never the only thing changed.
 */
#include "work.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tracee.h"

#define BUDGET (300 * US)       /* of standing still, for the calls themselves     */
#define SLICE (20 * US)         /* how often we look whether they are made         */
#define PAUSE (20 * MS)         /* of the stub, in which we stop it                */
#define STARVED (200 * MS)      /* how long one that waits for a CPU gets for it   */
#define TRIES 50                /* in a row */

/* The kernel frees what was reaped (RCU) some 10 ms later, all in one go and on the CPU
 * that reaped: 1 ms for 300 of them, in which the thread neither runs nor stops. Few
 * are to come together, so there is a pause of this length for each. */
#define REST (200 * US)

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
  if (start != z->start_ticks) return LG_ZOMBIE_CHANGED;
  if (state == 'X') return LG_ZOMBIE_GONE; /* in this moment */
  return state == 'Z' ? LG_ZOMBIE_LEFT : LG_ZOMBIE_CHANGED;
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
  /* A thread that was given no CPU says little of what a call costs. */
  int64_t most = 2 * w->cost, seen = made > 0 ? ran / made : most;
  if (seen > most) seen = most;
  w->cost = (w->cost + seen) / 2;
  if (w->cost < 2 * US) w->cost = 2 * US;
  if (w->cost > BUDGET) w->cost = BUDGET;
}

struct place {
  pid_t tid;
  int memory;
  uint64_t room;
  struct lg_call call;      /* it was in, before the stop */
  struct lg_stub_data left; /* of one of us that was killed; magic: is there any */
  bool left_over;           /* stopped only to see whether that is still needed */
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

/* Until its last call is made: from then on it would stand in vain. */
static void await_last(const struct work *w, int64_t began) {
  pid_t last = w->batch[w->count - 1]->pid;
  int64_t nap = w->cost * w->count / 2;
  if (nap < SLICE) nap = SLICE;
  do {
    lg_pause(nap);
    nap = SLICE;
  } while ((kill(last, 0) == 0 || errno != ESRCH) && lg_clock() - began < BUDGET);
}

/* The thread stands. Returns NOT with *made calls; afterwards it is to be detached,
 * or (DEAF, VANISHED) cannot be. */
static enum lg_refusal standing(struct work *w, const struct place *at, const lg_regs *regs,
                                uint32_t *made) {
  struct lg_stub_data data = {.magic = LG_STUB_MAGIC, .pause = {0, PAUSE}, .count = w->count,
                              .owner = at->tid, .sp = lg_regs_sp(regs)};
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
  lg_tracee_set_mask(at->tid, ~0ull); /* killed before: a handler may run, see stub.h */

  int64_t began = lg_clock();
  error = lg_tracee_run(at->tid);
  if (error != 0) return LG_REFUSED_VANISHED;
  await_last(w, began);
  /* Nothing came of the last round: give it the time to get a CPU. When it has made its
   * calls it sleeps. */
  w->starved = w->idle > 0 && !lg_tracee_sleeps(at->tid, STARVED);
  enum lg_refusal refusal = lg_tracee_stop(at->tid, LG_STOP_TIMEOUT);
  if (refusal != LG_REFUSED_NOT && refusal != LG_REFUSED_STOPPED) return refusal;
  int64_t ran = lg_clock() - began;
  error = lg_tracee_regs(at->tid, &now, &foreign);
  if (error != 0) return LG_REFUSED_VANISHED;
  if (in_room(&now, at->room, w)) {
    error = lg_tracee_restore(at->tid, at->room + w->code.again, &original, data.mask);
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
  /* Of the thread: a first one that has ended has no memory any more. */
  at->memory = lg_tracee_memory(at->tid);
  if (at->memory < 0) {
    out->error = -at->memory;
    bool forbidden = at->memory == -EACCES || at->memory == -EPERM;
    return forbidden ? LG_REFUSED_PERMISSION : LG_REFUSED_VANISHED;
  }
  refusal = lg_tracee_room(at->tid, at->memory, w->code.size, &at->room, &at->left);
  /* There is room for one: what another thread may still need is not overwritten. */
  if (refusal == LG_REFUSED_NOT && at->left.magic == LG_STUB_MAGIC && at->left.owner != at->tid &&
      lg_thread_status(w->ask->parent, at->left.owner, &status) == 0 && status.state != 'Z' &&
      status.state != 'X') {
    at->tid = at->left.owner;
    at->left_over = true;
  }
  /* Without the permission to trace there is none to look for the room either, and
   * that is then the reason to name. */
  if (refusal == LG_REFUSED_VANISHED || refusal == LG_REFUSED_PERMISSION) return refusal;
  enum lg_refusal seized = lg_tracee_seize(at->tid, &out->error);
  if (seized == LG_REFUSED_FAILED) out->step = "PTRACE_SEIZE";
  if (seized != LG_REFUSED_NOT) return seized;
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
  if (at->room == 0) return LG_REFUSED_NO_ROOM;
  if (at->left.magic == LG_STUB_MAGIC && at->left.owner == at->tid) {
    if (in_room(&regs, at->room, w) ||
        lg_tracee_may_return(at->memory, &regs, at->left.sp, at->room, w->code.size))
      return LG_REFUSED_BUSY;
    clear(w, at);
    if (at->left_over) return LG_REFUSED_BUSY;
  }
  enum lg_refusal refusal = inspect(w, at->tid);
  if (refusal != LG_REFUSED_NOT) return refusal;
  /* A stub that a killed one of us left at work, or a place not to be left. */
  if (in_room(&regs, at->room, w) || !lg_regs_may_leave(&regs) ||
      lg_tracee_in_rseq(at->tid, at->memory, &regs))
    return LG_REFUSED_BUSY;
  refusal = lg_tracee_learn(at->tid, at->memory, &at->call, &regs);
  if (refusal != LG_REFUSED_NOT) return refusal;
  w->out->rounds++;
  return standing(w, at, &regs, made);
}

/* One stop. BUSY: nothing was done, try again. */
static enum lg_refusal round_of(struct work *w, uint32_t *made) {
  struct place at = {.memory = -1};
  enum lg_refusal refusal = seize(w, &at);
  if (refusal != LG_REFUSED_NOT) {
    if (at.memory >= 0) close(at.memory);
    return refusal;
  }
  lg_tracee_call(w->ask->parent, at.tid, &at.call);
  refusal = lg_tracee_stop(at.tid, LG_STOP_TIMEOUT);
  int64_t began = lg_clock(); /* until now it ran, or waited for its turn */
  if (refusal == LG_REFUSED_NOT) refusal = visit(w, &at, made);
  lg_tracee_detach(at.tid); /* again where standing() did: then it does nothing */
  int64_t stood = w->let_go - began;
  if (w->let_go == 0) stood = lg_clock() - began;
  w->let_go = 0;
  w->out->total_ns += (uint64_t)stood;
  if ((uint64_t)stood > w->out->longest_ns) w->out->longest_ns = (uint64_t)stood;
  close(at.memory);
  return refusal;
}

static enum lg_refusal rounds(struct work *w) {
  int64_t until = lg_clock() + w->ask->limit_ns;
  int busy = 0;
  do {
    collect(w);
    if (w->count == 0) break;
    uint32_t made = 0;
    uint64_t before = w->out->total_ns;
    enum lg_refusal refusal = round_of(w, &made);
    if (refusal == LG_REFUSED_BUSY && ++busy < TRIES) {
      /* Longer and longer: between two stops it must get a CPU, or it stands where it stood. */
      lg_pause((1 + busy / 5) * MS);
      continue;
    }
    if (refusal != LG_REFUSED_NOT) return refusal;
    busy = 0;
    /* Frozen on cgroup v2 it stops, and does not run. */
    if (made > 0) w->idle = 0;
    else if (!w->starved) w->idle++;
    if (w->idle == 10) return LG_REFUSED_STUCK;
    int64_t stood = (int64_t)(w->out->total_ns - before), rest = REST * (made > 0 ? made : 1);
    if (more(w)) lg_pause(rest > 2 * stood ? rest : 2 * stood);
  } while (lg_clock() < until);
  return LG_REFUSED_NOT;
}

int lg_work(void *argument) {
  struct work *w = argument;
  /* So that the thread stands no longer than it must on a busy machine; best effort,
   * it needs CAP_SYS_NICE. The helper sleeps nearly all of the time. */
  struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) setpriority(PRIO_PROCESS, 0, -20);
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* the pauses are short */
  /* In this process alone. Where it is ignored, or SA_NOCLDSTOP is set, no stop would
   * wake us, and the thread would stand for the 1 ms that wait_stop() waits. */
  signal(SIGCHLD, SIG_DFL);
  w->out->refusal = rounds(w);
  return 0;
}
