/* measure MODE COUNT [INIT-CPU]: run as COMMAND below an init that is PID 1, by main.ts.
 *   orphans   COUNT double forks at full speed; prints orphans per second
 *   latency   COUNT orphans one by one; from exit (pidfd readable) until the
 *             init has reaped it (ESRCH); prints p50 and p99 in us
 *   forward   COUNT signals to the init, each waited for; p50 and p99 in us
 *   clock     prints CLOCK_MONOTONIC in us at once
 * Each prints one JSON object; any failure is a non-zero exit.
 *
 * INIT-CPU pins every thread of the init there and us to CPU 0. Where the two
 * sit is the scheduler's choice at start and decides more than the init does:
 * waking another CPU of a virtual machine costs several times the whole path. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) exit(90);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int processes(void) {
  int n = 0;
  DIR *dir = opendir("/proc");
  if (dir == NULL) exit(91);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
  closedir(dir);
  return n;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void pin(pid_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(thread, sizeof set, &set) != 0) {
    perror("sched_setaffinity");
    exit(89);
  }
}

static void place(int init_cpu) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", getppid());
  DIR *dir = opendir(path);
  if (dir == NULL) exit(88);
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    if (e->d_name[0] != '.') pin(atoi(e->d_name), init_cpu);
  closedir(dir);
  pin(0, 0);
}

static void quantiles(double *us, long n) {
  qsort(us, (size_t)n, sizeof *us, compare);
  printf("{\"p50\":%.2f,\"p99\":%.2f}\n", us[n / 2], us[n * 99 / 100]);
}

static void orphans(long count) {
  double start = now();
  for (long i = 0; i < count;) {
    pid_t child = fork();
    if (child < 0 && errno == EAGAIN) continue;
    if (child < 0) exit(92);
    if (child == 0) _exit(fork() < 0);
    int status;
    if (waitpid(child, &status, 0) != child) exit(93);
    if (status == 0) i++;
  }
  while (processes() > 2) sched_yield(); /* the init and us */
  printf("{\"perSecond\":%.0f}\n", (double)count / (now() - start) * 1e6);
}

static void latency(long count, double *us) {
  for (long i = 0; i < count; i++) {
    int pidpipe[2], hold[2];
    if (pipe(pidpipe) != 0 || pipe(hold) != 0) exit(94);
    pid_t child = fork();
    if (child < 0) exit(95);
    if (child == 0) {
      pid_t orphan = fork();
      if (orphan < 0) _exit(1);
      if (orphan > 0) _exit(write(pidpipe[1], &orphan, sizeof orphan) != sizeof orphan);
      char byte;
      close(hold[1]);
      _exit(read(hold[0], &byte, 1) < 0);
    }
    pid_t orphan;
    int status;
    if (read(pidpipe[0], &orphan, sizeof orphan) != sizeof orphan) exit(96);
    if (waitpid(child, &status, 0) != child || status != 0) exit(97);
    int pidfd = (int)syscall(SYS_pidfd_open, orphan, 0);
    if (pidfd < 0) exit(98);
    close(hold[1]); /* now it ends */
    struct pollfd wait_for = {.fd = pidfd, .events = POLLIN};
    if (poll(&wait_for, 1, -1) != 1) exit(99);
    double ended = now();
    while (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0) {
    }
    us[i] = now() - ended;
    close(pidfd);
    close(hold[0]);
    close(pidpipe[0]);
    close(pidpipe[1]);
  }
  quantiles(us, count);
}

static void forward(long count, double *us) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) exit(90);
  for (long i = 0; i < count; i++) {
    double sent = now();
    if (kill(getppid(), SIGUSR2) != 0) exit(91);
    if (sigwaitinfo(&set, NULL) != SIGUSR2) exit(92);
    us[i] = now() - sent;
  }
  quantiles(us, count);
}

int main(int argc, char **argv) {
  double at = now();
  if (argc < 3 || argc > 4) return 2;
  long count = atol(argv[2]);
  double *us = calloc((size_t)count + 1, sizeof *us);
  if (us == NULL) return 3;
  if (argc == 4) place(atoi(argv[3]));
  if (strcmp(argv[1], "clock") == 0) printf("{\"at\":%.1f}\n", at);
  else if (strcmp(argv[1], "orphans") == 0) orphans(count);
  else if (strcmp(argv[1], "latency") == 0) latency(count, us);
  else if (strcmp(argv[1], "forward") == 0) forward(count, us);
  else return 2;
  free(us);
  return 0;
}
