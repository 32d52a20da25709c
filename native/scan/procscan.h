/*
 * All of /proc in one pass, for lychgate scan. Plain C; knows neither Node-API
 * nor V8, and needs nothing of native/core. No state: any thread may call it.
 */
#ifndef LYCHGATE_PROCSCAN_H
#define LYCHGATE_PROCSCAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LG_PROCSCAN_COMM 16

/* What /proc/PID/stat tells (proc_pid_stat(5)). 64 bytes: 500,000 are 32 MB. */
struct lg_process {
  uint64_t start_ticks; /* since boot; with the pid it names one process     */
  uint64_t cpu_ticks;   /* utime + stime                                     */
  int32_t pid;
  int32_t ppid;         /* 0 = none that this /proc shows                    */
  int32_t pgrp;         /* -1 = being reaped just now                        */
  int32_t session;
  int32_t threads;
  int32_t exit_code;    /* as waitpid(2) gives it; 0 also when not permitted */
  uint32_t flags;       /* PF_* of the kernel                                */
  char state;
  char comm[LG_PROCSCAN_COMM]; /* cut to that, padded with NUL               */
};

struct lg_procscan {
  struct lg_process *processes; /* ascending by pid                          */
  size_t count, capacity;
  uint64_t vanished;     /* gone between the listing and the read            */
  uint64_t unreadable;   /* any other error of open or read                  */
  uint64_t malformed;    /* read, but not a stat line of this pid            */
  int unreadable_error;  /* errno of the first one that was unreadable       */
};

/* Read DIR/PID/stat of every PID in DIR, which may be a test tree too: plain
 * files, pipes, folders and dangling links do no harm. At most two descriptors
 * are open at a time. 0, or a negative errno when DIR itself could not be read
 * or memory ran out; out is then empty. Free it with lg_procscan_free. */
int lg_procscan(const char *proc, struct lg_procscan *out);

void lg_procscan_free(struct lg_procscan *scan);

/* One stat line, which need not be terminated. 0 or -EINVAL. */
int lg_procscan_parse(const char *text, size_t length, struct lg_process *out);

#ifdef __cplusplus
}
#endif
#endif
