/* The ptrace(2) half of preap. Runs in the helper process alone. */
#include "tracee.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/audit.h>

#include "../scan/statline.h"
#include "seccomp.h"

#define PATIENCE 4000000000ll /* with one that has to wait for a CPU */
#define GETSIGMASK 0x420a
#define SETSIGMASK 0x420b
#define SECCOMP_GET_FILTER 0x420c
#define GET_RSEQ_CONFIGURATION 0x420f
#define GET_SYSCALL_USER_DISPATCH 0x4211 /* 0x4210 sets it */

#if defined __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#define IO_PGETEVENTS 333
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define IO_PGETEVENTS 292
#endif

long lg_ptrace(long what, pid_t tid, unsigned long address, void *data) {
  /* The system call: glibc's ptrace takes PEEK's data by its return value. */
  return syscall(SYS_ptrace, what, (long)tid, address, data);
}

int64_t lg_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void lg_pause(int64_t ns) {
  struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  nanosleep(&t, NULL);
}

/* A whole small file; the text ends with NUL. Its length, or a negative errno. */
static ssize_t slurp(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  size_t at = 0;
  ssize_t n = 0;
  while (at + 1 < size && (n = read(fd, text + at, size - 1 - at)) > 0) at += (size_t)n;
  int error = n < 0 ? errno : 0;
  close(fd);
  text[at] = '\0';
  return error != 0 ? -error : (ssize_t)at;
}

static long number(const char *text, const char *name, long otherwise) {
  const char *line = strstr(text, name);
  return line == NULL ? otherwise : strtol(line + strlen(name), NULL, 10);
}

int lg_thread_status(pid_t pid, pid_t tid, struct lg_thread_status *out) {
  char path[64], text[16384];
  snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
  ssize_t n = slurp(path, text, sizeof text);
  if (n < 0) return (int)n;
  /* Name: is escaped by the kernel and cannot bring a line of its own. */
  const char *state = strstr(text, "\nState:\t");
  out->state = state == NULL ? '?' : state[8];
  out->tracer = (int)number(text, "\nTracerPid:\t", 0);
  out->seccomp = (int)number(text, "\nSeccomp:\t", 0);
  out->filters = (int)number(text, "\nSeccomp_filters:\t", -1);
  return 0;
}

int lg_process_stat(pid_t pid, char *state, uint64_t *start_ticks) {
  char path[64], text[1024];
  struct lg_process process;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  ssize_t n = slurp(path, text, sizeof text);
  if (n < 0 || lg_statline_parse(text, (size_t)n, &process) != 0) return -ESRCH;
  *state = process.state;
  *start_ticks = process.start_ticks;
  return 0;
}

/* A call that an interruption would end with less than it was to transfer, and that
 * no restart can make whole: a write to a pipe or socket beyond its buffer, a receive
 * of all. Looked at before the stop, and so best effort: it may enter one just then. */
bool lg_call_transfers(long number, const uint64_t *args) {
  switch (number) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_tee:
    case SYS_vmsplice:
    case SYS_copy_file_range:
    case SYS_recvmmsg:
    case SYS_connect: /* with SO_SNDTIMEO: EINTR, and a second one says EALREADY */
      return true;
    case SYS_recvfrom: return (args[3] & MSG_WAITALL) != 0;
    case SYS_recvmsg: return (args[2] & MSG_WAITALL) != 0;
    default: return false;
  }
}

bool lg_call_repeatable(long nr) {
  static const short list[] = {
#if defined __x86_64__
      SYS_epoll_wait,
#endif
      SYS_epoll_pwait, 441 /* epoll_pwait2 */, SYS_semop, SYS_semtimedop,
      SYS_rt_sigtimedwait, SYS_io_getevents, IO_PGETEVENTS, SYS_read, SYS_readv,
      SYS_recvfrom, SYS_recvmsg, SYS_accept, SYS_accept4, SYS_write, SYS_writev, SYS_sendto,
      SYS_sendmsg, SYS_msgrcv, SYS_msgsnd, SYS_mq_timedreceive, SYS_mq_timedsend,
      426 /* io_uring_enter */, 449 /* futex_waitv */, 455 /* futex_wait */,
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (list[i] == nr) return true;
  return false;
}

void lg_tracee_call(pid_t pid, pid_t tid, struct lg_call *out) {
  char path[64], text[256], *end;
  *out = (struct lg_call){.number = -1};
  snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, tid);
  if (slurp(path, text, sizeof text) <= 0 || text[0] < '0' || text[0] > '9') return; /* runs */
  out->number = strtol(text, &end, 10);
  for (int i = 0; i < 6; i++) out->args[i] = strtoul(end, &end, 16);
  out->sp = strtoul(end, &end, 16);
  out->pc = strtoul(end, &end, 16);
}

enum fitness { FIT, IN_TRANSFER, UNFIT };

static enum fitness fitness(pid_t pid, pid_t tid, char *state) {
  struct lg_thread_status status;
  if (lg_thread_status(pid, tid, &status) != 0) {
    *state = 'X';
    return UNFIT;
  }
  *state = status.state;
  if (status.state != 'S' && status.state != 'R') return UNFIT;
  struct lg_call call;
  lg_tracee_call(pid, tid, &call);
  return lg_call_transfers(call.number, call.args) ? IN_TRANSFER : FIT;
}

enum lg_refusal lg_tracee_choose(pid_t pid, pid_t *tid) {
  char state, other;
  enum fitness best = fitness(pid, pid, &state);
  *tid = pid;
  if (best == FIT) return LG_REFUSED_NOT;
  if (state == 't') return LG_REFUSED_TRACED;
  if (state == 'T') return LG_REFUSED_STOPPED;
  /* The first thread has ended, or hangs: any other one will do, wait(2) is for the
   * children of all threads. The kernel's own list, in its order. */
  char path[64];
  char list[4096] __attribute__((aligned(8)));
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return LG_REFUSED_VANISHED;
  long n;
  while (best != FIT && (n = syscall(SYS_getdents64, fd, list, sizeof list)) > 0)
    for (long at = 0; at < n && best != FIT;) {
      unsigned short length; /* struct linux_dirent64: 8 ino, 8 off, 2 reclen, 1 type, name */
      memcpy(&length, list + at + 16, sizeof length);
      int32_t thread = lg_statline_pid(list + at + 19);
      enum fitness is = thread > 0 ? fitness(pid, thread, &other) : UNFIT;
      if (is < best) best = is;
      if (is == FIT) *tid = thread;
      at += length;
    }
  close(fd);
  if (best == FIT) return LG_REFUSED_NOT;
  if (best == IN_TRANSFER) return LG_REFUSED_BUSY;
  return state == 'D' ? LG_REFUSED_DEAF : LG_REFUSED_VANISHED;
}

int lg_tracee_memory(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", tid);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

bool lg_tracee_peek(int memory, uint64_t from, void *to, size_t size) {
  return pread(memory, to, size, (off_t)from) == (ssize_t)size;
}

/* End of what the image itself holds; 0 = no image we understand. */
static uint64_t image_end(int memory, uint64_t base) {
  Elf64_Ehdr h;
  if (!lg_tracee_peek(memory, base, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
      h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum > 16)
    return 0;
  uint64_t end = h.e_shoff + (uint64_t)h.e_shentsize * h.e_shnum;
  for (int i = 0; i < h.e_phnum; i++) {
    Elf64_Phdr p;
    uint64_t from = base + h.e_phoff + (uint64_t)i * sizeof p;
    if (!lg_tracee_peek(memory, from, &p, sizeof p)) return 0;
    if (p.p_type == PT_LOAD && p.p_offset + p.p_memsz > end) end = p.p_offset + p.p_memsz;
  }
  return end < 1 << 20 ? end : 0;
}

enum lg_refusal lg_tracee_room(pid_t tid, int memory, size_t need, uint64_t *room,
                                struct lg_stub_data *left) {
  char path[64];
  uint64_t vector[128], base = 0;
  snprintf(path, sizeof path, "/proc/%d/auxv", tid);
  ssize_t n = slurp(path, (char *)vector, sizeof vector);
  if (n == -EACCES || n == -EPERM) return LG_REFUSED_PERMISSION;
  if (n == -ENOENT || n == -ESRCH) return LG_REFUSED_VANISHED;
  for (ssize_t i = 0; i + 1 < n / 8; i += 2)
    if (vector[i] == AT_SYSINFO_EHDR) base = vector[i + 1];
  uint64_t end = base == 0 ? 0 : image_end(memory, base);
  if (end == 0) return LG_REFUSED_NO_ROOM;

  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t last = (base + end + page - 1) / page * page;
  uint64_t at = (last - need) & ~(uint64_t)15; /* as far from the image as may be */
  unsigned char content[2048];
  if (need > sizeof content || at < base + end || !lg_tracee_peek(memory, at, content, need))
    return LG_REFUSED_NO_ROOM;
  memcpy(left, content, sizeof *left);
  if (left->magic != LG_STUB_MAGIC)
    for (size_t i = 0; i < need; i++)
      if (content[i] != 0) return LG_REFUSED_NO_ROOM;
  *room = at;
  return LG_REFUSED_NOT;
}

static bool points_into(int memory, uint64_t from, uint64_t to, uint64_t room, size_t size) {
  uint64_t words[512];
  for (uint64_t at = from & ~(uint64_t)7; at < to; at += sizeof words) {
    ssize_t n = pread(memory, words, sizeof words, (off_t)at);
    for (ssize_t i = 0; i < n / 8; i++)
      if (words[i] - room < size) return true;
    if (n < (ssize_t)sizeof words) break; /* the end of the stack */
  }
  return false;
}

bool lg_tracee_may_return(int memory, const lg_regs *now, uint64_t then_sp, uint64_t room,
                          size_t size) {
  const uint64_t near = 1 << 20, frames = 1 << 16;
  uint64_t sp = lg_regs_sp(now), end = sp + frames;
  bool same = sp - then_sp < near || then_sp - sp < near;
  if (same && then_sp > end) end = then_sp;
  if (points_into(memory, sp, end, room, size)) return true;
  return !same && points_into(memory, then_sp - frames, then_sp, room, size);
}

enum lg_refusal lg_tracee_seize(pid_t tid, int *error) {
  /* Without PTRACE_O_EXITKILL our end means detach, no more. */
  if (lg_ptrace(PTRACE_SEIZE, tid, 0, (void *)PTRACE_O_TRACESYSGOOD) == 0) return LG_REFUSED_NOT;
  *error = errno;
  if (errno == ESRCH) return LG_REFUSED_VANISHED;
  return errno == EPERM || errno == EACCES ? LG_REFUSED_PERMISSION : LG_REFUSED_FAILED;
}

static int await_stop(pid_t tid, int64_t until, int *status) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  for (;;) {
    pid_t got = waitpid(tid, status, WNOHANG | __WALL);
    if (got == tid) return 0;
    if (got < 0 && errno != EINTR) return -errno;
    int64_t left = until - lg_clock();
    if (left <= 0) return -ETIMEDOUT;
    /* Blocked here, so it stays until it is taken; but it is one signal for many
     * events, hence no wait longer than 1 ms. */
    struct timespec t = {.tv_nsec = left < 1000000 ? left : 1000000};
    sigtimedwait(&child, NULL, &t);
  }
}

/* It will stop as soon as it gets a CPU. */
static bool waits_for_cpu(pid_t tid) {
  char state;
  uint64_t start;
  return lg_process_stat(tid, &state, &start) == 0 && state == 'R';
}

bool lg_tracee_sleeps(pid_t tid, int64_t timeout_ns) {
  int64_t until = lg_clock() + timeout_ns;
  while (waits_for_cpu(tid)) {
    if (lg_clock() >= until) return false;
    lg_pause(100000);
  }
  return true;
}

int lg_tracee_await_patiently(pid_t tid, int64_t began, int64_t timeout_ns, int *status) {
  for (;;) {
    int error = await_stop(tid, lg_clock() + timeout_ns, status);
    if (error != -ETIMEDOUT || lg_clock() - began >= PATIENCE || !waits_for_cpu(tid)) return error;
  }
}

enum lg_refusal lg_tracee_stop(pid_t tid, int64_t timeout_ns) {
  int64_t began = lg_clock();
  if (lg_ptrace(PTRACE_INTERRUPT, tid, 0, NULL) != 0) return LG_REFUSED_VANISHED;
  for (;;) {
    int status;
    int error = lg_tracee_await_patiently(tid, began, timeout_ns, &status);
    if (error == -ETIMEDOUT) return LG_REFUSED_DEAF;
    if (error != 0 || !WIFSTOPPED(status)) return LG_REFUSED_VANISHED;
    int sig = WSTOPSIG(status);
    if (status >> 16 == LG_EVENT_STOP) return sig == SIGTRAP ? LG_REFUSED_NOT : LG_REFUSED_STOPPED;
    /* On the way to a signal: it gets it, and stops before its handler runs. */
    if (lg_ptrace(PTRACE_CONT, tid, 0, (void *)(long)sig) != 0) return LG_REFUSED_VANISHED;
  }
}

int lg_tracee_regs(pid_t tid, lg_regs *regs, bool *foreign) {
  struct iovec io = {regs, sizeof(struct user_regs_struct)};
  if (lg_ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) != 0) return -errno;
  *foreign = io.iov_len != sizeof(struct user_regs_struct); /* a 32-bit thread has fewer */
#if defined __aarch64__
  regs->call = -1;
#endif
  return 0;
}

int lg_tracee_set_regs(pid_t tid, const lg_regs *regs) {
  struct iovec io = {(void *)(uintptr_t)regs, sizeof(struct user_regs_struct)};
  return lg_ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &io) == 0 ? 0 : -errno;
}

int lg_tracee_mask(pid_t tid, uint64_t *mask) {
  return lg_ptrace(GETSIGMASK, tid, sizeof *mask, mask) == 0 ? 0 : -errno;
}

int lg_tracee_set_mask(pid_t tid, uint64_t mask) {
  return lg_ptrace(SETSIGMASK, tid, sizeof mask, &mask) == 0 ? 0 : -errno;
}

int lg_tracee_write(pid_t tid, int memory, uint64_t to, const void *from, size_t size) {
  if (pwrite(memory, from, size, (off_t)to) == (ssize_t)size) return 0;
  /* A kernel may forbid it (proc_mem.force_override): word by word, 20 times slower. */
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = 0;
    memcpy(&word, (const char *)from + at, size - at < 8 ? size - at : 8);
    if (lg_ptrace(PTRACE_POKEDATA, tid, to + at, (void *)(uintptr_t)word) != 0) return -errno;
  }
  return 0;
}

int lg_tracee_run(pid_t tid) { return lg_ptrace(PTRACE_CONT, tid, 0, NULL) == 0 ? 0 : -errno; }

void lg_tracee_detach(pid_t tid) {
  /* ESRCH: killed in the meantime. Then there is nothing to let go. */
  lg_ptrace(PTRACE_DETACH, tid, 0, NULL);
}

bool lg_tracee_in_rseq(pid_t tid, int memory, const lg_regs *regs) {
  struct { /* struct ptrace_rseq_configuration */
    uint64_t pointer;
    uint32_t size, signature, flags, pad;
  } area;
  struct { /* struct rseq_cs */
    uint32_t version, flags;
    uint64_t start, length, abort;
  } section;
  uint64_t pointer;
  if (lg_regs_in_syscall(regs)) return false;
  if (lg_ptrace(GET_RSEQ_CONFIGURATION, tid, sizeof area, &area) < 0 || area.pointer == 0)
    return false;
  if (!lg_tracee_peek(memory, area.pointer + 8, &pointer, sizeof pointer) || pointer == 0)
    return false;
  if (!lg_tracee_peek(memory, pointer, &section, sizeof section)) return false;
  return lg_regs_pc(regs) - section.start < section.length;
}

bool lg_tracee_dispatches(pid_t tid) {
  struct { /* struct ptrace_sud_config */
    uint64_t mode, selector, offset, length;
  } config;
  return lg_ptrace(GET_SYSCALL_USER_DISPATCH, tid, sizeof config, &config) == 0 && config.mode != 0;
}

enum lg_refusal lg_tracee_filters(pid_t tid, const struct lg_thread_status *status, bool descends) {
  static struct sock_filter program[BPF_MAXINSNS];
  static const uint32_t calls[] = {
      SYS_wait4, SYS_ppoll, SYS_rt_sigprocmask,
#if defined __aarch64__
      SYS_sched_yield, /* lg_tracee_restore */
#endif
  };
  if (status->seccomp == 0) return LG_REFUSED_NOT;
  if (status->seccomp != 2) return LG_REFUSED_SECCOMP;
  if (descends && status->filters > 0) {
    /* Filters are inherited and never taken away: as many as ours are ours. */
    struct lg_thread_status own;
    if (lg_thread_status(getpid(), getpid(), &own) == 0 && own.filters == status->filters)
      return LG_REFUSED_NOT;
  }
  for (unsigned long i = 0;; i++) {
    long length = lg_ptrace(SECCOMP_GET_FILTER, tid, i, NULL);
    if (length < 0 && errno == ENOENT) return i == 0 ? LG_REFUSED_SECCOMP_UNKNOWN : LG_REFUSED_NOT;
    if (length < 0 || length > BPF_MAXINSNS) return LG_REFUSED_SECCOMP_UNKNOWN;
    if (lg_ptrace(SECCOMP_GET_FILTER, tid, i, program) != length) return LG_REFUSED_SECCOMP_UNKNOWN;
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
      if (!lg_seccomp_allows(program, (size_t)length, OUR_ARCH, calls[c]))
        return LG_REFUSED_SECCOMP;
  }
}
