/*
 * All of /proc in one pass, for lychgate scan. Plain C; knows neither Node-API
 * nor V8, and needs nothing of native/core. No state: any thread may call it.
 */
#ifndef LYCHGATE_PROCSCAN_H
#define LYCHGATE_PROCSCAN_H

#include "statline.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lg_procscan {
  struct lg_process *processes; /* ascending by pid                          */
  size_t count;
  uint64_t vanished;     /* gone between the listing and the read            */
  uint64_t unreadable;   /* any other error of open or read                  */
  uint64_t malformed;    /* read, but not a stat line of this pid            */
  int unreadable_error;  /* errno of the first one that was unreadable       */
};

/* Read DIR/PID/stat of every PID in DIR, which may be a test tree too: plain
 * files, pipes, folders and dangling links do no harm. Nearly all of the time is
 * the kernel's, so with many processes up to three threads help, where there are
 * as many processors; they end before this returns, and take no signals. One
 * descriptor is open for DIR and one for each thread. 0, or a negative errno when
 * DIR itself could not be read or memory ran out; out is then empty. Free it with
 * lg_procscan_free. */
int lg_procscan(const char *proc, struct lg_procscan *out);

void lg_procscan_free(struct lg_procscan *scan);

#ifdef __cplusplus
}
#endif
#endif
