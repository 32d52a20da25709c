/*
 * lychgate-pid1: a container's init without Node in it. TypeScript decides, once: it is
 * asked for a plan (lychgate-pid1 [options] -- COMMAND), or was asked when the image was
 * made (lychgate-pid1 --plan FILE [-- COMMAND]). Then it is as native/core does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"

extern char **environ;

#define KILL_WAIT INT64_C(2000000000)
#define DRAIN_POLL INT64_C(100000000) /* processes of `docker exec` send us no SIGCHLD */

static struct lg_plan given;
static const struct lg_plan *const plan = &given;
static char name[256]; /* of COMMAND, for messages: the start of its first word */

static void refuse(const char *path, const char *why) {
  lg_say(LG_ERROR, "the plan %s %R", path, why);
  _exit(126);
}

/* It decides what PID 1 does: nobody else may have written it. */
static void *map_plan(const char *path, size_t *size) {
  struct stat about;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0 || syscall(SYS_fstat, fd, &about) != 0) {
    lg_say(LG_ERROR, "cannot read the plan %s: %E; make it with lychgate plan --output", path, errno);
    _exit(126);
  }
  if (!S_ISREG(about.st_mode)) refuse(path, "is no regular file");
  if (about.st_uid != 0 && about.st_uid != geteuid())
    refuse(path, "belongs to another user: it must be root's or ours");
  if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    refuse(path, "can be written by others: chmod go-w it");
  if (about.st_size < (off_t)LG_PLAN_HEAD) refuse(path, "is no plan");
  if (about.st_size > LG_PLAN_MAX) refuse(path, "is too long");
  *size = (size_t)about.st_size;
  void *bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) {
    lg_say(LG_ERROR, "cannot read the plan %s: %E", path, errno);
    _exit(126);
  }
  close(fd);
  return bytes;
}

/* What was decided when the image was made does not read the environment any more. */
static void warn_of_environment(void) {
  for (char **e = environ; e != NULL && *e != NULL; e++) {
    const char *end = strchr(*e, '=');
    if (end == NULL || (strncmp(*e, "LYCHGATE_", 9) != 0 && strncmp(*e, "TINI_", 5) != 0)) continue;
    char variable[64];
    size_t n = (size_t)(end - *e) < sizeof variable - 1 ? (size_t)(end - *e) : sizeof variable - 1;
    memcpy(variable, *e, n);
    variable[n] = '\0';
    lg_say(LG_WARN, "%s counts when a plan is made, not now", variable);
  }
}

/* Where a baked plan and the list of its words lie until COMMAND is started. */
static struct {
  void *at;
  size_t size;
} mapped[2];

/* The words of COMMAND: behind the plan's own name, or those that were baked. */
static char **take_baked(int argc, char **argv, const char *path, int next) {
  if (next < argc && strcmp(argv[next], "--") == 0) next++;
  else if (next < argc && argv[next][0] == '-') {
    lg_say(LG_ERROR, "%s: with a plan there are no options, they are in it; write -- before a COMMAND "
           "that starts with a dash", argv[next]);
    _exit(2);
  }
  const char *policy, *command;
  mapped[0].at = map_plan(path, &mapped[0].size);
  const char *why =
      lg_plan_check(mapped[0].at, mapped[0].size, LG_PLAN_BAKED, 0, &policy, &command);
  if (why != NULL) refuse(path, why);
  memcpy(&given, mapped[0].at, sizeof given);
  lg_verbosity = plan->verbosity;
  warn_of_environment();
  if ((plan->flags & LG_PLAN_POLICY) != 0) lg_policy_bake(policy, plan->policy_words);
  if (next < argc) return argv + next;
  if (command == NULL) {
    lg_say(LG_ERROR, "no COMMAND given, and the plan %s holds none", path);
    _exit(2);
  }
  mapped[1].size = (plan->command_words + 1) * sizeof(char *);
  char **words = mmap(NULL, mapped[1].size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (words == MAP_FAILED) refuse(path, "does not fit into memory");
  mapped[1].at = words;
  lg_plan_words(command, plan->command_words, words);
  return words;
}

static char **take_live(int argc, char **argv) {
  lg_policy_ask(argv, &given);
  const char *policy, *command;
  const char *why = lg_plan_check(&given, LG_PLAN_HEAD, LG_PLAN_LIVE, (unsigned)argc, &policy, &command);
  if (why != NULL) refuse("of the TypeScript side", why);
  lg_verbosity = plan->verbosity;
  return argv + plan->first_word;
}

static char **take_plan(int argc, char **argv) {
  if (argc < 2) {
    if (access(LG_PLAN_DEFAULT, F_OK) == 0) return take_baked(argc, argv, LG_PLAN_DEFAULT, argc);
    lg_say(LG_ERROR, "no COMMAND given, and there is no plan at " LG_PLAN_DEFAULT
           "; usage: lychgate-pid1 [options] [--] COMMAND [ARG...], or --plan FILE [-- COMMAND]");
    _exit(2);
  }
  if (strncmp(argv[1], "--plan=", 7) == 0) return take_baked(argc, argv, argv[1] + 7, 2);
  if (strcmp(argv[1], "--plan") != 0) return take_live(argc, argv);
  if (argc < 3) {
    lg_say(LG_ERROR, "--plan needs FILE");
    _exit(2);
  }
  return take_baked(argc, argv, argv[2], 3);
}

static void configure(void) {
  bool first = getpid() == 1, subreaper = (plan->flags & LG_PLAN_SUBREAPER) != 0 ||
                                          (!first && (plan->flags & LG_PLAN_NO_SUBREAPER) == 0);
  struct lg_config config = {
      .group = (plan->flags & LG_PLAN_GROUP) != 0,
      .subreaper = subreaper,
      .report_reaped = (plan->flags & LG_PLAN_WARN_REAPED) != 0 || plan->verbosity >= LG_DEBUG,
      .report_forwarded = plan->verbosity >= LG_INFO,
      .parent_death_signal = (int)plan->parent_death_signal,
      .grace_ns = plan->grace_ns,
  };
  memcpy(config.signal_map, plan->signal_map, sizeof config.signal_map);
  memcpy(config.exit_map, plan->exit_map, sizeof config.exit_map);
  const char *failed;
  int error = lg_configure(&config, &failed);
  if (error != 0) {
    lg_say(LG_ERROR, "%s: %E", failed != NULL ? failed : "lg_configure", -error);
    _exit(126);
  }
  /* Where an engine made us the leader of a session (setsid, as runc does), COMMAND
   * would lead one without us. With a terminal we keep it, and COMMAND its foreground. */
  lg.config.session = lg.tty < 0 && getsid(0) == getpid();
  if (!first) lg_tell(LG_EV_ROLE, subreaper);
}

static void wait_until(bool (*done)(void), int64_t until) {
  while (!done()) {
    int64_t now = lg_now(CLOCK_MONOTONIC), next = now + DRAIN_POLL;
    if (now >= until) return;
    lg_wait_turn(next < until ? next : until);
  }
}

static bool settled(void) { return lg_events_kill_all() || !lg_others_any(); }
static bool gone(void) { return !lg_others_any(); }

static int others;
static void count_one(pid_t pid, const struct lg_stat *about) {
  (void)pid;
  (void)about;
  others++;
}

static void drain(void) {
  if (getpid() != 1 && !lg_others_visible()) {
    lg_tell(LG_EV_DRAIN_BLIND, 0);
    return;
  }
  if (!lg_others_any()) return;
  lg_others_each(count_one);
  lg_tell(LG_EV_DRAIN, others);
  lg_events_draining();
  lg_others_signal(SIGTERM);
  lg_others_signal(SIGCONT); /* a stopped one could not hear it */
  wait_until(settled, lg_now(CLOCK_MONOTONIC) + plan->drain_ns);
  if (!lg_others_any()) return;
  lg_others_each(lg_tell_killed_one);
  lg_others_signal(SIGKILL);
  wait_until(gone, lg_now(CLOCK_MONOTONIC) + KILL_WAIT);
  lg_tell_killed();
  if (!gone()) lg_tell(LG_EV_DRAIN_STUCK, 0);
}

/* What only the start needed. A policy process may be started again, with its words. */
static void give_back(bool policy) {
  for (int i = 0; i < 2 && !policy; i++)
    if (mapped[i].at != NULL) munmap(mapped[i].at, mapped[i].size);
  uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)4095;
  madvise((void *)(here - 128 * 1024), 124 * 1024, MADV_DONTNEED); /* best effort */
}

int main(int argc, char **argv) {
  lg_wait_begin();
  char **command = take_plan(argc, argv);
  strncpy(name, command[0], sizeof name - 1);
  lg_events_begin(plan, name);
  bool policy = (plan->flags & LG_PLAN_POLICY) != 0;
  if (policy) lg_policy_keep(command);
  configure();

  struct lg_spawn_request what = {.file = command[0], .argv = command, .nofile = plan->nofile};
  struct lg_spawned made;
  lg_spawn(&what, &made);
  lg_policy_dismiss(); /* only now: its end takes milliseconds of a processor */
  lg_tell_spawned(&made);
  if (made.pid == 0) {
    lg_policy_close();
    lg_finish(126);
  }
  lg_on_child(SIGCHLD, NULL, NULL); /* orphans that came before */
  give_back(policy);
  while (!atomic_load(&lg.ended)) lg_wait_turn(0);

  if (plan->drain_ns > 0) drain();
  int code = lg_exit_code(atomic_load(&lg.status));
  lg_tell_ended(code);
  lg_policy_close();
  lg_finish(code);
}
