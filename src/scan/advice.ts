/** One sentence for each finding: what it means, and what mends it. */
import { mendFor, type Parent, type Verdict } from '../processes';

const mend = (parent: Parent) => mendFor(`${parent.comm} ${parent.command ?? ''}`);

const who = (parent: Parent | null) =>
  parent ? `${parent.pid} (${parent.comm})` : 'a parent that is not to be seen';

/** @param init the parent is the container's first process */
export function adviseZombie(
  verdict: Verdict,
  parent: Parent | null,
  inContainer: boolean,
): string {
  switch (verdict.class) {
    case 'leader-alive':
      return 'no zombie: its first thread has exited and others work on; leave it alone';
    case 'leader-stuck':
      return `it is exiting and thread ${verdict.by} hangs in D; mend what that waits for (storage, NFS), no signal helps`;
    case 'traced':
      return `process ${verdict.by} traces it and must wait for it first; end that debugger or tracer`;
    case 'parent-frozen':
      return `its parent is frozen and cannot wait: lychgate freezer ${parent?.pid}`;
    case 'parent-stopped':
      return verdict.by
        ? `its parent is held by tracer ${verdict.by} and cannot wait; end the tracer`
        : `its parent is stopped and cannot wait: kill -CONT ${parent?.pid}`;
    case 'parent-stuck':
      return 'its parent hangs in D and cannot wait; mend what that waits for, no signal helps';
    case 'shim-owned':
      return `${who(parent)} has to reap it; one that stays is a fault of the shim or a process in D: restart the pod, do not kill the parent`;
    case 'host-daemon':
      return `${who(parent)} is a daemon of the machine, not of a pod; update or restart that service`;
    default:
      break;
  }
  if (!parent) return '';
  if (inContainer && parent.isInit) {
    return `the container's first process does not reap; give it an init (ENTRYPOINT lychgate --), or mend it: ${mend(parent)}`;
  }
  const then = inContainer ? ', and they go to the init of the container when it ends' : '';
  return `${who(parent)} does not wait for its children: ${mend(parent)}${then}`;
}

export const ADVICE_STUCK =
  'it did not run between the two looks and no signal reaches it; mend what it waits for (storage, NFS, FUSE)';
export const ADVICE_BUSY = 'it ran in between: slow or overloaded I/O, not stuck';

export function adviseFrozen(directory: string, freezing: boolean): string {
  return `${freezing ? 'asked to freeze and not there yet' : 'it stands still'}; who did it and how to thaw it: lychgate freezer ${directory}`;
}
