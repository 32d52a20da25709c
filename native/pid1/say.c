/*
 * Our own lines, without stdio: formatted here, one write each, and never waited for.
 * Whoever reads standard error may have stopped reading; PID 1 must not stand still
 * for it, so a line that cannot be taken is counted and dropped.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pid1.h"

uint32_t lg_verbosity = LG_WARN;

static uint32_t lost;

struct line {
  size_t n;
  char text[1536];
};

static void put(struct line *to, const char *text, size_t n) {
  if (n > sizeof to->text - 1 - to->n) n = sizeof to->text - 1 - to->n; /* room for '\n' */
  memcpy(to->text + to->n, text, n);
  to->n += n;
}

static void put_word(struct line *to, const char *text) { put(to, text, strlen(text)); }

static void put_number(struct line *to, uint64_t value, int width) {
  char digits[24];
  int at = sizeof digits;
  do digits[--at] = (char)('0' + value % 10);
  while ((value /= 10) != 0 || (int)sizeof digits - at < width);
  put(to, digits + at, sizeof digits - (size_t)at);
}

static void put_signed(struct line *to, int64_t value) {
  if (value < 0) put_word(to, "-");
  put_number(to, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);
}

static void put_signal(struct line *to, int sig) {
  /* 1 to 31 by the kernel's numbers, the same on every port but MIPS */
  static const char names[] =
      "HUP\0INT\0QUIT\0ILL\0TRAP\0ABRT\0BUS\0FPE\0KILL\0USR1\0SEGV\0USR2\0PIPE\0ALRM\0TERM\0STKFLT\0"
      "CHLD\0CONT\0STOP\0TSTP\0TTIN\0TTOU\0URG\0XCPU\0XFSZ\0VTALRM\0PROF\0WINCH\0IO\0PWR\0SYS";
  put_word(to, "SIG");
  if (sig >= 1 && sig <= 31) {
    const char *name = names;
    for (int i = 1; i < sig; i++) name += strlen(name) + 1;
    put_word(to, name);
  } else { /* glibc's RTMIN, as src/signals.ts has it */
    put_word(to, sig == 64 ? "RTMAX" : "RTMIN");
    if (sig != 34 && sig != 64) {
      put_word(to, "+");
      put_signed(to, sig - 34);
    }
  }
}

/* Seconds as people write them: 0.2, 30 */
static void put_seconds(struct line *to, int64_t ns) {
  uint64_t ms = (uint64_t)ns / 1000000;
  put_number(to, ms / 1000, 1);
  if (ms % 1000 == 0) return;
  put_word(to, ".");
  put_number(to, ms % 1000, 3);
  while (to->text[to->n - 1] == '0') to->n--;
}

static void put_age(struct line *to, uint64_t hundredths) {
  if (hundredths == UINT64_MAX) {
    put_word(to, "unknown");
    return;
  }
  put_number(to, hundredths / 100, 1);
  put_word(to, ".");
  put_number(to, hundredths % 100, 2);
  put_word(to, " s");
}

static void put_ending(struct line *to, int status) {
  put_word(to, WIFSIGNALED(status) ? "killed by " : "exit status ");
  if (WIFSIGNALED(status)) put_signal(to, WTERMSIG(status));
  else put_signed(to, WEXITSTATUS(status));
}

size_t lg_printable(char *out, size_t size, const char *text, size_t n) {
  static const char hex[] = "0123456789abcdef";
  size_t used = 0;
  for (size_t i = 0; i < n && text[i] != '\0' && used + 5 < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 0x20 && c != 0x7f) {
      out[used++] = (char)c;
      continue;
    }
    out[used++] = '\\';
    out[used++] = 'x';
    out[used++] = hex[c >> 4];
    out[used++] = hex[c & 15];
  }
  out[used] = '\0';
  return used;
}

static void put_printable(struct line *to, const char *text) {
  char safe[512];
  put(to, safe, lg_printable(safe, sizeof safe, text, 256));
}

static bool write_line(const char *text, size_t n) {
  struct stat about;
  if (syscall(SYS_fstat, 2, &about) != 0) return false;
  if (S_ISSOCK(about.st_mode)) return send(2, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
  if (!S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode)) return write(2, text, n) == (ssize_t)n;
  /* A description of our own, so that O_NONBLOCK is not put on the shared one. */
  int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0) {
    bool done = write(fd, text, n) == (ssize_t)n; /* a pipe takes up to 4096 whole or not at all */
    close(fd);
    return done;
  }
  /* Another user's pipe, or no /proc: a pipe that has room for a page has it for us,
   * unless somebody else fills it in this very moment. */
  struct pollfd room = {.fd = 2, .events = POLLOUT};
  return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0 && write(2, text, n) == (ssize_t)n;
}

static void vsay(enum lg_level level, const char *format, va_list args) {
  struct line line = {0};
  static const char *const labels[] = {"lychgate: error: ", "lychgate: warning: ", "lychgate: ",
                                       "lychgate: debug: "};
  put_word(&line, labels[level]);
  for (const char *p = format; *p != '\0'; p++) {
    if (*p != '%') {
      size_t n = strcspn(p, "%");
      put(&line, p, n);
      p += n - 1;
      continue;
    }
    switch (*++p) {
      case 's': put_printable(&line, va_arg(args, const char *)); break;
      case 'R': put_word(&line, va_arg(args, const char *)); break; /* made printable already */
      case 'd': put_signed(&line, va_arg(args, int)); break;
      case 'u': put_number(&line, va_arg(args, uint64_t), 1); break;
      case 'S': put_signal(&line, va_arg(args, int)); break;
      case 'B': {
        int sig = va_arg(args, int);
        if (sig == 0) break;
        put_word(&line, " as ");
        put_signal(&line, sig);
        break;
      }
      case 'T': put_seconds(&line, va_arg(args, int64_t)); break;
      case 'A': put_age(&line, va_arg(args, uint64_t)); break;
      case 'W': put_ending(&line, va_arg(args, int)); break;
      case 'E': {
        int error = va_arg(args, int);
        const char *text = lg_errno_text(error);
        put_word(&line, text != NULL ? text : "errno ");
        if (text == NULL) put_signed(&line, error);
        break;
      }
      default: break;
    }
  }
  line.text[line.n++] = '\n';
  if (!write_line(line.text, line.n)) lost++;
}

void lg_say(enum lg_level level, const char *format, ...) {
  if ((uint32_t)level > lg_verbosity) return;
  va_list args;
  va_start(args, format);
  if (lost > 0) {
    uint32_t before = lost;
    static const char words[] = " lines could not be written\n";
    struct line line = {0};
    put_word(&line, "lychgate: warning: ");
    put_number(&line, before, 1);
    put(&line, words, sizeof words - 1);
    if (write_line(line.text, line.n)) lost = 0;
  }
  if (lost > 0) lost++; /* then this one cannot be written either */
  else vsay(level, format, args);
  va_end(args);
}
