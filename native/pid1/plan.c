/* Reading a plan. What is read may be anything: a damaged file, another version. */
#include "plan.h"

#include <string.h>

#include "../core/internal.h"

_Static_assert(sizeof(struct lg_plan) == 408, "the layout is src/plan/encode.ts's too");
_Static_assert(offsetof(struct lg_plan, exit_map) == 141, "no padding");

static uint32_t fnv1a(const unsigned char *at, size_t n) {
  uint32_t hash = 0x811c9dc5u;
  for (size_t i = 0; i < n; i++) hash = (hash ^ at[i]) * 0x01000193u;
  return hash;
}

static bool words_fit(const struct lg_plan *plan, const char **policy, const char **command) {
  const char *at = (const char *)plan + LG_PLAN_HEAD, *end = (const char *)plan + plan->size;
  if (plan->policy_words > LG_PLAN_WORDS_MAX || plan->command_words > LG_PLAN_WORDS_MAX) return false;
  *policy = at;
  for (uint32_t i = 0; i < plan->policy_words + plan->command_words; i++) {
    if (i == plan->policy_words) *command = at;
    const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
    if (nul == NULL) return false;
    at = nul + 1;
  }
  return at == end;
}

const char *lg_plan_check(const void *bytes, size_t size, enum lg_plan_mode mode, unsigned words,
                          const char **policy, const char **command) {
  const struct lg_plan *plan = bytes;
  *policy = *command = NULL;
  if (size < LG_PLAN_HEAD || memcmp(plan->magic, LG_PLAN_MAGIC, sizeof plan->magic) != 0)
    return "is no plan";
  if (plan->version != LG_PLAN_VERSION) return "is of another version of lychgate: make it anew";
  if (plan->size != size) return "is cut off or too long: make it anew";
  size_t head = offsetof(struct lg_plan, mode);
  if (plan->checksum != fnv1a((const unsigned char *)bytes + head, size - head))
    return "is damaged (its checksum is wrong): make it anew";
  if (plan->mode != (uint32_t)mode)
    return mode == LG_PLAN_BAKED ? "is no baked one (its mode is wrong): use lychgate plan --output"
                                 : "is no live one (its mode is wrong)";

  bool sound = plan->zero == 0 && (plan->flags & ~(uint32_t)LG_PLAN_ALL_FLAGS) == 0 && plan->parent_death_signal < LG_NSIG &&
               plan->grace_ns >= 0 && plan->drain_ns >= 0 && plan->nofile >= -1;
  for (int sig = 1; sig < LG_NSIG; sig++) sound &= plan->signal_map[sig] < LG_NSIG;
  for (size_t i = 0; i < sizeof plan->reserved; i++) sound &= plan->reserved[i] == 0;
  if (mode == LG_PLAN_LIVE) {
    sound &= plan->policy_words == 0 && plan->command_words == 0 && size == LG_PLAN_HEAD &&
             plan->first_word > 0 && plan->first_word < words;
  } else {
    sound &= words_fit(plan, policy, command) &&
             (plan->policy_words > 1 || (plan->flags & LG_PLAN_POLICY) == 0);
  }
  if (plan->command_words == 0) *command = NULL;
  return sound ? NULL : "holds values that cannot be: make it anew";
}

void lg_plan_words(const char *first, unsigned count, char **out) {
  for (unsigned i = 0; i < count; i++) {
    out[i] = (char *)first;
    first += strlen(first) + 1;
  }
  out[count] = NULL;
}
