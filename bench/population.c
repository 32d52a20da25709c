/*
 * What `npm run bench -- scan` looks at: population LIVE ZOMBIES makes so many sleeping
 * children, and one child that has so many zombies. Prints "ready", waits for the end
 * of its input, ends. Who runs it: bench/scan.ts, inside a PID namespace of its own,
 * so that nothing stays when it dies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void keep_zombies(long count, int ready) {
  for (long i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) _exit(0);
    siginfo_t end; /* wait until it is one, and leave it there */
    if (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT) != 0) die("waitid");
  }
  if (write(ready, "r", 1) != 1) die("write");
  for (;;) pause();
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long live = atol(argv[1]), zombies = atol(argv[2]);
  pid_t *pids = calloc((size_t)live + 1, sizeof *pids);
  int ready[2];
  char c;
  if (pids == NULL || pipe(ready) != 0) die("population");
  for (long i = 0; i <= live; i++) {
    pids[i] = fork();
    if (pids[i] < 0) die("fork");
    if (pids[i] > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (i == live) keep_zombies(zombies, ready[1]);
    for (;;) pause();
  }
  if (read(ready[0], &c, 1) != 1) die("read");
  puts("ready");
  fflush(stdout);
  while (read(0, &c, 1) > 0) continue;
  for (long i = 0; i <= live; i++) kill(pids[i], SIGKILL);
  return 0;
}
