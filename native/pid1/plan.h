/*
 * The plan: what TypeScript decided, in one fixed struct and the words behind it.
 * Written by src/plan/encode.ts, whose offsets a test compares with these.
 */
#ifndef LYCHGATE_PLAN_H
#define LYCHGATE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LG_PLAN_MAGIC "LYCHPLAN"
#define LG_PLAN_VERSION 1u
#define LG_PLAN_DEFAULT "/etc/lychgate.plan"
/* A file; the kernel's own limit for the words of an exec is larger still. */
#define LG_PLAN_MAX (1024 * 1024)
#define LG_PLAN_WORDS_MAX 65536u

enum lg_plan_mode { LG_PLAN_LIVE = 1, LG_PLAN_BAKED = 2 };

enum lg_plan_flags {
  LG_PLAN_GROUP = 1,           /* forward to COMMAND's process group           */
  LG_PLAN_SUBREAPER = 2,       /* adopt orphans also when not PID 1            */
  LG_PLAN_NO_SUBREAPER = 4,    /* neither flag: when not PID 1                 */
  LG_PLAN_WARN_REAPED = 8,     /* a line for each reaped orphan                */
  LG_PLAN_POLICY = 16,         /* the policy process stays                     */
  LG_PLAN_EVENTS = 32,         /* it tells what happens, not we                */
  LG_PLAN_ALL_FLAGS = 63
};

/* Little endian, no padding. Times in nanoseconds, 0 = off. */
struct lg_plan {
  char magic[8];
  uint32_t version;
  uint32_t size;               /* of all, words included                       */
  uint32_t checksum;           /* FNV-1a of all from mode on: against damage,
                                  not against people                           */
  uint32_t zero;
  uint32_t mode;               /* enum lg_plan_mode                            */
  uint32_t flags;              /* enum lg_plan_flags                           */
  uint32_t verbosity;          /* 0 errors .. 3 debug                          */
  uint32_t parent_death_signal;/* 0 = none                                     */
  int64_t grace_ns;
  int64_t drain_ns;
  int64_t nofile;              /* soft RLIMIT_NOFILE of COMMAND, -1 = leave    */
  uint32_t first_word;         /* live: COMMAND starts at this of our words    */
  uint32_t policy_words;       /* baked: so many for the policy process ...    */
  uint32_t command_words;      /* ... and then COMMAND's; 0 = none baked       */
  uint8_t signal_map[65];      /* received -> sent; 0 drops it                 */
  uint8_t exit_map[256];       /* exit code of COMMAND -> ours                 */
  uint8_t reserved[11];        /* zero                                         */
  /* baked: the words, each ended by NUL */
};

#define LG_PLAN_HEAD sizeof(struct lg_plan)

/* Is it a plan that we can follow? NULL = yes, and *policy and *command point at
 * the first word of each; else why not, in words that go behind "the plan ". Reads
 * nothing beyond size bytes, whatever they hold. words: how many we were given. */
const char *lg_plan_check(const void *bytes, size_t size, enum lg_plan_mode mode, unsigned words,
                          const char **policy, const char **command);

/* Pointers to count NUL-terminated words from the first on, and a NULL. */
void lg_plan_words(const char *first, unsigned count, char **out);

#endif
