/** `lychgate freezer`: the command line's way in. */
import { writeSync } from 'node:fs';
import { onExit } from 'signal-exit';
import { compose, inspect, inspectPlace } from './inspect';
import { FreezerError, type FreezerReport } from './model';
import { type FreezerOptions, HELP, type ParsedFreezer, parseFreezer } from './options';
import { formatReport, verdict } from './text';
import { type ThawReport, thaw } from './thaw';
import { waitForState } from './wait';

/** @returns the exit code: 0 running, 1 frozen, 2 error, 3 refused because of an ancestor */
export async function main(argv: readonly string[]): Promise<number> {
  let parsed: ParsedFreezer;
  try {
    parsed = parseFreezer(argv);
  } catch (error) {
    return complain(error);
  }
  if (parsed.action === 'help') {
    out(HELP);
    return 0;
  }
  const { options } = parsed;
  try {
    return options.thaw ? await thawing(options) : await looking(options);
  } catch (error) {
    return complain(error);
  }
}

function complain(error: unknown): number {
  if (!(error instanceof FreezerError)) throw error;
  say(error.message);
  return 2;
}

function say(text: string): void {
  writeSync(2, `lychgate freezer: ${text}\n`);
}

function out(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return; /* the reader has seen enough */
      if (code !== 'EAGAIN') throw error;
    }
  }
}

const stopped = (report: FreezerReport) => report.state === 'frozen' || report.state === 'freezing';

function exitCode(report: FreezerReport): number {
  if (stopped(report)) return 1;
  const below = report.hierarchies.some((h) => h.frozenDescendants.length > 0);
  if (below) return 1;
  return report.state === 'unknown' ? 2 : 0;
}

async function looking(options: FreezerOptions): Promise<number> {
  const { report: first, target } = inspect(options.argument, options);
  let report = first;
  if (options.wait !== null) {
    const until = options.until ?? (first.state === 'frozen' ? 'thawed' : 'frozen');
    const reached = (state: string) =>
      until === 'frozen' ? state === 'frozen' : state !== 'frozen' && state !== 'freezing';
    const end = Date.now() + options.wait * 1000;
    say(`waiting up to ${options.wait} s until it is ${until}`);
    if (until === 'frozen') {
      /* whichever hierarchy freezes it first */
      const all = target.places.filter((p) => p.directory !== null);
      await Promise.race(all.map((p) => waitForState(p, reached, end - Date.now())));
    } else {
      for (const place of target.places) await waitForState(place, reached, end - Date.now());
    }
    report = compose(
      target,
      target.places.map((p) => inspectPlace(p, target, options.recursive, options.root)),
    );
    const done = until === 'frozen' ? report.state === 'frozen' : !stopped(report);
    if (!done) say(`not ${until} after ${options.wait} s`);
  }
  out(options.format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
  return exitCode(report);
}

async function thawing(options: FreezerOptions): Promise<number> {
  const written: string[] = [];
  const forget = onExit((_, signal) => {
    if (signal && written.length > 0) say(`interrupted; thawed before that: ${written.join(', ')}`);
  });
  let result: ThawReport;
  try {
    result = await thaw(options.argument, {
      root: options.root,
      recursive: options.recursive,
      ancestors: options.ancestors,
      ...(options.wait === null ? {} : { wait: options.wait }),
      onBefore(directory, owner) {
        if (owner?.paused === false) {
          say(`${directory} belongs to ${owner.engine}, which does not know that it is frozen`);
        } else if (owner) {
          say(`${directory} belongs to ${owner.engine}; its own command is: ${owner.thaw}`);
          say(`after a thaw behind its back: ${owner.afterRawThaw}`);
        }
      },
      onThawed(directory) {
        written.push(directory);
        say(`thawed ${directory}`);
      },
    });
  } finally {
    forget();
  }
  const { before, after, thawed, refused } = result;
  if (options.format === 'json')
    out(`${JSON.stringify({ ...after, before, thawed, refused }, null, 2)}\n`);
  else out(`before: ${verdict(before)}\nafter:  ${formatReport(after)}`);
  if (!stopped(before)) say('nothing to thaw: it is not frozen');
  if (refused === null) return exitCode(after);
  say(refused);
  return after.hierarchies.some((h) => stopped({ ...after, state: h.state }) && h.parent) ? 3 : 1;
}
