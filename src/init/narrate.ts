/**
 * What happens, in words: for the log, and for who listens. The init with the addon and
 * the policy process of lychgate-pid1 tell the same here (native/pid1/events.c has the
 * text form of it).
 */
import { decodeStatus, describeEnding, type Ending } from '../ending';
import type { CoreEvent, SpawnResult } from '../native';
import { signalName } from '../signals';
import type { InitOptions } from './defaults';
import type { Log } from './log';
import type { NeglectedReport } from './neglected';
import { explainSpawnError } from './spawn-error';

/** What a program may listen to. Times in seconds. */
export type InitEvent =
  | { type: 'started'; pid: number; foreground: boolean }
  | ({ type: 'reaped'; pid: number; comm: string; age: number | null } & Ending)
  | { type: 'forwarded'; signal: string; sent: string; pid: number; sender: number | null }
  | { type: 'dropped'; signal: string }
  | { type: 'stopped'; pid: number; signal: string }
  | { type: 'continued'; pid: number }
  | { type: 'grace-over'; pid: number }
  /** confirmed: by the kernel's own count, not by the clock alone */
  | { type: 'was-frozen'; seconds: number; confirmed: boolean }
  /** Zombies whose living parent does not wait; and what was done about them. */
  | ({ type: 'neglected' | 'neglected-reaped' | 'neglected-refused' } & NeglectedReport)
  | { type: 'drain'; processes: number }
  | { type: 'drain-killed'; processes: readonly { pid: number; comm: string }[] }
  | ({ type: 'ended'; pid: number; exitCode: number; reaped: number } & Ending);

/** How COMMAND ended, and what went on until then. */
export interface Total extends Ending {
  pid: number;
  exitCode: number;
  reaped: number;
  forwarded: number;
}

const ESRCH = 3;
const EPERM = 1;
const MAX_NAMES = 20;

export class Narrator {
  readonly #log: Log;
  readonly #emit: (event: InitEvent) => void;
  readonly #options: InitOptions;
  readonly #argv: readonly (string | Buffer)[];

  constructor(
    log: Log,
    emit: (event: InitEvent) => void,
    options: InitOptions,
    argv: readonly (string | Buffer)[],
  ) {
    this.#log = log;
    this.#emit = emit;
    this.#options = options;
    this.#argv = argv;
  }

  get #name(): string {
    return this.#argv[0]?.toString() ?? '';
  }

  /** Log at a level, and tell the listener. The text is made only when it is wanted. */
  tell(level: 'warn' | 'info' | 'debug', event: InitEvent, text: () => string): void {
    const { type, ...fields } = event;
    if (this.#log.enabled(level)) this.#log.write(level, type, text(), fields);
    this.#emit(event);
  }

  /** @param self our pid, not 1 */
  role(self: number, subreaper: boolean): void {
    if (subreaper) {
      const text = `not PID 1 but ${self}: adopting orphans as a subreaper`;
      this.#log.write('info', 'subreaper', text, { pid: self });
      return;
    }
    this.#log.write(
      'warn',
      'not-reaping',
      `not PID 1 but ${self}, and no subreaper: orphans go past us. ` +
        'Leave --no-subreaper out, or run as the first process of the container',
      { pid: self },
    );
  }

  started(pid: number, foreground: boolean): void {
    this.tell(
      'info',
      { type: 'started', pid, foreground },
      () =>
        `started ${this.#name} as pid ${pid}${foreground ? ', in the foreground of the terminal' : ''}`,
    );
  }

  /** @returns why, in one line */
  notStarted(made: Pick<SpawnResult, 'errno' | 'error' | 'step'>): string {
    const why = explainSpawnError(this.#argv, made, this.#options.nofile);
    this.#log.write('error', 'not-started', why, { errno: made.errno });
    return why;
  }

  reaped(event: CoreEvent): void {
    const { pid, comm } = event;
    const end = decodeStatus(event.status);
    const age = event.started > 0 ? Math.max(0, event.time - event.started) : null;
    this.tell(
      this.#options.warnReaped ? 'warn' : 'debug',
      { type: 'reaped', pid, comm, age, ...end },
      () =>
        `reaped orphan ${pid} (${comm || '?'}), ` +
        `age ${age === null ? 'unknown' : `${age.toFixed(2)} s`}, ${describeEnding(end)}`,
    );
  }

  forwarded(event: CoreEvent): void {
    const { pid, errno } = event;
    const signal = signalName(event.signal);
    const sent = signalName(event.sent);
    const as = event.sent === event.signal ? '' : ` as ${sent}`;
    if (errno !== 0) {
      /* ESRCH: it ended in between; nothing is wrong with that */
      this.#log.write(
        errno === ESRCH ? 'info' : 'warn',
        'not-forwarded',
        `could not forward ${signal}${as} to pid ${pid} (errno ${errno}` +
          `${errno === EPERM ? ', EPERM: it runs as another user' : ''})`,
        { signal, sent, pid, errno },
      );
      return;
    }
    this.tell(
      'info',
      { type: 'forwarded', signal, sent, pid, sender: event.sender || null },
      () => `forwarded ${signal}${as} to ${this.#options.group ? 'the group of ' : ''}pid ${pid}`,
    );
  }

  dropped(event: CoreEvent): void {
    const signal = signalName(event.signal);
    this.tell('info', { type: 'dropped', signal }, () => `dropped ${signal}, as --rewrite asks`);
  }

  stopped({ pid, signal: number }: CoreEvent): void {
    const signal = signalName(number);
    this.tell(
      'info',
      { type: 'stopped', pid, signal },
      () => `pid ${pid} was stopped by ${signal}`,
    );
  }

  continued({ pid }: CoreEvent): void {
    this.tell('info', { type: 'continued', pid }, () => `pid ${pid} goes on`);
  }

  /** Nobody above can continue it. */
  stoppedForGood({ pid, signal: number }: CoreEvent): void {
    const signal = signalName(number);
    this.#log.write(
      'warn',
      'stopped-for-good',
      `pid ${pid} was stopped by ${signal} and no shell above can continue it; ` +
        'send us SIGCONT for that (docker kill -s CONT CONTAINER)',
      { pid, signal },
    );
  }

  graceOver(pid: number): void {
    const seconds = this.#options.graceMs / 1000;
    this.tell(
      'warn',
      { type: 'grace-over', pid },
      () => `the grace time of ${seconds} s is over: killing what remains`,
    );
  }

  drainBlind(): void {
    const text = '--drain needs /proc when not PID 1; the other processes stay';
    this.#log.write('warn', 'drain', text);
  }

  /** @param processes 0 when they cannot be counted */
  drain(processes: number): void {
    this.tell(
      'info',
      { type: 'drain', processes },
      () => `${this.#name} has ended; asking ${processes || 'the'} other processes to end`,
    );
  }

  drainKilled(processes: readonly { pid: number; comm: string }[]): void {
    if (processes.length === 0) return;
    const names = processes.slice(0, MAX_NAMES).map((p) => `${p.pid} (${p.comm})`);
    const rest = processes.length - names.length;
    const more = rest > 0 ? ` and ${rest} more` : '';
    this.tell(
      'warn',
      { type: 'drain-killed', processes },
      () =>
        `had to kill ${processes.length} processes that did not end: ${names.join(', ')}${more}`,
    );
  }

  drainStuck(): void {
    const text = 'some processes do not end even after SIGKILL (state D?); leaving';
    this.#log.write('warn', 'drain-stuck', text);
  }

  /** @param why what could not take them */
  eventsLost(events: number, why: string): void {
    const text = `${events} events were not reported, ${why}; the processes were reaped all the same`;
    this.#log.write('warn', 'events-lost', text, { events });
  }

  ended({ pid, exitCode, reaped, forwarded, code, signal }: Total): void {
    const end = { code, signal };
    this.tell(
      'info',
      { type: 'ended', pid, exitCode, reaped, ...end },
      () =>
        `pid ${pid} ended: ${describeEnding(end)}; exiting with ${exitCode} ` +
        `(${reaped} orphans reaped, ${forwarded} signals forwarded)`,
    );
  }
}
