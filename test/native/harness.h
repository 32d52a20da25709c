/* What the C tests share: a test is a function in a process of its own, which says why
 * it failed and ends. */
#ifndef HARNESS_H
#define HARNESS_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct test {
  const char *name;
  void (*run)(void);
};

static const char *test_name = "";

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int line, const char *why, ...) {
  va_list args;
  va_start(args, why);
  printf("not ok %s: line %d: ", test_name, line);
  vprintf(why, args);
  printf("\n");
  fflush(stdout);
  _exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, "%s", #condition))
#define EQUAL(a, b)                                                                 \
  do {                                                                              \
    long long a_ = (long long)(a), b_ = (long long)(b);                             \
    if (a_ != b_) fail(__LINE__, "%s is %lld, expected %s = %lld", #a, a_, #b, b_); \
  } while (0)

static bool run_test(const struct test *test) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    test_name = test->name;
    test->run();
    exit(0); /* with the leak check */
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) return false;
  if (status == 0) printf("ok %s\n", test->name);
  else if (WIFSIGNALED(status)) printf("not ok %s: signal %d\n", test->name, WTERMSIG(status));
  else if (WEXITSTATUS(status) != 1) /* 1: it said why itself, or a sanitizer did */
    printf("not ok %s: exit code %d\n", test->name, WEXITSTATUS(status));
  return status == 0;
}

/* Those named on the command line, or all. The exit code. */
static int run_tests(const struct test *tests, size_t count, int argc, char **argv) {
  bool good = true;
  for (size_t i = 0; i < count; i++) {
    bool wanted = argc == 1;
    for (int a = 1; a < argc; a++) wanted |= strcmp(argv[a], tests[i].name) == 0;
    if (wanted) good &= run_test(&tests[i]);
  }
  fflush(stdout);
  return good ? 0 : 1;
}

#endif
