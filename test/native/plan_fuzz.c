/* libFuzzer: the plan reader over any bytes. Each input twice: as it is, and with size
 * and checksum put right, for else nothing would come past them. */
#include <stdlib.h>
#include <string.h>

#include "plan.h"

static void read_plan(const void *bytes, size_t size) {
  static const enum lg_plan_mode modes[] = {LG_PLAN_LIVE, LG_PLAN_BAKED};
  for (int i = 0; i < 2; i++) {
    const char *policy, *command;
    const char *why = lg_plan_check(bytes, size, modes[i], 5, &policy, &command);
    if (why != NULL) continue;
    struct lg_plan plan;
    memcpy(&plan, bytes, sizeof plan);
    if (plan.mode != (uint32_t)modes[i]) abort();
    for (int sig = 1; sig < 65; sig++)
      if (plan.signal_map[sig] > 64) abort();
    if (modes[i] == LG_PLAN_LIVE) {
      if (plan.first_word < 1 || plan.first_word >= 5) abort();
      continue;
    }
    if ((command == NULL) != (plan.command_words == 0)) abort();
    const char *firsts[] = {policy, command};
    const unsigned counts[] = {plan.policy_words, plan.command_words};
    for (int list = 0; list < 2; list++) {
      char **words = malloc((counts[list] + 1) * sizeof *words);
      if (words == NULL) abort();
      lg_plan_words(firsts[list], counts[list], words);
      size_t total = 0;
      for (unsigned w = 0; w < counts[list]; w++) total += strlen(words[w]) + 1;
      if (words[counts[list]] != NULL || total > size) abort();
      free(words);
    }
  }
}

static uint32_t fnv1a(const unsigned char *at, size_t n) {
  uint32_t hash = 0x811c9dc5u;
  while (n-- > 0) hash = (hash ^ *at++) * 0x01000193u;
  return hash;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  unsigned char *copy = malloc(size + 1); /* of its own: an overrun is seen */
  if (copy == NULL) abort();
  memcpy(copy, data, size);
  unsigned char *exact = realloc(copy, size > 0 ? size : 1);
  if (exact == NULL) abort();
  read_plan(exact, size);
  if (size >= sizeof(struct lg_plan)) {
    struct lg_plan head;
    memcpy(&head, exact, sizeof head);
    memcpy(head.magic, LG_PLAN_MAGIC, sizeof head.magic);
    head.version = LG_PLAN_VERSION;
    head.size = (uint32_t)size;
    head.zero = 0;
    memcpy(exact, &head, sizeof head);
    head.checksum = fnv1a(exact + offsetof(struct lg_plan, mode), size - offsetof(struct lg_plan, mode));
    memcpy(exact, &head, sizeof head);
    read_plan(exact, size);
  }
  free(exact);
  return 0;
}
