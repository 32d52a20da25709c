/* Tests of the core from the inside. core_test [NAME...] runs them, each in a
 * process of its own, and prints "ok NAME" or "not ok NAME: why". The other
 * modes are what the tests start as COMMAND (see modes[]). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "internal.h"

#define CELLS 4096 /* of ring.c */
#define PATIENCE 100 /* seconds until an awaited event counts as lost */

static char self_path[4096];

static void skip(const char *why) {
  printf("skip %s: %s\n", test_name, why);
  fflush(stdout);
  _exit(0);
}

/* ------------------------------------------------- waiting for the handlers */

static int wakes = -1; /* an eventfd: poll(2) is what ThreadSanitizer lets signals in at */

static void on_wake(void *arg) {
  (void)arg;
  const uint64_t one = 1;
  ssize_t ignored = write(wakes, &one, sizeof one);
  (void)ignored;
}

static void wait_wake(int line, const char *what) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const time_t until = now.tv_sec + PATIENCE;
  struct pollfd look = {.fd = wakes, .events = POLLIN};
  while (poll(&look, 1, PATIENCE * 1000) <= 0) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec >= until) fail(line, "%s never came", what);
  }
  uint64_t count;
  EQUAL(read(wakes, &count, sizeof count), sizeof count);
}
/* The state is looked at after each wake: a wake is never lost, only early. */
#define AWAIT(condition)                                      \
  do {                                                        \
    while (!(condition)) wait_wake(__LINE__, #condition);     \
  } while (0)

static struct lg_stats_out stats(void) {
  struct lg_stats_out out;
  lg_stats(&out);
  return out;
}

static struct lg_config identity(void) {
  struct lg_config config = {0};
  for (int i = 0; i < LG_NSIG; i++) config.signal_map[i] = (uint8_t)i;
  for (int i = 0; i < 256; i++) config.exit_map[i] = (uint8_t)i;
  return config;
}

static void open_wakes(void) {
  poll(NULL, 0, 0); /* see fork_many */
  if (wakes < 0) wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK(wakes >= 0);
}

static void arm(void) {
  open_wakes();
  EQUAL(lg_arm(on_wake, NULL, 0), 0);
}

static void start(struct lg_config config) {
  const char *failed;
  arm();
  EQUAL(lg_configure(&config, &failed), 0);
}

static struct lg_spawned spawn_file(const char *file, char *const *argv) {
  struct lg_spawn_request what = {.file = file, .argv = argv, .nofile = -1};
  struct lg_spawned made;
  lg_spawn(&what, &made);
  return made;
}

static struct lg_spawned spawn_self(const char *mode, const char *arg) {
  char *argv[] = {self_path, (char *)mode, (char *)arg, NULL};
  struct lg_spawned made = spawn_file(self_path, argv);
  if (made.step != NULL) fail(__LINE__, "%s: %s", made.step, strerror(made.error));
  CHECK(made.pid > 0);
  return made;
}

static void no_children_left(void) {
  EQUAL(waitpid(-1, NULL, WNOHANG), -1);
  EQUAL(errno, ECHILD);
}

/* ----------------------------------------------------------------- the ring */

static struct lg_event numbered(int producer, uint64_t n) {
  struct lg_event event = {
      .kind = LG_EV_REAPED, .pid = producer, .time_ns = n, .start_ticks = ~n};
  memset(event.comm, (int)(n & 0x7f), sizeof event.comm);
  return event;
}

static void check_whole(const struct lg_event *event) {
  CHECK(event->start_ticks == ~event->time_ns); /* not a mix of two */
  for (int i = 0; i < LG_COMM; i++) EQUAL(event->comm[i], event->time_ns & 0x7f);
}

static void ring_empty(void) {
  struct lg_event out[4];
  lg_ring_reset();
  EQUAL(lg_drain(out, 4), 0);
  EQUAL(lg_drain(out, 0), 0);
  EQUAL(lg_dropped_events(), 0);
}

static void ring_full(void) {
  static struct lg_event out[CELLS + 100];
  lg_ring_reset();
  for (uint64_t n = 0; n < CELLS + 100; n++) {
    struct lg_event event = numbered(1, n);
    lg_push(&event);
  }
  EQUAL(lg_dropped_events(), 100);
  EQUAL(lg_drain(out, CELLS + 100), CELLS);
  for (uint64_t n = 0; n < CELLS; n++) {
    EQUAL(out[n].time_ns, n); /* the oldest are kept, in order */
    check_whole(&out[n]);
  }
  EQUAL(lg_drain(out, 1), 0);
  struct lg_event event = numbered(1, 4711);
  lg_push(&event);
  EQUAL(lg_drain(out, 2), 1);
  EQUAL(out[0].time_ns, 4711);
  EQUAL(lg_dropped_events(), 100);
  lg_push(&event);
  lg_ring_reset();
  EQUAL(lg_drain(out, 1), 0);
  EQUAL(lg_dropped_events(), 0);
}

static void ring_laps(void) {
  static struct lg_event out[CELLS];
  uint64_t in = 0, next = 0;
  lg_ring_reset();
  /* Uneven amounts, so that the ends of the array are met at every offset. */
  for (size_t amount = 1; next < CELLS * 9; amount = amount * 7 % 4093 + 1) {
    for (size_t i = 0; i < amount; i++) {
      struct lg_event event = numbered(1, in++);
      lg_push(&event);
    }
    for (size_t left = amount; left > 0;) {
      size_t n = lg_drain(out, left < 1000 ? left : 1000);
      CHECK(n > 0);
      for (size_t i = 0; i < n; i++, next++) {
        EQUAL(out[i].time_ns, next);
        check_whole(&out[i]);
      }
      left -= n;
    }
  }
  EQUAL(lg_dropped_events(), 0);
}

#define PRODUCERS 4
#define EACH 50000
static _Atomic int producing;

static void *produce(void *arg) {
  int producer = (int)(intptr_t)arg;
  for (uint64_t n = 1; n <= EACH; n++) {
    struct lg_event event = numbered(producer, n);
    lg_push(&event);
    if (n % 512 == 0) sched_yield();
  }
  atomic_fetch_sub(&producing, 1);
  return NULL;
}

static void ring_threads(void) {
  static struct lg_event out[256];
  pthread_t threads[PRODUCERS];
  uint64_t last[PRODUCERS] = {0}, got = 0;
  lg_ring_reset();
  atomic_store(&producing, PRODUCERS);
  for (intptr_t i = 0; i < PRODUCERS; i++)
    EQUAL(pthread_create(&threads[i], NULL, produce, (void *)i), 0);
  for (;;) {
    bool over = atomic_load(&producing) == 0; /* before the drain */
    size_t n = lg_drain(out, 256);
    for (size_t i = 0; i < n; i++) {
      check_whole(&out[i]);
      CHECK(out[i].time_ns > last[out[i].pid]); /* in order, and none twice */
      last[out[i].pid] = out[i].time_ns;
    }
    got += n;
    if (n == 0 && over) break;
    if (n == 0) sched_yield();
  }
  for (int i = 0; i < PRODUCERS; i++) pthread_join(threads[i], NULL);
  EQUAL(got + lg_dropped_events(), PRODUCERS * EACH);
}

/* --------------------------------------------------- /proc and exact signals */

/* A child that took this name and then waits for the end of its parent. */
static pid_t named_child(const char *name) {
  int ready[2];
  char byte;
  EQUAL(pipe(ready), 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (name != NULL) prctl(PR_SET_NAME, name);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  EQUAL(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  return pid;
}

static void end_child(pid_t pid) {
  EQUAL(kill(pid, SIGKILL), 0);
  EQUAL(waitpid(pid, NULL, 0), pid);
}

static void read_stat(void) {
  static const char *const names[] = {
      "plain", "a) Z 1 (b", ") R 1 1 1 1", "((((", "))))", " ", "a\nb", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
      "a\\b", ") Z 1\n) Z 1", "fifteen letters", "\xff\xfe\x01"};
  uint64_t before = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct lg_stat got;
    pid_t pid = named_child(names[i]);
    EQUAL(lg_read_stat(pid, &got), 0);
    char wanted[LG_COMM] = "";
    memcpy(wanted, names[i], strlen(names[i]));
    if (memcmp(got.comm, wanted, LG_COMM) != 0)
      fail(__LINE__, "name %zu: got \"%.16s\", expected \"%.16s\"", i, got.comm, wanted);
    CHECK(strchr("SRDI", got.state) != NULL); /* alive, whatever its name says */
    CHECK(got.start_ticks >= before && got.start_ticks > 0);
    before = got.start_ticks;
    EQUAL(kill(pid, SIGKILL), 0);
    siginfo_t info;
    EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    struct lg_stat dead;
    EQUAL(lg_read_stat(pid, &dead), 0);
    EQUAL(dead.state, 'Z');
    EQUAL(dead.start_ticks, got.start_ticks);
    EQUAL(memcmp(dead.comm, got.comm, LG_COMM), 0);
    EQUAL(waitpid(pid, NULL, 0), pid);
    EQUAL(lg_read_stat(pid, &dead), -ENOENT);
  }
}

static void signal_exact(void) {
  struct lg_stat about;
  pid_t pid = named_child("a) Z 1 (b");
  EQUAL(lg_read_stat(pid, &about), 0);
  EQUAL(lg_signal_exact(pid, about.start_ticks + 1, SIGKILL), -ESRCH);
  EQUAL(lg_signal_exact(pid, about.start_ticks - 1, SIGKILL), -ESRCH);
  EQUAL(lg_signal_exact(pid, 0, SIGKILL), -ESRCH);
  EQUAL(lg_signal_exact(pid, about.start_ticks, 0), 0);
  EQUAL(waitpid(pid, NULL, WNOHANG), 0); /* it lives */
  EQUAL(lg_signal_exact(pid, about.start_ticks, 1000), -EINVAL);
  EQUAL(lg_signal_exact(pid, about.start_ticks, SIGTERM), 0);
  int status;
  EQUAL(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status));
  EQUAL(WTERMSIG(status), SIGTERM);
  EQUAL(lg_signal_exact(pid, about.start_ticks, SIGTERM), -ESRCH);

  const pid_t refused[] = {1, 0, -1, -2, getpid(), -getpid()};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    about.start_ticks = 0;
    if (refused[i] > 0) lg_read_stat(refused[i], &about);
    EQUAL(lg_signal_exact(refused[i], about.start_ticks, SIGKILL), -EPERM);
  }
}

static void signal_exact_no_descriptor(void) {
  /* Out of descriptors it says so and sends nothing. */
  struct lg_stat about;
  pid_t pid = named_child(NULL);
  EQUAL(lg_read_stat(pid, &about), 0);
  struct rlimit none = {0}, was;
  EQUAL(getrlimit(RLIMIT_NOFILE, &was), 0);
  none.rlim_max = was.rlim_max;
  EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
  EQUAL(lg_signal_exact(pid, about.start_ticks, SIGKILL), -EMFILE);
  EQUAL(setrlimit(RLIMIT_NOFILE, &was), 0);
  EQUAL(waitpid(pid, NULL, WNOHANG), 0);
  end_child(pid);
}

/* --------------------------------------------------------- arming, disarming */

static void arm_twice(void) {
  arm();
  EQUAL(lg_arm(on_wake, NULL, 0), -EBUSY);
  lg_disarm();
  lg_disarm(); /* nothing to do, and no harm */
  arm();
  lg_disarm();
}

static void *arm_here(void *result) {
  *(int *)result = lg_arm(NULL, NULL, 0);
  return NULL;
}

static void arm_off_main(void) {
  pthread_t thread;
  int result = 0;
  EQUAL(pthread_create(&thread, NULL, arm_here, &result), 0);
  EQUAL(pthread_join(thread, NULL), 0);
  EQUAL(result, -EPERM);
  arm(); /* it left nothing behind */
  lg_disarm();
}

static void order_of_calls(void) {
  struct lg_config config = identity();
  const char *failed = "x";
  char *argv[] = {self_path, NULL};
  EQUAL(lg_configure(&config, &failed), -EINVAL);
  EQUAL(lg_set_exit_deadline(1), -EINVAL);
  EQUAL(lg_signal_all(0), -EPERM); /* we are not PID 1 */
  arm();
  struct lg_spawned made = spawn_file(self_path, argv);
  EQUAL(made.error, EINVAL); /* not configured */
  EQUAL(made.pid, 0);
  EQUAL(lg_configure(&config, &failed), 0);
  spawn_self("exit", "0");
  EQUAL(lg_configure(&config, &failed), -EINVAL); /* too late */
  AWAIT(stats().ended);
  made = spawn_file(self_path, argv);
  EQUAL(made.error, EINVAL); /* one COMMAND */
  EQUAL(made.pid, 0);
  lg_disarm();
}

static void some_handler(int sig) { (void)sig; }

struct dispositions {
  struct sigaction of[LG_NSIG];
  sigset_t mask;
  int subreaper, parent_death;
};

static void look(struct dispositions *out) {
  memset(out, 0, sizeof *out);
  for (int sig = 1; sig < LG_NSIG; sig++) {
    sigaction(sig, NULL, &out->of[sig]);
    out->of[sig].sa_flags &= ~0x04000000; /* SA_RESTORER: the C library's own */
  }
  sigprocmask(SIG_SETMASK, NULL, &out->mask);
  prctl(PR_GET_CHILD_SUBREAPER, &out->subreaper);
  prctl(PR_GET_PDEATHSIG, &out->parent_death);
}

static void same(const struct dispositions *a, const struct dispositions *b) {
  for (int sig = 1; sig < LG_NSIG; sig++) {
    if (a->of[sig].sa_handler != b->of[sig].sa_handler || a->of[sig].sa_flags != b->of[sig].sa_flags)
      fail(__LINE__, "signal %d has another disposition", sig);
    for (int i = 1; i < LG_NSIG; i++)
      if (sigismember(&a->of[sig].sa_mask, i) != sigismember(&b->of[sig].sa_mask, i))
        fail(__LINE__, "the mask of signal %d differs in %d", sig, i);
    if (sigismember(&a->mask, sig) != sigismember(&b->mask, sig))
      fail(__LINE__, "signal %d: blocked %d, was %d", sig, sigismember(&b->mask, sig),
           sigismember(&a->mask, sig));
  }
  EQUAL(b->subreaper, a->subreaper);
}

static void disarm_restores(void) {
  prctl(PR_SET_PDEATHSIG, 0);
  /* Something else for every signal, so that "all default" is no answer. */
  for (int sig = 1; sig < LG_NSIG; sig++) {
    if (!lg_forwardable(sig) && sig != SIGCHLD) continue;
    struct sigaction action = {0};
    action.sa_handler = sig % 3 == 0 ? SIG_IGN : sig % 3 == 1 ? SIG_DFL : some_handler;
    action.sa_flags = sig % 2 == 0 ? SA_RESTART : SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, sig % 31 + 1);
    EQUAL(sigaction(sig, &action, NULL), 0);
  }
  struct sigaction keep = {.sa_handler = SIG_DFL};
  EQUAL(sigaction(SIGCHLD, &keep, NULL), 0); /* SIG_IGN would discard children */
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGRTMIN + 3);
  EQUAL(sigprocmask(SIG_SETMASK, &mask, NULL), 0);

  for (int was = 0; was <= 1; was++) {
    for (int want = 0; want <= 1; want++) {
      struct dispositions before, armed, after;
      EQUAL(prctl(PR_SET_CHILD_SUBREAPER, was), 0);
      EQUAL(prctl(PR_SET_PDEATHSIG, was ? SIGHUP : 0), 0);
      look(&before);
      struct lg_config config = identity();
      config.subreaper = want;
      config.parent_death_signal = SIGTERM;
      start(config);
      look(&armed);
      EQUAL(armed.subreaper, was || want);
      EQUAL(armed.parent_death, SIGTERM);
      CHECK(armed.of[SIGCHLD].sa_handler != SIG_DFL);
      CHECK(!sigismember(&armed.mask, SIGUSR1) && !sigismember(&armed.mask, SIGCHLD));
      CHECK(sigismember(&armed.mask, SIGTTOU));
      spawn_self("exit", "0");
      AWAIT(stats().ended);
      lg_disarm();
      look(&after);
      same(&before, &after);
      EQUAL(after.parent_death, before.parent_death);
      no_children_left();
    }
  }
}

/* A configuration that failed half way is undone as well, and so is a second one. */
static void disarm_after_failure(void) {
  struct dispositions before, after;
  const char *failed;
  struct lg_config config = identity();
  EQUAL(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
  look(&before);
  config.subreaper = true;
  config.parent_death_signal = 1000;
  arm();
  EQUAL(lg_configure(&config, &failed), -EINVAL);
  EQUAL(strcmp(failed, "prctl(PR_SET_PDEATHSIG)"), 0);
  lg_disarm();
  look(&after);
  same(&before, &after);

  config.parent_death_signal = 0;
  start(config);
  EQUAL(lg_configure(&config, &failed), 0);
  lg_disarm();
  look(&after);
  same(&before, &after);
}

static int descriptors(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir != NULL);
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n;
}

/* -------------------------------------------------------------------- spawn */

static void expect_failure(const char *file, int error, int code) {
  char *argv[] = {(char *)file, NULL};
  start(identity());
  struct lg_spawned made = spawn_file(file, argv);
  CHECK(made.pid > 0);
  EQUAL(made.error, error);
  CHECK(made.step != NULL);
  EQUAL(strcmp(made.step, "exec"), 0);
  AWAIT(stats().ended);
  CHECK(WIFEXITED(stats().status));
  EQUAL(WEXITSTATUS(stats().status), code);
  EQUAL(lg_exit_code(stats().status), code);
  EQUAL(stats().reaped, 0);
  struct lg_event event;
  EQUAL(lg_drain(&event, 1), 1);
  EQUAL(event.kind, LG_EV_MAIN_ENDED);
  EQUAL(event.pid, made.pid);
  EQUAL(event.status, stats().status);
  lg_disarm();
  no_children_left();
}

static void spawn_missing(void) {
  expect_failure("/nonexistent/lychgate", ENOENT, 127);
  expect_failure("lychgate-no-such-command", ENOENT, 127);
  expect_failure("", ENOENT, 127);
}

static void spawn_not_executable(void) {
  char file[] = "/tmp/lychgate-core-XXXXXX";
  int fd = mkstemp(file);
  CHECK(fd >= 0);
  EQUAL(fchmod(fd, 0644), 0);
  close(fd);
  expect_failure(file, EACCES, 126);
  expect_failure("/tmp", EACCES, 126);
  unlink(file);
}

/* No #!: /bin/sh runs it, with the arguments in their places. */
static void spawn_script(void) {
  char file[] = "/tmp/lychgate-core-XXXXXX";
  static const char text[] = "test \"$#\" = 2 && test \"$1\" = 'a b' && exit \"$2\"\nexit 99\n";
  int fd = mkstemp(file);
  CHECK(fd >= 0);
  EQUAL(write(fd, text, sizeof text - 1), sizeof text - 1);
  EQUAL(fchmod(fd, 0755), 0);
  close(fd);
  char *argv[] = {file, "a b", "42", NULL};
  start(identity());
  struct lg_spawned made = spawn_file(file, argv);
  EQUAL(made.error, 0);
  AWAIT(stats().ended);
  lg_disarm();
  unlink(file);
  EQUAL(stats().status, 42 << 8);
}

/* The child starts with an empty mask, default dispositions, a group of its own. */
static void spawn_state(void) {
  signal(SIGUSR2, some_handler);
  signal(SIGHUP, SIG_IGN); /* nohup: stays ignored */
  signal(SIGPIPE, SIG_IGN); /* the runtime did it: does not */
  sigset_t mask;
  sigfillset(&mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  open_wakes();
  EQUAL(lg_arm(on_wake, NULL, UINT64_C(1) << (SIGPIPE - 1)), 0);
  struct lg_config config = identity();
  const char *failed;
  EQUAL(lg_configure(&config, &failed), 0);
  spawn_self("state", NULL);
  AWAIT(stats().ended);
  lg_disarm();
  EQUAL(stats().status, 0);
}

static void spawn_cycles(void) {
  int before = 0;
  for (int i = 0; i < 300; i++) {
    char code[8];
    snprintf(code, sizeof code, "%d", i % 251);
    start(identity());
    struct lg_spawned made = spawn_self("exit", code);
    AWAIT(stats().ended);
    EQUAL(stats().status, (i % 251) << 8);
    EQUAL(stats().pid, made.pid);
    struct lg_event events[2];
    EQUAL(lg_drain(events, 2), 1);
    EQUAL(events[0].kind, LG_EV_MAIN_ENDED);
    EQUAL(events[0].status, (i % 251) << 8);
    lg_disarm();
    no_children_left();
    if (i == 0) before = descriptors();
  }
  EQUAL(descriptors(), before);
}

/* ------------------------------------------------------------ early signals */

static const int kinds[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGQUIT};
#define KINDS (int)(sizeof kinds / sizeof *kinds)

static void early_signals(void) {
  for (int i = 0; i < 100; i++) {
    int sig = i % (KINDS + 1) == KINDS ? SIGRTMIN + 1 + i % 8 : kinds[i % (KINDS + 1)];
    arm();
    if (i % 2 == 0) EQUAL(kill(getpid(), sig), 0); /* before it is configured */
    struct lg_config config = identity();
    const char *failed;
    EQUAL(lg_configure(&config, &failed), 0);
    if (i % 2 == 1) EQUAL(kill(getpid(), sig), 0);
    spawn_self("wait", NULL);
    AWAIT(stats().ended);
    CHECK(WIFSIGNALED(stats().status));
    EQUAL(WTERMSIG(stats().status), sig);
    EQUAL(stats().forwarded, 1);
    EQUAL(stats().dropped_signals, 0);
    lg_disarm();
  }
}

static _Atomic int round_now, round_yields;

static void *send_once_a_round(void *arg) {
  (void)arg;
  for (int i = 1; i <= 100; i++) {
    while (atomic_load(&round_now) != i) sched_yield();
    for (int n = atomic_load(&round_yields); n > 0; n--) sched_yield();
    kill(getpid(), SIGTERM);
  }
  return NULL;
}

/* The same while the spawn goes on, from a thread that can run the handler. */
static void signals_during_spawn(void) {
  pthread_t thread;
  EQUAL(pthread_create(&thread, NULL, send_once_a_round, NULL), 0);
  for (int i = 1; i <= 100; i++) {
    start(identity());
    atomic_store(&round_yields, i * 13 % 97);
    atomic_store(&round_now, i);
    spawn_self("wait", NULL);
    AWAIT(stats().ended);
    CHECK(WIFSIGNALED(stats().status));
    EQUAL(WTERMSIG(stats().status), SIGTERM);
    EQUAL(stats().dropped_signals, 0);
    /* The handler may still be about to count it. */
    while (stats().forwarded == 0) sched_yield();
    EQUAL(stats().forwarded, 1);
    lg_disarm();
  }
  EQUAL(pthread_join(thread, NULL), 0);
}

static void early_overflow(void) {
  struct lg_config config = identity();
  config.report_forwarded = true;
  start(config);
  for (int i = 0; i < 100; i++) EQUAL(kill(getpid(), SIGURG), 0); /* default: ignored */
  EQUAL(stats().dropped_signals, 100 - LG_EARLY);
  EQUAL(stats().forwarded, 0);
  struct lg_spawned made = spawn_self("wait", NULL);
  EQUAL(stats().forwarded, LG_EARLY);
  EQUAL(kill(getpid(), SIGTERM), 0);
  AWAIT(stats().ended);
  EQUAL(stats().forwarded, LG_EARLY + 1);
  static struct lg_event events[LG_EARLY + 10];
  EQUAL(lg_drain(events, LG_EARLY + 10), LG_EARLY + 2);
  for (int i = 0; i <= LG_EARLY; i++) {
    EQUAL(events[i].kind, LG_EV_FORWARDED);
    EQUAL(events[i].signal, i < LG_EARLY ? SIGURG : SIGTERM);
    EQUAL(events[i].pid, made.pid);
    EQUAL(events[i].sender, getpid());
    EQUAL(events[i].error, 0);
  }
  EQUAL(events[LG_EARLY + 1].kind, LG_EV_MAIN_ENDED);
  lg_disarm();
}

/* --------------------------------------------------------------- forwarding */

static void rewrite_and_drop(void) {
  struct lg_config config = identity();
  config.report_forwarded = true;
  config.signal_map[SIGUSR1] = 0;
  config.signal_map[SIGTERM] = SIGINT;
  config.exit_map[130] = 5;
  start(config);
  spawn_self("wait", NULL);
  EQUAL(kill(getpid(), SIGUSR1), 0);
  EQUAL(kill(getpid(), SIGTERM), 0);
  AWAIT(stats().ended);
  EQUAL(kill(getpid(), SIGTERM), 0);
  EQUAL(WTERMSIG(stats().status), SIGINT);
  EQUAL(lg_exit_code(stats().status), 5);
  EQUAL(stats().forwarded, 1);
  struct lg_event events[8];
  EQUAL(lg_drain(events, 8), 4);
  EQUAL(events[0].kind, LG_EV_DROPPED);
  EQUAL(events[0].signal, SIGUSR1);
  EQUAL(events[1].kind, LG_EV_FORWARDED);
  EQUAL(events[1].signal, SIGTERM);
  EQUAL(events[1].sent, SIGINT);
  EQUAL(events[2].kind, LG_EV_MAIN_ENDED);
  EQUAL(events[3].kind, LG_EV_LATE);
  lg_disarm();
}

static void grace(void) {
  struct lg_config config = identity();
  config.grace_ns = 1;
  start(config);
  spawn_self("stubborn", NULL); /* stops itself when it ignores TERM */
  AWAIT(stats().stopped);
  EQUAL(kill(getpid(), SIGTERM), 0);
  AWAIT(stats().ended);
  EQUAL(WTERMSIG(stats().status), SIGKILL);
  bool over = false;
  struct lg_event event;
  while (lg_drain(&event, 1) == 1) over |= event.kind == LG_EV_GRACE_OVER && event.error == 0;
  CHECK(over);
  lg_disarm();
}

/* ------------------------------------------------------------------ reaping */

static _Atomic bool busy_over;

static void *busy(void *arg) {
  unsigned long *n = arg;
  while (!atomic_load(&busy_over)) {
    ++*n;
    if (*n % 4096 == 0) sched_yield();
  }
  return NULL;
}

static void reap_on_threads(void) {
  pthread_t threads[6];
  unsigned long counters[6] = {0};
  atomic_store(&busy_over, false);
  for (int i = 0; i < 6; i++) EQUAL(pthread_create(&threads[i], NULL, busy, &counters[i]), 0);
  /* The second time the main thread lets none of them in. */
  for (int blocked = 0; blocked <= 1; blocked++) {
    struct lg_config config = identity();
    config.subreaper = true;
    start(config);
    lg_wake_on_reap(true);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (blocked) EQUAL(pthread_sigmask(SIG_BLOCK, &child, NULL), 0);
    spawn_self("orphans", "5000");
    AWAIT(stats().ended && stats().reaped >= 5000);
    EQUAL(stats().status, 0);
    EQUAL(stats().reaped, 5000);
    lg_disarm();
    no_children_left();
  }
  atomic_store(&busy_over, true);
  for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
}

/* ThreadSanitizer loses the signal that comes while it makes the record of a thread's
 * signals, at its first call that waits, and the one that a thread has not taken when
 * it ends. So it waits once before, and stays until all are reaped. */
static void *fork_many(void *arg) {
  poll(NULL, 0, 0);
  for (int i = 0; i < 500;) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) i++;
    else CHECK(errno == EAGAIN);
  }
  struct pollfd over = {.fd = *(const int *)arg, .events = POLLIN};
  while (poll(&over, 1, -1) != 1) CHECK(errno == EINTR);
  return NULL;
}

/* Without COMMAND: children of every thread, reaped on whatever thread. */
static void reap_without_command(void) {
  pthread_t threads[4];
  struct lg_config config = identity();
  config.report_reaped = true;
  start(config);
  int over = eventfd(0, EFD_CLOEXEC);
  CHECK(over >= 0);
  for (int i = 0; i < 4; i++) EQUAL(pthread_create(&threads[i], NULL, fork_many, &over), 0);
  AWAIT(stats().reaped >= 2000);
  const uint64_t one = 1;
  EQUAL(write(over, &one, sizeof one), sizeof one);
  for (int i = 0; i < 4; i++) EQUAL(pthread_join(threads[i], NULL), 0);
  close(over);
  EQUAL(stats().reaped, 2000);
  EQUAL(stats().dropped_events, 0);
  no_children_left();
  uint64_t events = 0;
  struct lg_event event;
  /* A handler counts before it pushes, and pushes before it wakes. */
  while (events < 2000) {
    while (lg_drain(&event, 1) == 1) {
      EQUAL(event.kind, LG_EV_REAPED);
      events++;
    }
    if (events < 2000) wait_wake(__LINE__, "the last event");
  }
  lg_disarm();
}

/* Each orphan named itself after its pid: what an event tells must be of the
 * process that it names. They end all at once, in no order. */
static void reap_identity(void) {
  struct lg_config config = identity();
  config.subreaper = config.report_reaped = true;
  start(config);
  spawn_self("named", NULL);
  uint64_t events = 0, wrong = 0, unknown = 0;
  bool over = false;
  while (!over) {
    over = stats().ended && stats().reaped >= 4000;
    struct lg_event event;
    while (lg_drain(&event, 1) == 1) {
      if (event.kind != LG_EV_REAPED) continue;
      char name[LG_COMM] = "";
      snprintf(name, sizeof name, "p%d", event.pid);
      events++;
      if (event.comm[0] == '\0' || event.start_ticks == 0) unknown++;
      else if (memcmp(name, event.comm, LG_COMM) != 0) wrong++;
    }
    if (!over) wait_wake(__LINE__, "an orphan");
  }
  EQUAL(stats().status, 0);
  EQUAL(stats().reaped, 4000);
  /* A handler counts before it pushes; it may run on this thread only. */
  EQUAL(events + stats().dropped_events, 4000);
  if (wrong + unknown > 0)
    fail(__LINE__, "of %llu events %llu had another process's name, %llu none",
         (unsigned long long)events, (unsigned long long)wrong, (unsigned long long)unknown);
  lg_disarm();
  no_children_left();
}

/* Stops and continues of orphans are no ends. */
static void orphan_stops(void) {
  struct lg_config config = identity();
  config.subreaper = true;
  start(config);
  lg_wake_on_reap(true);
  spawn_self("stopped-orphan", NULL);
  AWAIT(stats().ended && stats().reaped >= 1);
  EQUAL(stats().status, 0);
  EQUAL(stats().reaped, 1);
  CHECK(!stats().stopped);
  lg_disarm();
  no_children_left();
}

/* As PID 1 of a namespace of its own. */
static void pid_again(void) {
  start(identity());
  lg_wake_on_reap(true);
  struct lg_spawned made = spawn_self("exit", "7");
  AWAIT(stats().ended);
  EQUAL(stats().status, 7 << 8);
  struct clone_args again = {.exit_signal = SIGCHLD,
                             .set_tid = (uint64_t)(uintptr_t)&made.pid,
                             .set_tid_size = 1};
  pid_t pid = (pid_t)syscall(SYS_clone3, &again, sizeof again);
  if (pid == 0) _exit(3);
  if (pid < 0) skip("clone3 does not let us choose the pid");
  EQUAL(pid, made.pid);
  AWAIT(stats().reaped > 0 || stats().status != 7 << 8);
  EQUAL(stats().status, 7 << 8); /* COMMAND's, not the newcomer's */
  EQUAL(stats().reaped, 1);
  lg_disarm();
  _exit(0);
}

static void pid_used_again(void) {
  if (unshare(CLONE_NEWPID) != 0) skip("no right to make a PID namespace");
  pid_t init = fork();
  CHECK(init >= 0);
  if (init == 0) pid_again();
  int status;
  EQUAL(waitpid(init, &status, 0), init);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1) _exit(1); /* it said why */
  EQUAL(status, 0);
  /* No leak check: its helper thread would be born into the dead namespace. */
  _exit(0);
}

/* -------------------------------------------------- what COMMAND does (modes) */

static int mode_exit(const char *arg) { return atoi(arg); }

static int mode_wait(const char *arg) {
  (void)arg;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
  return 0;
}

static int mode_stubborn(const char *arg) {
  (void)arg;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGTERM, SIG_IGN);
  raise(SIGSTOP);
  for (;;) pause();
  return 0;
}

static int mode_state(const char *arg) {
  (void)arg;
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  for (int sig = 1; sig < LG_NSIG; sig++) {
    if (sig == 32 || sig == 33) continue;
    if (sigismember(&mask, sig)) return 1;
    struct sigaction now;
    if (!lg_forwardable(sig)) continue; /* a sanitizer may catch the faults */
    if (sigaction(sig, NULL, &now) != 0) return 2;
    if (sig == SIGHUP ? now.sa_handler != SIG_IGN : now.sa_handler != SIG_DFL) return 3;
  }
  return getpgrp() == getpid() ? 0 : 4;
}

static int orphans(long count) {
  for (long made = 0; made < count;) {
    pid_t child = fork();
    if (child < 0) {
      if (errno == EAGAIN) continue;
      return 91;
    }
    if (child == 0) {
      pid_t orphan = fork();
      _exit(orphan < 0 ? 1 : 0);
    }
    int status;
    if (waitpid(child, &status, 0) != child) return 92;
    if (status == 0) made++;
  }
  return 0;
}

static int mode_orphans(const char *arg) { return orphans(atol(arg)); }

/* 20 times 200 orphans that are there, named, before the first of them ends. */
static int mode_named(const char *arg) {
  (void)arg;
  for (int round = 0; round < 20; round++) {
    int ready[2], go[2];
    if (pipe(ready) != 0 || pipe(go) != 0) return 91;
    pid_t child = fork();
    if (child < 0) return 92;
    if (child == 0) {
      for (int i = 0; i < 200; i++) {
        pid_t orphan = fork();
        if (orphan < 0) _exit(1);
        if (orphan == 0) {
          char name[LG_COMM], byte;
          snprintf(name, sizeof name, "p%d", (int)getpid());
          prctl(PR_SET_NAME, name);
          close(go[1]);
          if (write(ready[1], "x", 1) != 1) _exit(1);
          if (read(go[0], &byte, 1) != 0) _exit(2);
          _exit(0);
        }
      }
      _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) return 93;
    char byte;
    for (int i = 0; i < 200; i++)
      if (read(ready[0], &byte, 1) != 1) return 94;
    close(ready[0]);
    close(ready[1]);
    close(go[0]);
    close(go[1]);
  }
  return 0;
}

static int mode_stopped_orphan(const char *arg) {
  (void)arg;
  int ready[2];
  if (pipe(ready) != 0) return 91;
  pid_t child = fork();
  if (child < 0) return 92;
  if (child == 0) {
    pid_t orphan = fork();
    if (orphan == 0)
      for (;;) pause();
    if (orphan < 0 || write(ready[1], &orphan, sizeof orphan) != sizeof orphan) _exit(1);
    _exit(0);
  }
  pid_t orphan;
  if (read(ready[0], &orphan, sizeof orphan) != sizeof orphan) return 93;
  if (waitpid(child, NULL, 0) != child) return 94;
  struct lg_stat now = {0};
  if (kill(orphan, SIGSTOP) != 0) return 95;
  while (now.state != 'T')
    if (lg_read_stat(orphan, &now) != 0) return 96;
  if (kill(orphan, SIGCONT) != 0) return 97;
  return kill(orphan, SIGTERM) == 0 ? 0 : 98;
}

static int mode_list(const char *arg);

static int processes(void) {
  int n = 0;
  DIR *dir = opendir("/proc");
  if (dir == NULL) return -1;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
  closedir(dir);
  return n;
}

/* In a PID namespace: N orphans, then wait until only the init and we are left. */
static int mode_storm(const char *arg) {
  int code = orphans(atol(arg));
  if (code != 0) return code;
  time_t until = time(NULL) + PATIENCE;
  while (processes() != 2) {
    if (time(NULL) > until) {
      printf("%d processes left\n", processes());
      fflush(stdout);
      return 90;
    }
    sched_yield();
  }
  printf("clean\n");
  fflush(stdout);
  return 7;
}

static const struct {
  const char *name;
  int (*run)(const char *);
} modes[] = {{"exit", mode_exit},       {"wait", mode_wait},   {"stubborn", mode_stubborn},
             {"state", mode_state},     {"orphans", mode_orphans}, {"named", mode_named},
             {"stopped-orphan", mode_stopped_orphan}, {"storm", mode_storm},
             {"list", mode_list}};

/* ---------------------------------------------------------------- the runner */

#define TEST(name) {#name, name}
static const struct test tests[] = {
    TEST(ring_empty),       TEST(ring_full),        TEST(ring_laps),
    TEST(ring_threads),     TEST(read_stat),        TEST(signal_exact),
    TEST(signal_exact_no_descriptor),               TEST(arm_twice),
    TEST(arm_off_main),     TEST(order_of_calls),   TEST(disarm_restores),
    TEST(disarm_after_failure),                     TEST(spawn_missing),
    TEST(spawn_not_executable),                     TEST(spawn_script),
    TEST(spawn_state),      TEST(spawn_cycles),     TEST(early_signals),
    TEST(signals_during_spawn),                     TEST(early_overflow),
    TEST(rewrite_and_drop), TEST(grace),            TEST(reap_on_threads),
    TEST(reap_without_command),                     TEST(reap_identity),
    TEST(orphan_stops),     TEST(pid_used_again),
};
#define TESTS (sizeof tests / sizeof *tests)

static int mode_list(const char *arg) {
  (void)arg;
  for (size_t i = 0; i < TESTS; i++) puts(tests[i].name);
  fflush(stdout);
  return 0;
}

int main(int argc, char **argv) {
  ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
  if (n <= 0) return 2;
  if (argc > 1)
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
      if (strcmp(argv[1], modes[i].name) == 0) _exit(modes[i].run(argc > 2 ? argv[2] : ""));
  return run_tests(tests, TESTS, argc, argv);
}
