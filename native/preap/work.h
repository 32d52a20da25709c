/* Between who asks and who does it: preap.c makes the helper process, rounds.c runs in it. */
#ifndef LYCHGATE_WORK_H
#define LYCHGATE_WORK_H

#include "preap.h"
#include "stub.h"

#define US 1000ll
#define MS 1000000ll
#define FIRST_GUESS (12 * US) /* of one call; learnt from the rounds */

struct work {
  const struct lg_preap_request *ask;
  struct lg_preap_result *out;
  struct lg_stub_code code;
  int64_t cost;
  int idle;              /* rounds in a row without a call                      */
  bool starved;          /* in the last one it was waiting for a CPU            */
  int64_t let_go;        /* when the last one that stood went on; 0 = none      */
  bool checked;          /* filters and dispatch were looked at ...             */
  int filters;           /* ... when it had so many                             */
  struct lg_zombie *batch[LG_STUB_PIDS];
  uint32_t count;
};

/* Runs in the helper; takes a struct work, and sets its result. */
int lg_work(void *work);

#endif
