/* One line of /proc/PID/stat, and the names of the folders it lies in. */
#ifndef LYCHGATE_STATLINE_H
#define LYCHGATE_STATLINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LG_COMM 16
#define LG_PID_DIGITS 10

/* 64 bytes: 500,000 are 32 MB. */
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
  char comm[LG_COMM];   /* cut to that, padded with NUL                      */
};

/* The line need not be terminated. 0 or -EINVAL. */
int lg_statline_parse(const char *text, size_t length, struct lg_process *out);

/* The pid of which NAME is the folder in /proc; 0 when it is none. */
int32_t lg_statline_pid(const char *name);

#ifdef __cplusplus
}
#endif
#endif
