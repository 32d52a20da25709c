/**
 * The policy side of the init. The core reaps and forwards by itself; here is
 * decided what to say, when to end the rest, and with which code to leave.
 */

import { decodeStatus, describeEnding, type Ending, plainExitCode } from '../ending';
import { type Core, type CoreEvent, EventKind, loadPreapCore, readEvents } from '../native';
import { sig, signalName } from '../signals';
import type { Log } from './log';
import type { NeglectedReport, NeglectedWatch } from './neglected';
import { exitMap, type InitOptions, signalMap } from './options';
import { createOthers, type Others } from './others';
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

export interface Request {
  options: InitOptions;
  argv: readonly (string | Buffer)[];
  env: readonly string[] | null;
  fds: readonly number[] | null;
  /** Leave without us when we have not answered so long after COMMAND's end; 0 = never. */
  exitDeadlineMs: number;
  /** Report every reap and forward, whatever the log level. */
  wantEvents: boolean;
}

export interface CommandEnd extends Ending {
  /** 0 when COMMAND could not be started. */
  pid: number;
  /** What to exit with: code or 128+signal, remapped; 126 or 127 when it did not start. */
  exitCode: number;
  /** Orphans reaped while it ran. */
  reaped: number;
  /** Why COMMAND could not be started, else null. */
  error: string | null;
}

const KILL_WAIT_MS = 2000;
/** How often to look for zombies that nobody waits for. */
const NEGLECTED_MIN_MS = 250;
const NEGLECTED_MAX_MS = 30_000;
const DRAIN_POLL_MS = 100; /* processes from `docker exec` send us no SIGCHLD */

export class Supervisor {
  readonly #core: Core;
  readonly #log: Log;
  readonly #emit: (event: InitEvent) => void;
  readonly #buffer: Buffer;
  readonly #others: Others;
  #request: Request | undefined;
  #onChange: () => void = () => {};
  #killAll = false;
  #late: number[] = [];

  constructor(core: Core, log: Log, emit: (event: InitEvent) => void) {
    this.#core = core;
    this.#log = log;
    this.#emit = emit;
    this.#buffer = Buffer.alloc(core.eventSize * 64);
    this.#others = createOthers(core, process.pid);
  }

  /** For core.arm(): something is in the ring. */
  readonly onWake = (): void => {
    for (const event of readEvents(this.#core, this.#buffer)) this.#handle(event);
    this.#onChange();
  };

  /**
   * Start COMMAND and see it through. The core must be armed.
   * @throws when a system call that was asked for fails (subreaper, parent death signal)
   */
  async run(request: Request): Promise<CommandEnd> {
    this.#request = request;
    const { options } = request;
    const self = process.pid;
    const subreaper = options.subreaper === 'auto' ? self !== 1 : options.subreaper;
    const chatty = request.wantEvents || options.logFormat === 'json';
    this.#core.configure({
      signalMap: signalMap(options.rewrite),
      exitMap: exitMap(options.remapExit),
      group: options.group,
      subreaper,
      reportReaped: options.warnReaped || request.wantEvents || this.#log.enabled('debug'),
      reportForwarded: chatty || this.#log.enabled('info'),
      parentDeathSignal: options.parentDeathSignal,
      graceMs: options.graceMs,
      exitDeadlineMs: request.exitDeadlineMs,
    });
    this.#sayRole(self, subreaper);

    const { watchFreezerMs: every } = options;
    const unwatch = every > 0 ? await this.#watchFreezer(every) : () => {};
    const unneglect = this.#watchNeglected(options);
    const made = this.#core.spawn({
      argv: request.argv,
      env: request.env,
      fds: request.fds,
      nofile: options.nofile,
    });
    const error = made.step === null ? null : explainSpawnError(request.argv, made, options.nofile);
    if (made.pid === 0) {
      unwatch();
      await unneglect();
      this.#log.write('error', 'not-started', error ?? 'unknown', { errno: made.errno });
      return { pid: 0, code: null, signal: null, exitCode: 126, reaped: 0, error };
    }
    if (error === null) {
      this.#tell(
        'info',
        { type: 'started', pid: made.pid, foreground: made.foreground },
        () =>
          `started ${this.#name()} as pid ${made.pid}${made.foreground ? ', in the foreground of the terminal' : ''}`,
      );
    } else {
      this.#log.write('error', 'not-started', error, { errno: made.errno });
    }

    await this.#until(() => this.#core.stats().ended, Number.POSITIVE_INFINITY);
    unwatch();
    await unneglect();
    const allowed = options.drainMs + options.graceMs + KILL_WAIT_MS + 5000;
    this.#core.setExitDeadline(request.exitDeadlineMs > 0 ? allowed : 0);
    if (options.drainMs > 0) await this.#drain(options.drainMs);
    return this.#end(error);
  }

  /** Loaded when asked for: it costs a wake-up each time. */
  async #watchFreezer(ms: number): Promise<() => void> {
    const { watchFreezer } = await import('./frozen');
    return watchFreezer(ms, (gap) => {
      if (gap.cause !== 'frozen') {
        this.#log.write('info', 'stood-still', gap.text, {
          seconds: gap.seconds,
          cause: gap.cause,
        });
        return;
      }
      const { seconds, confirmed } = gap;
      this.#tell('warn', { type: 'was-frozen', seconds, confirmed }, () => gap.text);
    });
  }

  /**
   * A slow timer, and at its first turn the code for it: nothing of it is loaded while
   * COMMAND starts. @returns what ends it
   */
  #watchNeglected({ neglected: mode, neglectedAfterMs: after }: InitOptions): () => Promise<void> {
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
            new room.NeglectedWatch(mode, after / 1000, (type, report, text) =>
              this.#tell('warn', { type, ...report }, () => text),
            ),
        );
        await (await watch).look();
      } catch (error) {
        clearInterval(timer);
        this.#log.write(
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

  #name(): string {
    const word = this.#request?.argv[0];
    return word === undefined ? '' : word.toString();
  }

  /** Log at a level, and tell the listener. The text is made only when it is wanted. */
  #tell(level: 'warn' | 'info' | 'debug', event: InitEvent, text: () => string): void {
    const { type, ...fields } = event;
    if (this.#log.enabled(level)) this.#log.write(level, type, text(), fields);
    this.#emit(event);
  }

  #sayRole(self: number, subreaper: boolean): void {
    if (self === 1) return;
    if (subreaper) {
      this.#log.write(
        'info',
        'subreaper',
        `not PID 1 but ${self}: adopting orphans as a subreaper`,
        {
          pid: self,
        },
      );
    } else {
      this.#log.write(
        'warn',
        'not-reaping',
        `not PID 1 but ${self}, and no subreaper: orphans go past us. ` +
          'Leave --no-subreaper out, or run as the first process of the container',
        { pid: self },
      );
    }
  }

  #handle(event: CoreEvent): void {
    const { pid } = event;
    switch (event.kind) {
      case EventKind.Reaped:
        this.#reaped(event);
        break;
      case EventKind.MainStopped:
        this.#stopped(event);
        break;
      case EventKind.MainContinued:
        this.#tell('info', { type: 'continued', pid }, () => `pid ${pid} goes on`);
        break;
      case EventKind.Forwarded:
        this.#forwarded(event);
        break;
      case EventKind.Dropped:
        this.#tell(
          'info',
          { type: 'dropped', signal: signalName(event.signal) },
          () => `dropped ${signalName(event.signal)}, as --rewrite asks`,
        );
        break;
      case EventKind.Late:
        this.#late.push(event.sent);
        break;
      case EventKind.GraceOver:
        this.#graceOver(pid);
        break;
      case EventKind.MainEnded:
        break; /* read from stats(): an event may be dropped, the state is not */
    }
  }

  #graceOver(pid: number): void {
    this.#killAll = true;
    const seconds = (this.#request?.options.graceMs ?? 0) / 1000;
    this.#tell(
      'warn',
      { type: 'grace-over', pid },
      () => `the grace time of ${seconds} s is over: killing what remains`,
    );
    this.#others.signal(sig('KILL'));
  }

  #reaped(event: CoreEvent): void {
    const end = decodeStatus(event.status);
    const age = event.started > 0 ? Math.max(0, event.time - event.started) : null;
    const level = this.#request?.options.warnReaped ? 'warn' : 'debug';
    this.#tell(
      level,
      { type: 'reaped', pid: event.pid, comm: event.comm, age, ...end },
      () =>
        `reaped orphan ${event.pid} (${event.comm || '?'}), ` +
        `age ${age === null ? 'unknown' : `${age.toFixed(2)} s`}, ${describeEnding(end)}`,
    );
  }

  #forwarded(event: CoreEvent): void {
    const signal = signalName(event.signal);
    const sent = signalName(event.sent);
    const as = event.sent === event.signal ? '' : ` as ${sent}`;
    if (event.errno !== 0) {
      /* ESRCH: it ended in between; nothing is wrong with that */
      this.#log.write(
        event.errno === 3 ? 'info' : 'warn',
        'not-forwarded',
        `could not forward ${signal}${as} to pid ${event.pid} (errno ${event.errno}` +
          `${event.errno === 1 ? ', EPERM: it runs as another user' : ''})`,
        { signal, sent, pid: event.pid, errno: event.errno },
      );
      return;
    }
    const sender = event.sender || null;
    this.#tell(
      'info',
      { type: 'forwarded', signal, sent, pid: event.pid, sender },
      () =>
        `forwarded ${signal}${as} to ${this.#request?.options.group ? 'the group of ' : ''}pid ${event.pid}`,
    );
  }

  #stopped(event: CoreEvent): void {
    const signal = signalName(event.signal);
    this.#tell(
      'info',
      { type: 'stopped', pid: event.pid, signal },
      () => `pid ${event.pid} was stopped by ${signal}`,
    );
    /* continued again before we came here: nothing to hand back */
    if (!this.#core.stats().stopped) return;
    if (this.#core.suspend(event.signal)) return;
    if (event.signal === sig('STOP')) return; /* by hand: who did it knows */
    this.#log.write(
      'warn',
      'stopped-for-good',
      `pid ${event.pid} was stopped by ${signal} and no shell above can continue it; ` +
        'send us SIGCONT for that (docker kill -s CONT CONTAINER)',
      { pid: event.pid, signal },
    );
  }

  /** Resolves true when check() holds, false when the time is over first. */
  #until(check: () => boolean, ms: number, pollMs = 0): Promise<boolean> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      let poll: NodeJS.Timeout | undefined;
      const finish = (result: boolean) => {
        this.#onChange = () => {};
        clearTimeout(timer);
        clearInterval(poll);
        resolve(result);
      };
      const look = () => {
        if (check()) finish(true);
      };
      if (check()) return finish(true);
      this.#onChange = look;
      if (Number.isFinite(ms)) timer = setTimeout(() => finish(check()), ms);
      if (pollMs > 0) poll = setInterval(look, pollMs);
    });
  }

  async #drain(ms: number): Promise<void> {
    if (!this.#others.canSee) {
      this.#log.write(
        'warn',
        'drain',
        '--drain needs /proc when not PID 1; the other processes stay',
      );
      return;
    }
    this.#core.wakeOnReap(true);
    if (!this.#others.any()) return;
    const before = this.#others.list().length;
    this.#tell(
      'info',
      { type: 'drain', processes: before },
      () => `${this.#name()} has ended; asking ${before || 'the'} other processes to end`,
    );
    this.#others.signal(sig('TERM'));
    this.#others.signal(sig('CONT')); /* a stopped one could not hear it */
    const settled = () => {
      for (const signal of this.#late.splice(0)) if (signal > 0) this.#others.signal(signal);
      return this.#killAll || !this.#others.any();
    };
    await this.#until(settled, ms, DRAIN_POLL_MS);
    if (this.#others.any()) await this.#killRest();
  }

  async #killRest(): Promise<void> {
    const rest = this.#others.list().map(({ pid, comm }) => ({ pid, comm }));
    this.#others.signal(sig('KILL'));
    const gone = await this.#until(() => !this.#others.any(), KILL_WAIT_MS, DRAIN_POLL_MS);
    const names = rest.slice(0, 20).map((p) => `${p.pid} (${p.comm})`);
    const more = rest.length > names.length ? ` and ${rest.length - names.length} more` : '';
    if (rest.length > 0) {
      this.#tell(
        'warn',
        { type: 'drain-killed', processes: rest },
        () => `had to kill ${rest.length} processes that did not end: ${names.join(', ')}${more}`,
      );
    }
    if (!gone) {
      this.#log.write(
        'warn',
        'drain-stuck',
        'some processes do not end even after SIGKILL (state D?); leaving',
      );
    }
  }

  #end(error: string | null): CommandEnd {
    const stats = this.#core.stats();
    for (const event of readEvents(this.#core, this.#buffer)) this.#handle(event);
    const end = decodeStatus(stats.status);
    const plain = plainExitCode(stats.status);
    const exitCode = this.#request?.options.remapExit.get(plain) ?? plain;
    if (stats.droppedEvents > 0) {
      this.#log.write(
        'warn',
        'events-lost',
        `${stats.droppedEvents} events were not reported, the ring was full; the processes were reaped all the same`,
        { events: stats.droppedEvents },
      );
    }
    const { pid, reaped, forwarded } = stats;
    this.#tell(
      'info',
      { type: 'ended', pid, exitCode, reaped, ...end },
      () =>
        `pid ${pid} ended: ${describeEnding(end)}; exiting with ${exitCode} ` +
        `(${reaped} orphans reaped, ${forwarded} signals forwarded)`,
    );
    return { pid, ...end, exitCode, reaped, error };
  }
}
