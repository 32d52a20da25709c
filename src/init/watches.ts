/**
 * What has to be looked for on a timer: zombies that nobody waits for, and whether we
 * stood frozen. Nothing of it is loaded while COMMAND starts.
 */
import { loadPreapCore } from '../native';
import type { InitOptions } from './defaults';
import type { Log } from './log';
import type { Narrator } from './narrate';
import type { NeglectedWatch } from './neglected';

const NEGLECTED_MIN_MS = 250;
const NEGLECTED_MAX_MS = 30_000;

/**
 * @param init the pid of the init that answers for the processes
 * @returns what ends the watches
 */
export async function startWatches(
  options: InitOptions,
  log: Log,
  narrator: Narrator,
  init: number,
): Promise<() => Promise<void>> {
  const { watchFreezerMs: every } = options;
  const unwatch = every > 0 ? await freezer(every, log, narrator) : () => {};
  const unneglect = neglected(options, log, narrator, init);
  return async () => {
    unwatch();
    await unneglect();
  };
}

/** Loaded when asked for: it costs a wake-up each time. */
async function freezer(ms: number, log: Log, narrator: Narrator): Promise<() => void> {
  const { watchFreezer } = await import('./frozen');
  return watchFreezer(ms, ({ cause, seconds, confirmed, text }) => {
    if (cause === 'frozen')
      narrator.tell('warn', { type: 'was-frozen', seconds, confirmed }, () => text);
    else log.write('info', 'stood-still', text, { seconds, cause });
  });
}

/** A slow timer, and at its first turn the code for it. */
function neglected(
  { neglected: mode, neglectedAfterMs: after }: InitOptions,
  log: Log,
  narrator: Narrator,
  init: number,
): () => Promise<void> {
  if (mode === 'ignore') return async () => {};
  /* before COMMAND can use up the limit of processes */
  if (mode === 'reap') loadPreapCore().keepPreap(true);
  let watch: Promise<NeglectedWatch> | undefined;
  let busy = false;
  const look = async () => {
    if (busy) return; /* the last one is not done yet */
    busy = true;
    try {
      watch ??= import('./neglected').then(
        (room) =>
          new room.NeglectedWatch(mode, after / 1000, init, (type, report, text) =>
            narrator.tell('warn', { type, ...report }, () => text),
          ),
      );
      await (await watch).look();
    } catch (error) {
      clearInterval(timer);
      log.write(
        'warn',
        'neglected-blind',
        `cannot look for zombies that nobody waits for: ${(error as Error).message}`,
      );
    }
    busy = false;
  };
  const every = Math.min(Math.max(after / 2, NEGLECTED_MIN_MS), NEGLECTED_MAX_MS);
  const timer = setInterval(look, every);
  return async () => {
    clearInterval(timer);
    const watching = await watch?.catch(() => undefined);
    watching?.end();
    if (mode === 'reap') loadPreapCore().keepPreap(false);
  };
}
