/** How the runtime of a parent is told to wait for its children. */

/** @param program name and arguments, as far as they can be read */
export function mendFor(program: string): string {
  if (/\bpython[\d.]*\b/i.test(program))
    return 'call wait() or poll() on each Popen, or use subprocess.run';
  if (/\b(node|npm|yarn)\b/.test(program))
    return 'its event loop reaps, so something blocks that (a synchronous call), or an addon forks';
  if (/\bjava\b/.test(program))
    return 'the JVM waits for its own; adopted ones need an init as PID 1, others a higher pids limit';
  if (/(^|\/)-?(ba|da|z|a|k|)sh\b/.test(program))
    return 'the shell script should wait, or not exec another program over its children';
  return 'it must wait for its children (Go: Cmd.Wait after Cmd.Start; C: waitpid, or ignore SIGCHLD)';
}
