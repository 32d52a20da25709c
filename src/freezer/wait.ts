/**
 * Waiting for a freezer. v2 tells of a change: cgroup.events is modified, which
 * inotify sees. v1 has no such thing, so it is looked at again and again.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { Place } from '../cgroups';
import type { CgroupFreezer, FreezerState } from './model';
import { readState } from './state';

const POLL_MS = 20;
/** A cgroup that is removed modifies nothing. */
const SLOW_POLL_MS = 1000;

/**
 * @returns the state that fulfilled check, or the last one seen when the time was over
 */
export function waitForState(
  place: Place,
  check: (state: FreezerState) => boolean,
  timeoutMs: number,
): Promise<CgroupFreezer> {
  const { hierarchy, directory } = place;
  if (!hierarchy || !directory) {
    return Promise.resolve({ state: 'unknown', self: null, parent: null });
  }
  const look = () => readState(hierarchy, directory);
  return new Promise((resolve) => {
    let watcher: FSWatcher | undefined;
    let timeout: NodeJS.Timeout | undefined;
    let poll: NodeJS.Timeout | undefined;
    const finish = (state: CgroupFreezer) => {
      watcher?.close();
      clearTimeout(timeout);
      clearInterval(poll);
      resolve(state);
    };
    const again = () => {
      const state = look();
      if (check(state.state) || state.state === 'gone') finish(state);
    };
    let events = false;
    if (place.version === 2) {
      try {
        watcher = watch(`${directory}/cgroup.events`, again);
        watcher.on('error', () => {}); /* the slow look goes on */
        events = true;
      } catch {
        /* no inotify to be had: look again and again, as on v1 */
      }
    }
    poll = setInterval(again, events ? SLOW_POLL_MS : POLL_MS);
    timeout = setTimeout(() => finish(look()), timeoutMs);
    again(); /* after the watch is set: nothing falls in between */
  });
}
