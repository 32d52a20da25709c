/* Prints struct lg_plan as JSON: its size, its version, and where each field lies. */
#include <stdio.h>

#include "plan.h"

#define AT(field) printf(",\"" #field "\":%zu", offsetof(struct lg_plan, field))

int main(void) {
  printf("{\"HEAD\":%zu,\"VERSION\":%u,\"LONGEST\":%d", LG_PLAN_HEAD, LG_PLAN_VERSION, LG_PLAN_MAX);
  AT(magic), AT(version), AT(size), AT(checksum), AT(zero), AT(mode), AT(flags), AT(verbosity);
  AT(parent_death_signal), AT(grace_ns), AT(drain_ns), AT(nofile), AT(first_word);
  AT(policy_words), AT(command_words), AT(signal_map), AT(exit_map), AT(reserved);
  printf(",\"flags_\":[%d,%d,%d,%d,%d,%d]}\n", LG_PLAN_GROUP, LG_PLAN_SUBREAPER, LG_PLAN_NO_SUBREAPER,
         LG_PLAN_WARN_REAPED, LG_PLAN_POLICY, LG_PLAN_EVENTS);
  return 0;
}
