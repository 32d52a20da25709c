/*
 * Starting COMMAND. clone(CLONE_VM | CLONE_VFORK) on a stack of its own, as
 * posix_spawn(3) does it: no page table to copy, and whatever goes wrong in the
 * child is a store into our memory. The thread that calls it waits until the
 * exec; the handlers on other threads do not.
 *
 * Why no signal is lost here. All are blocked in this thread and in the child.
 * One that comes on another thread before the pid is known is kept (forward.c);
 * the kernel writes the pid before the child runs (CLONE_PARENT_SETTID), and
 * from then on it is sent to the child, where it waits, blocked, until the
 * dispositions are default ones. And no exit is lost: the role of the reaper is
 * held until the pid is recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

struct job {
  const struct lg_spawn_request *what;
  struct lg_spawned *out;
  char **shell_argv; /* for a script without #!: /bin/sh FILE ARG... */
  const char *path;  /* PATH of the child's environment */
  char *listen_pid;  /* where the child writes its pid, or NULL */
  bool foreground;
  sigset_t mask;
};

static char stack[64 * 1024] __attribute__((aligned(64)));

static void reset_dispositions(void) {
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < LG_NSIG; sig++) {
    if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33) continue;
    /* What our parent ignored stays ignored, as far as the runtime left it to be
     * seen; what the runtime itself set to be ignored does not. */
    bool inherited = lg.saved[sig].sa_handler == SIG_IGN &&
                     (lg.runtime_ignored >> (sig - 1) & 1) == 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(sig, inherited ? &ignore : &by_default, NULL);
  }
}

static void pass_descriptors(const struct lg_spawn_request *what) {
  if (what->fds == NULL) return;
  /* Everything else closes at exec, however it was opened. ENOSYS before 5.11:
   * then what the runtime opened has the flag anyway. */
  syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
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
  setpgid(0, 0); /* fails only for a session leader, which this is not */
  if (job->foreground && tcsetpgrp(lg.tty, self) == 0) job->out->foreground = true;
  reset_dispositions();
  pass_descriptors(job->what);
  if (job->what->nofile >= 0) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail(job, "getrlimit", errno);
    limit.rlim_cur = (rlim_t)job->what->nofile;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail(job, "setrlimit", errno);
  }
  if (job->listen_pid != NULL) {
    char digits[12];
    int n = 0;
    for (pid_t v = self; v != 0; v /= 10) digits[n++] = (char)('0' + v % 10);
    char *out = job->listen_pid;
    while (n > 0) *out++ = digits[--n];
    *out = '\0';
  }
  sigprocmask(SIG_SETMASK, &job->mask, NULL);
  fail(job, "exec", search_and_exec(job));
  return 0;
}

/* LISTEN_PID names the process that the descriptors of LISTEN_FDS are for
 * (sd_listen_fds(3)). If that is us, it shall be COMMAND. Returns the
 * environment to use; *slot is where the child writes its pid. */
static char **for_child(char **envp, char **slot, char *buffer) {
  static const char name[] = "LISTEN_PID=";
  size_t count = 0, found = (size_t)-1;
  for (; envp[count] != NULL; count++)
    if (strncmp(envp[count], name, sizeof name - 1) == 0 &&
        atol(envp[count] + sizeof name - 1) == (long)getpid())
      found = count;
  if (found == (size_t)-1) return envp;
  char **copy = malloc((count + 1) * sizeof *copy);
  if (copy == NULL) return envp;
  memcpy(copy, envp, (count + 1) * sizeof *copy);
  memcpy(buffer, name, sizeof name);
  *slot = buffer + sizeof name - 1;
  copy[found] = buffer;
  return copy;
}

static const char *find_path(char *const *envp) {
  for (; *envp != NULL; envp++)
    if (strncmp(*envp, "PATH=", 5) == 0) return *envp + 5;
  return "/usr/local/bin:/bin:/usr/bin";
}

void lg_spawn(const struct lg_spawn_request *asked, struct lg_spawned *out) {
  memset(out, 0, sizeof *out);
  struct lg_spawn_request what = *asked;
  char listen_pid[32];
  struct job job = {.what = &what, .out = out};
  static char *nothing[] = {NULL}; /* clearenv(3) leaves environ NULL */
  char **original = what.envp != NULL ? (char **)what.envp : environ != NULL ? environ : nothing;
  char **envp = for_child(original, &job.listen_pid, listen_pid);
  what.envp = envp;
  job.path = find_path(envp);
  sigemptyset(&job.mask);

  size_t argc = 0;
  while (what.argv[argc] != NULL) argc++;
  job.shell_argv = calloc(argc + 3, sizeof *job.shell_argv);
  if (job.shell_argv == NULL || !lg.configured || lg.spawned) {
    out->step = "clone";
    out->error = job.shell_argv == NULL ? ENOMEM : EINVAL;
  } else {
    lg.spawned = true;
    job.shell_argv[0] = (char *)"/bin/sh";
    if (argc > 0) memcpy(job.shell_argv + 2, what.argv + 1, argc * sizeof *job.shell_argv);
    job.foreground = lg_tty_ours();

    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    lg_reap_hold();
    int made = clone(child_main, stack + sizeof stack,
                     CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD, &job, &lg.child);
    if (made < 0) {
      out->step = "clone";
      out->error = errno;
      out->foreground = false;
    } else {
      out->pid = made;
      atomic_store(&lg.exec_done, true);
      lg.gave_terminal = out->foreground;
      /* ENOSYS before 5.3: kill(2) then, as the others do it. */
      int pidfd = (int)syscall(SYS_pidfd_open, made, 0);
      atomic_store(&lg.pidfd, pidfd < 0 ? -1 : pidfd);
    }
    lg_reap_release();
    if (made > 0) lg_flush_early();
    sigprocmask(SIG_SETMASK, &before, NULL);
  }
  free(job.shell_argv);
  if (envp != original) free(envp);
}
