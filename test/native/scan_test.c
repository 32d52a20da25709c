/* Tests of native/scan from the inside.
 *   scan_test tree DIR       scan DIR and print what was found, a line a process
 *   scan_test descriptors DIR with room for two descriptors, and for one
 *   scan_test storm DIR      scan DIR again and again under signals
 *   scan_test mutate ROUNDS  parse damaged lines in blocks of their exact size */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "procscan.h"

#define CHECK(condition)                                               \
  do {                                                                 \
    if (!(condition)) {                                                \
      fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);  \
      exit(1);                                                         \
    }                                                                  \
  } while (0)

static int open_descriptors(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir != NULL);
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n - 3; /* ".", "..", and the one that reads */
}

static int tree(const char *path) {
  struct lg_procscan scan;
  int before = open_descriptors();
  int error = lg_procscan(path, &scan);
  CHECK(open_descriptors() == before);
  if (error != 0) {
    CHECK(scan.count == 0 && scan.processes == NULL);
    printf("error %d\n", -error);
    return 0;
  }
  for (size_t i = 0; i < scan.count; i++) {
    const struct lg_process *p = &scan.processes[i];
    printf("%d %d %d %d %c %d %u %llu %llu %d ", p->pid, p->ppid, p->pgrp, p->session, p->state,
           p->threads, p->flags, (unsigned long long)p->cpu_ticks,
           (unsigned long long)p->start_ticks, p->exit_code);
    for (int k = 0; k < LG_COMM; k++) printf("%02x", (unsigned char)p->comm[k]);
    printf("\n");
  }
  printf("count %zu vanished %llu unreadable %llu malformed %llu\n", scan.count,
         (unsigned long long)scan.vanished, (unsigned long long)scan.unreadable,
         (unsigned long long)scan.malformed);
  lg_procscan_free(&scan);
  lg_procscan_free(&scan); /* twice is allowed */
  return 0;
}

static void leave_room_for(int descriptors) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = (rlim_t)(3 + descriptors);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static int descriptors(const char *path) {
  struct lg_procscan scan;
  for (int fd = 3; fd < 64; fd++) close(fd);
  leave_room_for(2);
  CHECK(lg_procscan(path, &scan) == 0);
  size_t count = scan.count;
  CHECK(count > 0 && scan.unreadable_error != EMFILE);
  lg_procscan_free(&scan);

  leave_room_for(1);
  CHECK(lg_procscan(path, &scan) == 0);
  CHECK(scan.count == 0 && scan.unreadable >= count && scan.unreadable_error == EMFILE);
  lg_procscan_free(&scan);

  leave_room_for(0);
  CHECK(lg_procscan(path, &scan) == -EMFILE);
  leave_room_for(32); /* for the leak checker at the end */
  return 0;
}

static atomic_int taken, taken_elsewhere;

static void take(int signal) {
  (void)signal;
  atomic_fetch_add(gettid() == getpid() ? &taken : &taken_elsewhere, 1);
}

/* Signals reach the program's own thread only, and no read is lost to EINTR. */
static int storm(const char *path) {
  struct sigaction action = {.sa_handler = take}; /* no SA_RESTART */
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  struct lg_procscan scan;
  CHECK(lg_procscan(path, &scan) == 0);
  size_t count = scan.count;
  lg_procscan_free(&scan);
  pid_t parent = getpid(), sender = fork();
  CHECK(sender >= 0);
  if (sender == 0)
    while (kill(parent, SIGUSR1) == 0 && getppid() == parent) continue;
  for (int before = atomic_load(&taken), round = 0; round < 5 || atomic_load(&taken) == before;
       round++) {
    CHECK(lg_procscan(path, &scan) == 0);
    CHECK(scan.count == count && scan.unreadable == 0 && scan.vanished == 0);
    lg_procscan_free(&scan);
  }
  CHECK(kill(sender, SIGKILL) == 0);
  while (waitpid(sender, NULL, 0) < 0) CHECK(errno == EINTR);
  CHECK(atomic_load(&taken_elsewhere) == 0);
  sigset_t mask;
  CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR1) == 0);
  return 0;
}

static const char line[] =
    "4242 (a) Z 1 (b) Z 17 4242 4000 0 -1 4228356 10 20 30 40 50 60 70 80 20 0 1 0 "
    "18446744073709551615 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 "
    "0 0 0 0 768\n";

static int parse(const char *text, size_t length, struct lg_process *out) {
  /* An own block of the exact size: AddressSanitizer sees a read beyond it. */
  char *copy = malloc(length != 0 ? length : 1);
  CHECK(copy != NULL);
  memcpy(copy, text, length);
  int error = lg_statline_parse(copy, length, out);
  free(copy);
  CHECK(error == 0 || error == -EINVAL);
  return error;
}

static unsigned next_random(void) {
  static unsigned long long state = 88172645463325252ULL;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 11);
}

static int mutate(int rounds) {
  struct lg_process p;
  size_t size = sizeof line - 1;
  CHECK(parse(line, size, &p) == 0);
  CHECK(p.pid == 4242 && p.ppid == 17 && p.state == 'Z' && p.threads == 1);
  CHECK(p.pgrp == 4242 && p.session == 4000 && p.flags == 4228356 && p.cpu_ticks == 110);
  CHECK(p.start_ticks == UINT64_MAX && p.exit_code == 768);
  CHECK(memcmp(p.comm, "a) Z 1 (b\0\0\0\0\0\0", sizeof p.comm) == 0);

  /* Cut anywhere: never a start time that is a part of the true one. */
  for (size_t cut = 0; cut < size; cut++)
    if (parse(line, cut, &p) == 0) CHECK(p.start_ticks == UINT64_MAX);

  char text[sizeof line];
  for (int round = 0; round < rounds; round++) {
    memcpy(text, line, size);
    for (unsigned n = 1 + next_random() % 4; n > 0; n--) {
      static const char likely[] = " ()-\n0129Z\0\xff";
      text[next_random() % size] = next_random() % 2 != 0
                                       ? likely[next_random() % (sizeof likely - 1)]
                                       : (char)next_random();
    }
    (void)parse(text, next_random() % (size + 1), &p);
    (void)parse(text, size, &p);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  if (strcmp(argv[1], "tree") == 0) return tree(argv[2]);
  if (strcmp(argv[1], "descriptors") == 0) return descriptors(argv[2]);
  if (strcmp(argv[1], "storm") == 0) return storm(argv[2]);
  if (strcmp(argv[1], "mutate") == 0) return mutate(atoi(argv[2]));
  return 2;
}
