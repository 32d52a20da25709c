/* Nothing here waits: a process that hangs does not hang its stat file. */
#include "procscan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define PID_DIGITS 10
/* 52 fields of at most 20 digits and a name of at most 64 bytes are 1200. */
#define STAT_MAX 4096

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

int lg_procscan_parse(const char *text, size_t length, struct lg_process *out) {
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

/* 0 when the name is not that of a process. */
static int32_t pid_of(const char *name) {
  struct text t = {name, name + strnlen(name, PID_DIGITS + 1)};
  uint64_t pid;
  if (*name == '0' || !digits(&t, &pid) || t.at != t.end || pid > INT32_MAX) return 0;
  return (int32_t)pid;
}

/* The whole of DIR/NAME/stat into text: its length, or a negative errno. */
static ssize_t read_stat(int dir, const char *name, char *text, size_t size) {
  char path[PID_DIGITS + sizeof "/stat"];
  size_t digits_in_name = strlen(name);
  memcpy(path, name, digits_in_name);
  memcpy(path + digits_in_name, "/stat", sizeof "/stat");

  /* In a test tree it may be a pipe nobody writes to, or a terminal. */
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
  int fd;
  do fd = openat(dir, path, flags);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;

  size_t length = 0;
  ssize_t n = 0;
  do {
    n = read(fd, text + length, size - length);
    if (n > 0) length += (size_t)n;
    /* procfs gives all at once; a whole line spares asking for the end */
  } while ((n > 0 && length < size && text[length - 1] != '\n') || (n < 0 && errno == EINTR));
  int error = n < 0 ? errno : 0;
  (void)close(fd); /* only read from: nothing can be lost */
  return error != 0 ? -error : (ssize_t)length;
}

static struct lg_process *next_row(struct lg_procscan *scan) {
  if (scan->count == scan->capacity) {
    size_t capacity = scan->capacity == 0 ? 512 : scan->capacity + scan->capacity / 2;
    struct lg_process *grown = reallocarray(scan->processes, capacity, sizeof *grown);
    if (grown == NULL) return NULL;
    scan->processes = grown;
    scan->capacity = capacity;
  }
  return &scan->processes[scan->count];
}

static int scan_one(int dir, const char *name, int32_t pid, struct lg_procscan *out) {
  char text[STAT_MAX];
  ssize_t length = read_stat(dir, name, text, sizeof text);
  if (length == -ENOENT || length == -ESRCH) {
    out->vanished++;
    return 0;
  }
  if (length < 0) {
    if (out->unreadable++ == 0) out->unreadable_error = (int)-length;
    return 0;
  }
  struct lg_process *row = next_row(out);
  if (row == NULL) return -ENOMEM;
  if (lg_procscan_parse(text, (size_t)length, row) == 0 && row->pid == pid) out->count++;
  else out->malformed++;
  return 0;
}

static int by_pid(const void *a, const void *b) {
  int32_t x = ((const struct lg_process *)a)->pid, y = ((const struct lg_process *)b)->pid;
  return (x > y) - (x < y);
}

int lg_procscan(const char *proc, struct lg_procscan *out) {
  memset(out, 0, sizeof *out);
  DIR *dir = opendir(proc); /* O_CLOEXEC in glibc and musl */
  if (dir == NULL) return -errno;
  int error = 0;
  while (error == 0) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      error = -errno; /* 0 at the end */
      break;
    }
    int32_t pid = pid_of(entry->d_name);
    if (pid != 0) error = scan_one(dirfd(dir), entry->d_name, pid, out);
  }
  (void)closedir(dir);
  if (error != 0) {
    lg_procscan_free(out);
    memset(out, 0, sizeof *out);
    return error;
  }
  bool ascending = true; /* procfs lists so, other file systems do not */
  for (size_t i = 1; ascending && i < out->count; i++)
    ascending = out->processes[i - 1].pid < out->processes[i].pid;
  if (!ascending) qsort(out->processes, out->count, sizeof *out->processes, by_pid);
  return 0;
}

void lg_procscan_free(struct lg_procscan *scan) {
  free(scan->processes);
  scan->processes = NULL;
  scan->count = scan->capacity = 0;
}
