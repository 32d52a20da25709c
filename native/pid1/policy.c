/*
 * The TypeScript side: dist/plan.cjs under Node, a child in a session of its own. It is
 * asked once for a plan; where the plan wants it to live on (JSON, --neglected,
 * --watch-freezer) it is supervised: started again when it ends, later and later. All
 * it can do to us is to end: nothing is ever read from it after the plan, and what it
 * is told goes into a pipe that never makes us wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"

#define FIRST_PAUSE INT64_C(500000000)  /* ns until a policy process that ended starts again */
#define LONGEST_PAUSE INT64_C(60000000000)
#define LAST_WORDS INT64_C(5000000000)
#define FULL_POLL INT64_C(10000000)
#define TRIES 20 /* to get a plan from processes that somebody kills */

extern char **environ;

/* Its words: either all of our own behind the program (live), or those of a baked
 * plan and then COMMAND's. */
static char **our_words, **command_words;
static const char *baked;
static unsigned baked_count;

static int events[2] = {-1, -1}; /* read, write */
static bool keep, closing, launching;
static int last_status;
static struct lg_event farewell; /* kind 0: there is none */
static int64_t due, started, backoff = FIRST_PAUSE;
static uint32_t lost;

static bool make_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  ends[0] = lg_above_standard(ends[0]);
  ends[1] = lg_above_standard(ends[1]);
  return ends[0] >= 0 && ends[1] >= 0;
}

/* Where we lie decides where it lies; no environment variable does. Beside us may be a
 * node of our own (an image layer); else the one in PATH. */
static bool find_files(char *node, char *script) {
  static const char *const places[] = {"/../../dist/plan.cjs", "/../dist/plan.cjs"};
  ssize_t n = readlink("/proc/self/exe", script, PATH_MAX - 32);
  const char *name = (const char *)getauxval(AT_EXECFN);
  if (n <= 0 && name != NULL && strlen(name) < PATH_MAX - 32) { /* no /proc of this namespace */
    n = (ssize_t)strlen(name);
    memcpy(script, name, (size_t)n);
  }
  while (n > 0 && script[n - 1] != '/') n--;
  if (n <= 0) return false;
  n--;
  memcpy(node, script, (size_t)n);
  memcpy(node + n, "/node", 6);
  if (access(node, X_OK) != 0) memcpy(node, "node", 5);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    memcpy(script + n, places[i], strlen(places[i]) + 1);
    if (access(script, R_OK) == 0) return true;
  }
  memcpy(script + n, places[0], strlen(places[0]) + 1);
  return false;
}

/* plan_fd < 0: only the policy process, without a plan. Says why when it cannot. */
static bool launch(int plan_fd) {
  size_t words = baked != NULL ? baked_count + 1 + lg_count(command_words) : lg_count(our_words);
  size_t lists = (words + lg_count(environ) + 10) * sizeof(char *);
  size_t size = lists + 2 * PATH_MAX + 32;
  char *scratch = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (scratch == MAP_FAILED) {
    lg_say(LG_ERROR, "no memory to start the policy process: %E", errno);
    return false;
  }
  char **argv = (char **)scratch, *node = scratch + lists, *script = node + PATH_MAX;
  char *plan_text = script + PATH_MAX, *events_text = plan_text + 16;
  lg_digits(plan_text, plan_fd < 0 ? 0 : (unsigned)plan_fd); /* the mapping is zero: ended */
  lg_digits(events_text, (unsigned)events[0]);

  size_t n = 0;
  bool found = true;
  if (baked != NULL) {
    lg_plan_words(baked, baked_count, argv);
    n = baked_count;
    argv[n++] = events_text;
    argv[n++] = (char *)"--";
    for (char **word = command_words; *word != NULL; word++) argv[n++] = *word;
  } else {
    found = find_files(node, script);
    argv[n++] = node;
    argv[n++] = script;
    argv[n++] = (char *)(plan_fd < 0 ? "policy" : "live");
    if (plan_fd >= 0) argv[n++] = plan_text;
    argv[n++] = events_text;
    for (char **word = our_words; *word != NULL; word++) argv[n++] = *word;
  }
  argv[n++] = NULL;
  /* NODE_OPTIONS and its like are meant for COMMAND */
  char **envp = argv + n;
  n = 0;
  for (char **e = environ; e != NULL && *e != NULL; e++)
    if (strncmp(*e, "NODE_", 5) != 0) envp[n++] = *e;
  envp[n] = NULL;

  int fds[2] = {events[0], plan_fd};
  struct lg_spawn_request what = {.file = argv[0], .argv = argv, .envp = envp, .fds = fds,
                                  .nfds = plan_fd < 0 ? 1 : 2, .nofile = -1};
  struct lg_spawned made = {0};
  launching = true;
  if (!found) lg_say(LG_ERROR, "the TypeScript side is not at %s; or use a plan (--plan FILE)", script);
  else lg_spawn_helper(&what, &made);
  if (found && made.step != NULL) {
    lg_say(LG_ERROR, "cannot start '%s', which runs the TypeScript side: %E; %R", argv[0], made.error,
           baked != NULL ? "the plan was made with it" :
                           "put Node.js into the image, or use a plan (--plan FILE)");
    /* A child that could not execute has ended; that is told, and no end of its own. */
    pid_t ended = atomic_exchange(&lg.helper, 0);
    if (ended > 0) waitpid(ended, NULL, 0);
  }
  launching = false;
  munmap(scratch, size);
  started = lg_now(CLOCK_MONOTONIC);
  return found && made.step == NULL;
}

/* All of it, or none: it is written in one piece (PIPE_BUF), and checked by its reader. */
static bool receive(int fd, struct lg_plan *plan) {
  size_t got = 0;
  char *into = (char *)plan;
  while (got < LG_PLAN_HEAD) {
    ssize_t n = read(fd, into + got, LG_PLAN_HEAD - got);
    if (n <= 0) return false;
    got += (size_t)n;
  }
  return true;
}

void lg_policy_ask(char **argv, struct lg_plan *plan) {
  our_words = argv + 1;
  for (int tries = 1;; tries++) {
    int ends[2];
    if ((events[0] < 0 && !make_pipe(events)) || !make_pipe(ends)) {
      lg_say(LG_ERROR, "cannot make a pipe for the plan: %E", errno);
      _exit(126);
    }
    bool runs = launch(ends[1]);
    close(ends[1]);
    bool made = runs && receive(ends[0], plan);
    close(ends[0]);
    if (made) return;

    /* It ended instead: after --help, or after it said what is wrong. */
    if (!runs) _exit(126);
    pid_t helper = atomic_exchange(&lg.helper, 0);
    if (helper > 0) waitpid(helper, &last_status, 0); /* else it was reaped already */
    int status = last_status, code = WEXITSTATUS(status);
    if (!WIFSIGNALED(status)) {
      if (code != 0 && code != 2) lg_say(LG_ERROR, "the plan could not be made (%W)", status);
      _exit(code == 0 || code == 2 ? code : 126);
    }
    if (tries == TRIES) {
      lg_say(LG_ERROR, "the plan could not be made: its process was %W, %d times", status, TRIES);
      _exit(126);
    }
    lg_say(LG_WARN, "the process that makes the plan was %W; starting another", status);
  }
}

void lg_policy_bake(const char *first, unsigned n) {
  baked = first;
  baked_count = n;
}

void lg_policy_keep(char **command) {
  command_words = command;
  if (events[0] < 0 && !make_pipe(events)) {
    lg_say(LG_ERROR, "cannot make a pipe for the policy process: %E", errno);
    return;
  }
  keep = true;
  fcntl(events[1], F_SETFL, O_NONBLOCK);
  if (atomic_load(&lg.helper) == 0) due = lg_now(CLOCK_MONOTONIC);
}

void lg_policy_dismiss(void) {
  pid_t helper = atomic_load(&lg.helper);
  if (keep) return;
  if (helper > 0) kill(helper, SIGKILL); /* it waits for that: nothing of it runs at an exit */
  for (int i = 0; i < 2; i++)
    if (events[i] >= 0) close(events[i]);
  events[0] = events[1] = -1;
}

int64_t lg_policy_due(void) { return keep && !closing ? due : 0; }

static void start_again(void) {
  due = 0;
  if (launch(-1)) return;
  due = lg_now(CLOCK_MONOTONIC) + backoff;
  if (backoff < LONGEST_PAUSE) backoff *= 2;
}

void lg_policy_see_to(void) {
  if (due != 0 && lg_policy_due() != 0 && lg_now(CLOCK_MONOTONIC) >= due) start_again();
}

void lg_policy_ended(int status) {
  last_status = status;
  if (launching || !keep || closing) return;
  int64_t now = lg_now(CLOCK_MONOTONIC);
  if (now - started >= LONGEST_PAUSE) backoff = FIRST_PAUSE;
  lg_say(LG_WARN, "the policy process ended (%W); reaping and forwarding go on, again in %T s", status,
         backoff);
  due = now + backoff;
  if (backoff < LONGEST_PAUSE) backoff *= 2;
}

/* One write of less than PIPE_BUF: whole, or not at all when the pipe is full. */
static bool write_event(const struct lg_event *event) {
  return write(events[1], event, sizeof *event) == (ssize_t)sizeof *event;
}

static bool gap_told(void) {
  struct lg_event gap = {.kind = LG_EV_LOST, .sent = (int32_t)lost};
  if (lost > 0 && !write_event(&gap)) return false;
  lost = 0;
  return true;
}

bool lg_policy_tell(const struct lg_event *event) {
  if (events[1] < 0) return false;
  if (!gap_told() || !write_event(event)) lost++;
  return true;
}

void lg_policy_farewell(const struct lg_event *event) { farewell = *event; }

void lg_policy_close(void) {
  if (!keep) return;
  bool tells = farewell.kind != 0;
  if (tells && atomic_load(&lg.helper) == 0) start_again(); /* what it was told is not lost */
  closing = true;
  int64_t now, until = lg_now(CLOCK_MONOTONIC) + LAST_WORDS;
  /* the pipe may be full now, and has room as soon as it is read */
  while (tells && !(gap_told() && write_event(&farewell)) && atomic_load(&lg.helper) != 0 &&
         (now = lg_now(CLOCK_MONOTONIC)) < until)
    lg_wait_turn(now + FULL_POLL);
  close(events[1]);
  close(events[0]);
  events[0] = events[1] = -1;
  while (atomic_load(&lg.helper) != 0 && lg_now(CLOCK_MONOTONIC) < until) lg_wait_turn(until);
  pid_t helper = atomic_load(&lg.helper);
  if (helper > 0) kill(helper, SIGKILL);
}
