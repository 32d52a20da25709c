/*
 * Starting COMMAND, and a helper beside it. clone(CLONE_VM | CLONE_VFORK) on a stack
 * of its own, as posix_spawn(3) does it: no page table to copy, and whatever goes
 * wrong in the child is a store into our memory. The thread that calls it waits until
 * the exec; the handlers on other threads do not. Stack and lists lie in a mapping of
 * their own that is gone afterwards: nothing of it stays resident.
 *
 * Why no signal is lost here. All are blocked in this thread and in the child.
 * One that comes on another thread before the pid is known is kept (handlers.c);
 * the kernel writes the pid before the child runs (CLONE_PARENT_SETTID), and
 * from then on it is sent to the child, where it waits, blocked, until the
 * dispositions are default ones. And no exit is lost: the role of the reaper is
 * held until the pid is recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

extern char **environ;

#define STACK_SIZE (64 * 1024)

struct job {
  const struct lg_spawn_request *what;
  struct lg_spawned *out;
  char **shell_argv; /* for a script without #!: /bin/sh FILE ARG... */
  const char *path;  /* PATH of the child's environment */
  char *listen_pid;  /* where the child writes its pid, or NULL */
  bool foreground;
  bool helper;
};

static void pass_descriptors(const struct lg_spawn_request *what) {
  if (what->fds == NULL) return;
  /* Everything else closes at exec, however it was opened. ENOSYS before 5.11:
   * then what the runtime opened has the flag anyway, and for the rest the usual
   * range must do. */
  if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
    for (int fd = 3; fd < 1024; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0);
  for (size_t i = 0; i < what->nfds; i++) fcntl(what->fds[i], F_SETFD, 0);
}

static int try_exec(const struct job *job, const char *file) {
  char *const *envp = job->what->envp;
  execve(file, job->what->argv, envp);
  if (errno == ENOEXEC) {
    /* execvp(3) does the same, and so do the other inits. */
    job->shell_argv[1] = (char *)file;
    execve("/bin/sh", job->shell_argv, envp);
    errno = ENOEXEC;
  }
  return errno;
}

static int search_and_exec(const struct job *job) {
  const char *file = job->what->file;
  if (*file == '\0') return ENOENT;
  if (strchr(file, '/') != NULL) return try_exec(job, file);
  size_t length = strlen(file);
  bool denied = false;
  for (const char *p = job->path;; p++) {
    char candidate[PATH_MAX];
    size_t n = strcspn(p, ":");
    if (n + 1 + length < sizeof candidate) {
      memcpy(candidate, p, n);
      if (n > 0) candidate[n++] = '/'; /* an empty element is the current folder */
      memcpy(candidate + n, file, length + 1);
      switch (try_exec(job, candidate)) {
        case ENOENT: case ENOTDIR: case ESTALE: case ENODEV: case ETIMEDOUT: break;
        case EACCES: denied = true; break;
        default: return errno;
      }
    }
    p += strcspn(p, ":");
    if (*p == '\0') return denied ? EACCES : ENOENT;
  }
}

static void fail(const struct job *job, const char *step, int error) {
  job->out->step = step;
  job->out->error = error;
  /* 127: there is no such file; 126: there is, and it cannot be run (POSIX) */
  _exit(error == ENOENT && strcmp(step, "exec") == 0 ? 127 : 126);
}

static int child_main(void *arg) {
  struct job *job = arg;
  pid_t self = getpid();
  if (job->helper || lg.config.session) setsid();
  else setpgid(0, 0); /* fails only for a session leader, which this is not */
  if (job->foreground && tcsetpgrp(lg.tty, self) == 0) job->out->foreground = true;
  pass_descriptors(job->what);
  if (job->what->nofile >= 0) {
    /* The call itself: a C library's setrlimit(3) may speak to all its threads first. */
    struct rlimit limit;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0) fail(job, "getrlimit", errno);
    limit.rlim_cur = (rlim_t)job->what->nofile;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL) != 0) fail(job, "setrlimit", errno);
  }
  if (job->listen_pid != NULL) *lg_digits(job->listen_pid, (unsigned)self) = '\0';
  lg_way_of_child();
  fail(job, "exec", search_and_exec(job));
  return 0;
}

/* LISTEN_PID names the process that the descriptors of LISTEN_FDS are for
 * (sd_listen_fds(3)). If that is us, it shall be COMMAND. Returns the place of
 * that variable, or -1. */
static ssize_t find_listen_pid(char *const *envp) {
  static const char name[] = "LISTEN_PID=";
  for (ssize_t i = 0; envp[i] != NULL; i++)
    if (strncmp(envp[i], name, sizeof name - 1) == 0 &&
        atol(envp[i] + sizeof name - 1) == (long)getpid())
      return i;
  return -1;
}

static const char *find_path(char *const *envp) {
  for (; *envp != NULL; envp++)
    if (strncmp(*envp, "PATH=", 5) == 0) return *envp + 5;
  return "/usr/local/bin:/bin:/usr/bin";
}

size_t lg_count(char *const *list) {
  size_t n = 0;
  while (list != NULL && list[n] != NULL) n++;
  return n;
}

/* Everything blocked, the role of the reaper held: see above. */
static int make(struct job *job, _Atomic pid_t *where, char *stack_end) {
  int made = clone(child_main, stack_end, CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD,
                   job, where);
  if (made < 0) {
    job->out->step = "clone";
    job->out->error = errno;
    job->out->foreground = false;
    return -1;
  }
  atomic_store(where, made); /* again: user-mode emulators leave it to us */
  job->out->pid = made;
  return 0;
}

static void start(const struct lg_spawn_request *asked, struct lg_spawned *out, bool helper) {
  struct lg_spawn_request what = *asked;
  struct job job = {.what = &what, .out = out, .helper = helper};
  static char *nothing[] = {NULL}; /* clearenv(3) leaves environ NULL */
  if (what.envp == NULL) what.envp = environ != NULL ? environ : nothing;
  job.path = find_path(what.envp);

  size_t argc = lg_count(what.argv), envc = lg_count(what.envp);
  size_t size = STACK_SIZE + (argc + envc + 4) * sizeof(char *);
  char *scratch = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (scratch == MAP_FAILED) {
    out->step = "clone";
    out->error = errno;
    return;
  }
  job.shell_argv = (char **)(scratch + STACK_SIZE);
  job.shell_argv[0] = (char *)"/bin/sh";
  if (argc > 0) memcpy(job.shell_argv + 2, what.argv + 1, argc * sizeof(char *));
  char listen_pid[32] = "LISTEN_PID=";
  ssize_t listener = helper ? -1 : find_listen_pid(what.envp);
  if (listener >= 0) {
    char **copy = job.shell_argv + argc + 2;
    memcpy(copy, what.envp, (envc + 1) * sizeof(char *));
    job.listen_pid = listen_pid + strlen(listen_pid);
    copy[listener] = listen_pid;
    what.envp = copy;
  }

  uint64_t before = lg_mask(SIG_BLOCK, LG_ALL_SIGNALS);
  lg_reap_hold();
  if (helper) {
    make(&job, &lg.helper, scratch + STACK_SIZE);
  } else {
    lg.spawned = true;
    job.foreground = lg_tty_ours();
    if (make(&job, &lg.child, scratch + STACK_SIZE) == 0) {
      atomic_store(&lg.exec_done, true);
      lg.gave_terminal = out->foreground;
      /* ENOSYS before 5.3: kill(2) then, as the others do it. */
      int pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
      atomic_store(&lg.pidfd, pidfd < 0 ? -1 : pidfd);
    }
  }
  lg_reap_release();
  if (!helper && out->pid > 0) lg_way_started();
  lg_mask(SIG_SETMASK, before);
  munmap(scratch, size);
}

void lg_spawn(const struct lg_spawn_request *what, struct lg_spawned *out) {
  memset(out, 0, sizeof *out);
  if (!lg.configured || lg.spawned) {
    out->step = "clone";
    out->error = EINVAL;
    return;
  }
  start(what, out, false);
}

void lg_spawn_helper(const struct lg_spawn_request *what, struct lg_spawned *out) {
  memset(out, 0, sizeof *out);
  if (!lg.armed || atomic_load(&lg.helper) != 0) {
    out->step = "clone";
    out->error = lg.armed ? EBUSY : EINVAL;
    return;
  }
  start(what, out, true);
}
