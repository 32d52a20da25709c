/*
 * The parent that `npm run bench -- reap` looks at: says itself how long it stood still,
 * whatever the tool says. The first thread, the one that tools stop, reads the clock
 * without end; what lies between two readings and is 50 us or more is a gap. Run as
 * `standstill nap` it sleeps 100 us each time, as a program that mostly waits does, and
 * a gap is what comes on top. Of each gap the kernel tells how long the thread only
 * waited for a CPU (schedstat; what a hypervisor takes is not in it): the rest is told
 * as stood. A second thread takes commands from stdin:
 *   make N   N children that have ended; answers with their pids
 *   take     answers with the gaps since the last take (or make), as JSON
 * and ends all at the end of its input. Who runs it: bench/reap.ts.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAP 100000
#define GAP 50000

struct gaps {
  int64_t longest, sum, stood; /* stood: the longest without the wait for a CPU */
  long count;
};

static struct gaps answer;
static atomic_uint asked, given;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* How long this thread has been ready and not running, since its start. */
static int64_t waited(int schedstat) {
  char text[128];
  long long ran = 0, wait = 0;
  ssize_t n = pread(schedstat, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  return sscanf(text, "%lld %lld", &ran, &wait) == 2 ? wait : 0;
}

static struct gaps take(void) {
  unsigned turn = atomic_load(&asked) + 1;
  atomic_store(&asked, turn);
  while (atomic_load(&given) != turn) usleep(100);
  return answer;
}

static void make(long count) {
  for (long i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) _exit(0);
    siginfo_t end; /* wait until it is one, and leave it there */
    if (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT) != 0) die("waitid");
    printf("%d ", (int)pid);
  }
  puts("");
  take();
}

static void *commands(void *unused) {
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "make ", 5) == 0) {
      make(atol(line + 5));
    } else {
      struct gaps g = take();
      printf("{\"longestUs\":%.1f,\"stoodUs\":%.1f,\"sumUs\":%.1f,\"gaps\":%ld}\n",
             (double)g.longest / 1e3, (double)g.stood / 1e3, (double)g.sum / 1e3, g.count);
    }
    fflush(stdout);
  }
  exit(0);
  return unused;
}

int main(int argc, char **argv) {
  const int64_t nap = argc > 1 && strcmp(argv[1], "nap") == 0 ? NAP : 0;
  const struct timespec sleep = {.tv_nsec = nap};
  struct gaps g = {0};
  pthread_t second;
  const int schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
  if (pthread_create(&second, NULL, commands, NULL) != 0) die("pthread_create");
  for (int64_t last = now(), before = waited(schedstat);;) {
    if (nap != 0) nanosleep(&sleep, NULL);
    /* Read before the clock: what came before the question belongs to the answer. */
    unsigned turn = atomic_load(&asked);
    int64_t at = now(), gap = at - last - nap;
    last = at;
    if (gap >= GAP) {
      g.sum += gap;
      g.count++;
      if (gap > g.longest) g.longest = gap;
      int64_t wait = waited(schedstat), stood = gap - (wait - before);
      if (stood > g.stood) g.stood = stood;
      before = wait;
    }
    if (turn == atomic_load_explicit(&given, memory_order_relaxed)) continue;
    answer = g;
    memset(&g, 0, sizeof g);
    before = waited(schedstat);
    last = now();
    atomic_store(&given, turn);
  }
}
