/* core_init [-g] [-d] [--grace MS] -- COMMAND ARGS: the smallest init that the
 * core alone can be, with neither Node nor a policy above it. -d: one line of
 * JSON to standard error at the end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lychgate.h"

static int usage(void) {
  fputs("usage: core_init [-g] [-d] [--grace MS] -- COMMAND ARGS\n", stderr);
  return 2;
}

static unsigned long drain(void) {
  struct lg_event events[64];
  unsigned long total = 0;
  for (size_t n; (n = lg_drain(events, 64)) > 0;) total += n;
  return total;
}

int main(int argc, char **argv) {
  struct lg_config config = {
      .subreaper = true, .report_reaped = true, .report_forwarded = true};
  for (int i = 0; i < LG_NSIG; i++) config.signal_map[i] = (uint8_t)i;
  for (int i = 0; i < 256; i++) config.exit_map[i] = (uint8_t)i;
  bool summary = false;
  int i = 1;
  for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "-g") == 0) config.group = true;
    else if (strcmp(argv[i], "-d") == 0) summary = true;
    else if (strcmp(argv[i], "--grace") == 0 && i + 1 < argc)
      config.grace_ns = atoll(argv[++i]) * 1000000;
    else return usage();
  }
  if (i + 1 >= argc) return usage();
  argv += i + 1;

  int error = lg_arm(NULL, NULL, 0);
  const char *failed = "lg_arm";
  if (error == 0) error = lg_configure(&config, &failed);
  if (error != 0) {
    fprintf(stderr, "core_init: %s: %s\n", failed ? failed : "lg_configure", strerror(-error));
    return 125;
  }
  struct lg_spawn_request what = {.file = argv[0], .argv = argv, .nofile = -1};
  struct lg_spawned made;
  lg_spawn(&what, &made);
  if (made.step != NULL)
    fprintf(stderr, "core_init: %s: %s: %s\n", made.step, argv[0], strerror(made.error));
  if (made.pid == 0) lg_finish(126);

  /* Look with everything blocked, so that no end comes between look and wait. */
  sigset_t all, waiting;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &waiting);
  unsigned long events = 0;
  struct lg_stats_out stats;
  for (;;) {
    events += drain();
    lg_stats(&stats);
    if (stats.ended) break;
    sigsuspend(&waiting);
  }
  events += drain();
  if (summary)
    fprintf(stderr, "{\"reaped\":%llu,\"forwarded\":%llu,\"droppedEvents\":%llu,\"events\":%lu}\n",
            (unsigned long long)stats.reaped, (unsigned long long)stats.forwarded,
            (unsigned long long)stats.dropped_events, events);
  lg_finish(lg_exit_code(stats.status));
}
