/* One line of /proc/PID/stat (proc_pid_stat(5), fs/proc/array.c). */
#include "statline.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct text {
  const char *at, *end;
};

static bool digits(struct text *t, uint64_t *out) {
  const char *first = t->at;
  uint64_t value = 0;
  for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
    unsigned digit = (unsigned)(*t->at - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return t->at > first;
}

static bool at_field_end(const struct text *t) {
  return t->at == t->end || *t->at == ' ' || *t->at == '\n';
}

static bool blank(struct text *t) { return t->at < t->end && *t->at++ == ' '; }

static bool field_u64(struct text *t, uint64_t *out) {
  return blank(t) && digits(t, out) && at_field_end(t);
}

static bool field_u32(struct text *t, uint32_t *out) {
  uint64_t value;
  if (!field_u64(t, &value) || value > UINT32_MAX) return false;
  *out = (uint32_t)value;
  return true;
}

static bool field_i32(struct text *t, int32_t *out) {
  uint64_t value;
  if (!blank(t)) return false;
  bool negative = t->at < t->end && *t->at == '-';
  if (negative) t->at++;
  if (!digits(t, &value) || !at_field_end(t) || value > INT32_MAX) return false;
  *out = negative ? -(int32_t)value : (int32_t)value;
  return true;
}

static bool skip_fields(struct text *t, int n) {
  for (; n > 0; n--) {
    if (!blank(t)) return false;
    const char *first = t->at;
    while (!at_field_end(t)) t->at++;
    if (t->at == first) return false;
  }
  return true;
}

int32_t lg_statline_pid(const char *name) {
  struct text t = {name, name + strnlen(name, LG_PID_DIGITS + 1)};
  uint64_t pid;
  if (*name == '0' || !digits(&t, &pid) || t.at != t.end || pid > INT32_MAX) return 0;
  return (int32_t)pid;
}

int lg_statline_parse(const char *text, size_t length, struct lg_process *out) {
  memset(out, 0, sizeof *out);
  struct text t = {text, text + length};
  uint64_t pid, utime, stime;
  if (!digits(&t, &pid) || pid == 0 || pid > INT32_MAX) return -EINVAL;
  out->pid = (int32_t)pid;

  /* The name may hold ')', blanks and newlines: it ends at the last ')'. */
  if (!blank(&t) || t.at == t.end || *t.at != '(') return -EINVAL;
  const char *name = t.at + 1;
  const char *close_paren = memrchr(name, ')', (size_t)(t.end - name));
  if (close_paren == NULL) return -EINVAL;
  size_t size = (size_t)(close_paren - name);
  memcpy(out->comm, name, size < sizeof out->comm ? size : sizeof out->comm);

  t.at = close_paren + 1;
  if (!blank(&t) || t.at == t.end) return -EINVAL;
  out->state = *t.at++;
  char lower = (char)(out->state | 0x20);
  if (lower < 'a' || lower > 'z' || !at_field_end(&t)) return -EINVAL;

  bool ok = field_i32(&t, &out->ppid) && field_i32(&t, &out->pgrp) &&
            field_i32(&t, &out->session) && skip_fields(&t, 2) && /* tty_nr, tpgid */
            field_u32(&t, &out->flags) && skip_fields(&t, 4) &&   /* page faults */
            field_u64(&t, &utime) && field_u64(&t, &stime) &&
            skip_fields(&t, 4) && /* cutime, cstime, priority, nice */
            field_i32(&t, &out->threads) && skip_fields(&t, 1) && /* itrealvalue */
            field_u64(&t, &out->start_ticks);
  /* At the very end the number may have been cut in two. */
  if (!ok || t.at == t.end) return -EINVAL;
  out->cpu_ticks = utime + stime;

  /* Field 52 came with Linux 3.5. */
  if (skip_fields(&t, 29) && !field_i32(&t, &out->exit_code)) return -EINVAL;
  return 0;
}
