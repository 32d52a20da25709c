/**
 * Which tasks keep a cgroup from being frozen.
 *
 * Neither the letter nor the place proves that a task is frozen: since Linux 6.1
 * a sleeper may be frozen where it sleeps, and v1 then shows D (6.1 to 6.12: R),
 * v2 S. So what cannot be frozen is told by where it hangs, best effort.
 */
import { readFileSync } from 'node:fs';
import { walk } from '../cgroups';
import { parseStat } from '../procfs';
import type { ResistingTask } from './model';

const TRAP = /^(__)?refrigerator$|^do_freezer_trap$|^get_signal$/;

/** Sleeps that may be frozen in place (TASK_FREEZABLE), by the function that wchan names. */
const FREEZABLE =
  /^(hrtimer_nanosleep|do_nanosleep|futex_|do_futex|ep_poll|do_epoll_wait|do_poll|do_sys_poll|do_select|poll_schedule|do_sigtimedwait|do_signal_stop|ptrace_stop|unix_stream_|binder_)/;

/** In a vfork the parent sleeps until its child has called exec: v2 counts it as frozen, v1 waits. */
const VFORK = /^(kernel_clone|wait_for_vfork_done|_do_fork|do_fork)$/;

const MAX_TASKS = 4096;

function text(file: string): string | null {
  try {
    return readFileSync(file, 'latin1').trim();
  } catch {
    return null;
  }
}

/** @param root of /proc; tasks that cannot be read are left out: they are gone, or not ours to see */
export function resistingTasks(version: 1 | 2, directory: string, root = ''): ResistingTask[] {
  const found: ResistingTask[] = [];
  let looked = 0;
  for (const d of walk(directory)) {
    const list = text(`${d}/${version === 1 ? 'tasks' : 'cgroup.threads'}`) ?? '';
    for (const word of list.split('\n')) {
      const tid = Number(word);
      if (!(tid > 0) || looked++ >= MAX_TASKS) continue;
      const stat = parseStat(text(`${root}/proc/${tid}/stat`) ?? '');
      if (!stat || stat.state === 'Z' || stat.state === 'X') continue;
      const raw = text(`${root}/proc/${tid}/wchan`);
      const wchan = raw === null || raw === '0' || raw === '' ? null : raw;
      if (isFrozen(version, stat.state, wchan)) continue;
      const stack = (text(`${root}/proc/${tid}/stack`) ?? '')
        .split('\n')
        .map((line) => line.replace(/^\[<[^>]*>\]\s*/, '').replace(/\+0x.*$/, ''))
        .filter(Boolean)
        .slice(0, 6);
      found.push({ tid, comm: stat.comm, state: stat.state, wchan, stack });
    }
  }
  return found;
}

function isFrozen(version: 1 | 2, state: string, wchan: string | null): boolean {
  if (wchan !== null && TRAP.test(wchan)) return true;
  if (version === 2) {
    return state === 'T' || state === 't' || (wchan !== null && VFORK.test(wchan));
  }
  return state !== 'S' && wchan !== null && FREEZABLE.test(wchan);
}

/** Why such a task resists, as far as it can be told. */
export function explainTask(task: ResistingTask): string {
  if (task.wchan !== null && VFORK.test(task.wchan)) {
    return 'waits in vfork until its child runs a program';
  }
  if (/fuse|request_wait/.test(task.wchan ?? '')) return 'waits for a FUSE file system';
  if (/nfs|rpc/.test(task.wchan ?? '')) return 'waits for an NFS server';
  if (task.state === 'D') return 'sleeps uninterruptibly';
  if (task.state === 'R') return 'runs, and has not been at the border of the kernel yet';
  return 'has not been stopped yet';
}
