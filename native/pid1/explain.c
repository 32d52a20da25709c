/* Why COMMAND could not be started, and what to do about it: src/init/spawn-error.ts
 * in C. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pid1.h"

/* Those that starting and reading give; the C library's table is 4 kB. */
const char *lg_errno_text(int error) {
  switch (error) {
    case EPERM: return "Operation not permitted";
    case ENOENT: return "No such file or directory";
    case EIO: return "Input/output error";
    case E2BIG: return "Argument list too long";
    case ENOEXEC: return "Exec format error";
    case EAGAIN: return "Resource temporarily unavailable";
    case ENOMEM: return "Cannot allocate memory";
    case EACCES: return "Permission denied";
    case ENOTDIR: return "Not a directory";
    case EISDIR: return "Is a directory";
    case EINVAL: return "Invalid argument";
    case EMFILE: return "Too many open files";
    case ETXTBSY: return "Text file busy";
    case ENAMETOOLONG: return "File name too long";
    case ELOOP: return "Too many levels of symbolic links";
    case ENOSYS: return "Function not implemented";
    default: return NULL;
  }
}

static const char *hint(const char *name, int error) {
  bool is_path = strchr(name, '/') != NULL;
  if (error == ENOENT && !is_path) return "; it is in no folder of PATH";
  if (error == ENOENT && access(name, F_OK) == 0)
    return "; the file is there, but the interpreter or loader it names is not";
  if (error == EACCES && is_path) return "; is it executable (chmod +x), and no folder?";
  if (error == ENOEXEC) return "; is it a program for another architecture?";
  return "";
}

void lg_explain_spawn(const char *name, const struct lg_spawned *made, int64_t nofile) {
  int error = made->error;
  if (strcmp(made->step, "clone") == 0) {
    lg_say(LG_ERROR, "cannot create a process for '%s': %E%s", name, error,
           error == EAGAIN ? "; is pids.max or RLIMIT_NPROC reached?" : "");
  } else if (strcmp(made->step, "exec") == 0) {
    lg_say(LG_ERROR, "cannot run '%s': %E%s", name, error, hint(name, error));
  } else {
    bool above = error == EINVAL || error == EPERM;
    lg_say(LG_ERROR, "cannot set the soft limit of open files to %u: %E%s", (uint64_t)nofile, error,
           above ? "; --nofile must not be above the hard limit (ulimit -Hn)" : "");
  }
}
