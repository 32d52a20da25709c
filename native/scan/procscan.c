/* Nothing here waits for a process: one that hangs does not hang its stat file.
 *
 * The caller lists the folder into blocks; each full block may be read by a helper
 * while the listing goes on. Where no helper can be started (a limit of processes
 * is what people come here for) the caller reads all by itself. */
#include "procscan.h"

#include "old-glibc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* 52 fields of at most 20 digits and a name of at most 64 bytes are 1200. */
#define STAT_MAX 4096
/* 0.5 ms of reading: much more than it costs to start a thread. */
#define BLOCK 128
/* /proc is shared with all others on the machine, which have work to do. */
#define MAX_HELPERS 3

struct block {
  struct block *next;
  size_t listed, read;
  uint64_t vanished, unreadable, malformed;
  int unreadable_error;
  int32_t pid[BLOCK];
  char path[BLOCK][LG_PID_DIGITS + sizeof "/stat"];
  struct lg_process process[BLOCK]; /* the first `read` of them */
};

struct pass {
  int dir;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t more;
  struct block *first, *last;
  struct block *unread; /* the first that no thread has taken */
  bool complete;        /* no block will be added */
  int helpers, helpers_allowed;
  pthread_t helper[MAX_HELPERS];
};

/* The whole of a stat file into text: its length, or a negative errno. */
static ssize_t read_stat(int dir, const char *path, char *text, size_t size) {
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

static void read_one(int dir, struct block *b, size_t i) {
  char text[STAT_MAX];
  ssize_t length = read_stat(dir, b->path[i], text, sizeof text);
  if (length == -ENOENT || length == -ESRCH) {
    b->vanished++;
    return;
  }
  if (length < 0) {
    if (b->unreadable++ == 0) b->unreadable_error = (int)-length;
    return;
  }
  struct lg_process *row = &b->process[b->read];
  if (lg_statline_parse(text, (size_t)length, row) == 0 && row->pid == b->pid[i]) b->read++;
  else b->malformed++;
}

/* Take blocks and read them, until there are no more. */
static void read_blocks(struct pass *p) {
  pthread_mutex_lock(&p->lock);
  for (;;) {
    while (p->unread == NULL && !p->complete) pthread_cond_wait(&p->more, &p->lock);
    struct block *b = p->unread;
    if (b == NULL) break;
    p->unread = b->next;
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < b->listed; i++) read_one(p->dir, b, i);
    pthread_mutex_lock(&p->lock);
  }
  pthread_mutex_unlock(&p->lock);
}

static void *help(void *pass) {
  read_blocks(pass);
  return NULL;
}

/* Helpers beside the caller. Not known: none, one thread is always right. */
static int helpers_allowed(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  int others = CPU_COUNT(&set) - 1;
  return others < MAX_HELPERS ? others : MAX_HELPERS;
}

/* Best effort. Signals are for the threads that the program itself has. */
static void start_helper(struct pass *p) {
  if (p->helpers >= p->helpers_allowed) return;
  sigset_t all, before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return;
  if (pthread_create(&p->helper[p->helpers], NULL, help, p) == 0) p->helpers++;
  else p->helpers_allowed = p->helpers; /* do not try again and again */
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void publish(struct pass *p, struct block *b, bool last) {
  pthread_mutex_lock(&p->lock);
  if (b != NULL) {
    if (p->last != NULL) p->last->next = b;
    else p->first = b;
    p->last = b;
    if (p->unread == NULL) p->unread = b;
  }
  p->complete = last;
  if (last) pthread_cond_broadcast(&p->more);
  else pthread_cond_signal(&p->more);
  pthread_mutex_unlock(&p->lock);
}

/* Hand out the folder's pids. Nothing is handed out any more when this fails. */
static int list(struct pass *p, DIR *dir) {
  struct block *b = NULL;
  int error = 0;
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      error = -errno; /* 0 at the end */
      break;
    }
    int32_t pid = lg_statline_pid(entry->d_name);
    if (pid == 0) continue;
    if (b != NULL && b->listed == BLOCK) {
      publish(p, b, false);
      start_helper(p);
      b = NULL;
    }
    /* only its head need be clear, not the 11 kB behind it */
    if (b == NULL && (b = malloc(sizeof *b)) != NULL) memset(b, 0, offsetof(struct block, pid));
    if (b == NULL) {
      error = -ENOMEM;
      break;
    }
    char *path = b->path[b->listed];
    b->pid[b->listed++] = pid;
    size_t digits = strlen(entry->d_name);
    memcpy(path, entry->d_name, digits);
    memcpy(path + digits, "/stat", sizeof "/stat");
  }
  publish(p, b, true);
  return error;
}

static int by_pid(const void *a, const void *b) {
  int32_t x = ((const struct lg_process *)a)->pid, y = ((const struct lg_process *)b)->pid;
  return (x > y) - (x < y);
}

/* The blocks, in their order, into one table. */
static int collect(const struct pass *p, struct lg_procscan *out) {
  size_t count = 0;
  for (const struct block *b = p->first; b != NULL; b = b->next) count += b->read;
  if (count > 0 && (out->processes = reallocarray(NULL, count, sizeof *out->processes)) == NULL)
    return -ENOMEM;
  bool ascending = true; /* procfs lists so, other file systems do not */
  for (const struct block *b = p->first; b != NULL; b = b->next) {
    for (size_t i = 0; i < b->read; i++) {
      if (out->count > 0 && out->processes[out->count - 1].pid >= b->process[i].pid)
        ascending = false;
      out->processes[out->count++] = b->process[i];
    }
    out->vanished += b->vanished;
    out->malformed += b->malformed;
    out->unreadable += b->unreadable;
    if (out->unreadable_error == 0) out->unreadable_error = b->unreadable_error;
  }
  if (!ascending) qsort(out->processes, out->count, sizeof *out->processes, by_pid);
  return 0;
}

int lg_procscan(const char *proc, struct lg_procscan *out) {
  memset(out, 0, sizeof *out);
  DIR *dir = opendir(proc); /* O_CLOEXEC in glibc and musl */
  if (dir == NULL) return -errno;
  struct pass p = {.dir = dirfd(dir),
                   .lock = PTHREAD_MUTEX_INITIALIZER,
                   .more = PTHREAD_COND_INITIALIZER,
                   .helpers_allowed = helpers_allowed()};
  int error = list(&p, dir);
  read_blocks(&p);
  for (int i = 0; i < p.helpers; i++) (void)pthread_join(p.helper[i], NULL);
  (void)closedir(dir);
  if (error == 0) error = collect(&p, out);
  for (struct block *b = p.first; b != NULL;) {
    struct block *next = b->next;
    free(b);
    b = next;
  }
  return error;
}

void lg_procscan_free(struct lg_procscan *scan) {
  free(scan->processes);
  scan->processes = NULL;
  scan->count = 0;
}
