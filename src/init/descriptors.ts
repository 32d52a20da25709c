/**
 * Which descriptors did our parent pass to us? Node marks all it finds at start
 * FD_CLOEXEC, the inherited ones and its own alike, so the flag tells nothing.
 *
 * What Node has open when our code starts is known (20 to 26, read with
 * strace): for each libuv loop an epoll instance, an eventfd and a non-blocking
 * pipe with both ends here; one blocking pipe with both ends here (libuv's
 * signal lock); io_uring instances. Everything else was inherited. Where more
 * pipes fit than there are loops, the oldest ones are not Node's.
 *
 * A loop of another thread may be half made when we look. It has its pipe before
 * its eventfd, so a loop counts when there is an eventfd for it: rather pass on
 * a pipe of Node's than lose one that was meant for COMMAND.
 */
import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Descriptor {
  fd: number;
  /** As readlink of /proc/self/fd/N gives it. */
  target: string;
  nonblocking: boolean;
  /** Of the object behind it, ns; only pipes need it. */
  changed: bigint;
}

const O_NONBLOCK = 0o4000;
const EVENTPOLL = 'anon_inode:[eventpoll]';
const EVENTFD = 'anon_inode:[eventfd]';

/** @returns the descriptors above 2 to pass on, ascending. */
export function inherited(all: readonly Descriptor[]): number[] {
  const nodes = new Set<number>();
  const count = (target: string) =>
    all.filter((d) => d.target === target && (d.nonblocking || target !== EVENTFD)).length;
  const loops = Math.min(count(EVENTPOLL), count(EVENTFD));
  for (const d of all) {
    if (d.target === EVENTPOLL || d.target === 'anon_inode:[io_uring]') nodes.add(d.fd);
    if (d.target === EVENTFD && d.nonblocking) nodes.add(d.fd);
  }

  const pipes = pipesWithBothEnds(all);
  for (const fd of newest(
    pipes.filter((p) => p.nonblocking),
    loops,
  ))
    nodes.add(fd);
  for (const fd of newest(
    pipes.filter((p) => !p.nonblocking),
    loops > 0 ? 1 : 0,
  ))
    nodes.add(fd);
  return all
    .map((d) => d.fd)
    .filter((fd) => fd > 2 && !nodes.has(fd))
    .sort((a, b) => a - b);
}

interface Pipe {
  fds: readonly number[];
  nonblocking: boolean;
  changed: bigint;
}

function pipesWithBothEnds(all: readonly Descriptor[]): Pipe[] {
  const ends = new Map<string, Descriptor[]>();
  for (const d of all) {
    if (!d.target.startsWith('pipe:')) continue;
    ends.set(d.target, [...(ends.get(d.target) ?? []), d]);
  }
  return [...ends.values()]
    .filter((e) => e.length === 2)
    .map(([a, b]) => ({
      fds: [a?.fd ?? -1, b?.fd ?? -1],
      nonblocking: a?.nonblocking === true && b?.nonblocking === true,
      changed: a?.changed ?? 0n,
    }));
}

function newest(pipes: Pipe[], count: number): number[] {
  return pipes
    .sort((a, b) => (a.changed === b.changed ? 0 : a.changed > b.changed ? -1 : 1))
    .slice(0, count)
    .flatMap((p) => p.fds);
}

/**
 * What is open in this process now.
 * @returns undefined when /proc does not tell.
 */
export function openDescriptors(): Descriptor[] | undefined {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fd');
  } catch {
    return undefined;
  }
  const found: Descriptor[] = [];
  for (const name of names) {
    const fd = Number(name);
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      const flagged = target.startsWith('pipe:') || target === EVENTFD;
      found.push({
        fd,
        target,
        nonblocking: flagged && (flagsOf(name) & O_NONBLOCK) !== 0,
        changed: target.startsWith('pipe:') ? fstatSync(fd, { bigint: true }).ctimeNs : 0n,
      });
    } catch {
      /* the one that listed the folder is closed by now */
    }
  }
  return found;
}

function flagsOf(fd: string): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
  return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(text)?.[1] ?? '0', 8);
}
