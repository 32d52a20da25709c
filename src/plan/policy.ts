/**
 * The policy process of lychgate-pid1: tells what happens as JSON, looks for neglected
 * zombies, notices a freeze. PID 1 does without it: it may be killed at any time.
 */
import { read } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { decodeStatus } from '../ending';
import type { InitOptions } from '../init/defaults';
import { createLog } from '../init/log';
import { Narrator } from '../init/narrate';
import { startWatches } from '../init/watches';
import { decodeEvent, EventKind } from '../native';

/** Kinds beside those of the core: native/pid1/pid1.h. */
enum Own {
  Started = 32,
  NotStarted,
  Role,
  Lost,
  StuckStopped,
  Drain,
  KilledOne,
  Killed,
  DrainStuck,
  DrainBlind,
  Ended,
}

const EVENT_SIZE = 64;
const [REAPED_AT, FORWARDED_AT] = [40, 32];

/** Options for a word of the command line, and back. */
export function preserve(options: InitOptions): string {
  const maps = { rewrite: [...options.rewrite], remapExit: [...options.remapExit] };
  return JSON.stringify({ ...options, ...maps });
}

export function revive(text: string): InitOptions {
  const found = JSON.parse(text) as InitOptions & {
    rewrite: [number, number][];
    remapExit: [number, number][];
  };
  return { ...found, rewrite: new Map(found.rewrite), remapExit: new Map(found.remapExit) };
}

/** Until the pipe of events ends: then PID 1 leaves, or is gone. */
export async function runPolicy(
  events: number,
  options: InitOptions,
  command: readonly string[],
): Promise<void> {
  beDeaf();
  const log = createLog(options.logFormat, options.verbosity);
  const narrator = new Narrator(log, () => {}, options, command);
  const leave = (error: unknown) => {
    log.write('error', 'policy', `the policy process gives up: ${(error as Error).message}`);
    process.exit(1); /* PID 1 starts another */
  };
  process.on('uncaughtException', leave);
  const unwatch = await startWatches(options, log, narrator, process.ppid);
  const handle = handler(narrator);
  const buffer = Buffer.alloc(EVENT_SIZE * 64);
  const next = (): void =>
    read(events, buffer, 0, buffer.length, null, (error, n) => {
      if (error) return leave(error);
      if (n === 0) return void unwatch().finally(() => process.exit(0));
      /* each was written whole, and the buffer takes whole ones: no rest */
      for (let at = 0; at + EVENT_SIZE <= n; at += EVENT_SIZE)
        handle(buffer.subarray(at, at + EVENT_SIZE));
      next();
    });
  next();
}

/** kill(-1) of COMMAND, or of PID 1 at the end, is not meant for us; USR1 would open a port. */
function beDeaf(): void {
  for (const name of ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'PIPE', 'ALRM', 'TERM'] as const)
    process.on(`SIG${name}`, () => {});
}

function handler(narrator: Narrator): (bytes: Buffer) => void {
  let killed: { pid: number; comm: string }[] = [];
  return (bytes) => {
    const event = decodeEvent(bytes);
    const { pid, sent, comm } = event;
    switch (event.kind as EventKind | Own) {
      case EventKind.Reaped:
        return narrator.reaped(event);
      case EventKind.MainStopped:
        return narrator.stopped(event);
      case EventKind.MainContinued:
        return narrator.continued(event);
      case EventKind.Forwarded:
        return narrator.forwarded(event);
      case EventKind.Dropped:
        return narrator.dropped(event);
      case EventKind.GraceOver:
        return narrator.graceOver(pid);
      case Own.Started:
        return narrator.started(pid, sent !== 0);
      case Own.NotStarted:
        narrator.notStarted({
          errno: event.errno,
          error: inWords(event.errno),
          step: toStep(comm),
        });
        return;
      case Own.Role:
        return narrator.role(pid, sent !== 0);
      case Own.Lost:
        return narrator.eventsLost(sent, 'the pipe was full');
      case Own.StuckStopped:
        return narrator.stoppedForGood(event);
      case Own.Drain:
        return narrator.drain(sent);
      case Own.KilledOne:
        killed.push({ pid, comm });
        return;
      case Own.Killed:
        narrator.drainKilled(killed);
        killed = [];
        return;
      case Own.DrainStuck:
        return narrator.drainStuck();
      case Own.DrainBlind:
        return narrator.drainBlind();
      case Own.Ended: {
        const reaped = Number(bytes.readBigUInt64LE(REAPED_AT));
        const forwarded = Number(bytes.readBigUInt64LE(FORWARDED_AT));
        const end = decodeStatus(event.status);
        return narrator.ended({ pid, exitCode: sent, reaped, forwarded, ...end });
      }
      default:
        return;
    }
  };
}

function toStep(text: string): 'clone' | 'getrlimit' | 'setrlimit' | 'exec' {
  return text === 'clone' || text === 'getrlimit' || text === 'setrlimit' ? text : 'exec';
}

/** As strerror(3) has it. */
function inWords(errno: number): string {
  const text = getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
