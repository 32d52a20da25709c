/**
 * The policy side of the init. The core reaps and forwards by itself; here is
 * decided what to say, when to end the rest, and with which code to leave.
 */

import { decodeStatus, type Ending, plainExitCode } from '../ending';
import { type Core, type CoreEvent, EventKind, readEvents } from '../native';
import { sig } from '../signals';
import { exitMap, type InitOptions, signalMap } from './defaults';
import type { Log } from './log';
import { type InitEvent, Narrator } from './narrate';
import { createOthers, type Others } from './others';
import { startWatches } from './watches';

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
const DRAIN_POLL_MS = 100; /* processes from `docker exec` send us no SIGCHLD */

export class Supervisor {
  readonly #core: Core;
  readonly #log: Log;
  readonly #emit: (event: InitEvent) => void;
  readonly #buffer: Buffer;
  readonly #others: Others;
  #request: Request | undefined;
  #narrator: Narrator | undefined;
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
    const narrator = new Narrator(this.#log, this.#emit, options, request.argv);
    this.#narrator = narrator;
    if (self !== 1) narrator.role(self, subreaper);

    const unwatch = await startWatches(options, this.#log, narrator, self);
    const made = this.#core.spawn({
      argv: request.argv,
      env: request.env,
      fds: request.fds,
      nofile: options.nofile,
    });
    let error: string | null = null;
    if (made.step === null) narrator.started(made.pid, made.foreground);
    else error = narrator.notStarted(made);
    if (made.pid === 0) {
      await unwatch();
      return { pid: 0, code: null, signal: null, exitCode: 126, reaped: 0, error };
    }

    await this.#until(() => this.#core.stats().ended, Number.POSITIVE_INFINITY);
    await unwatch();
    const allowed = options.drainMs + options.graceMs + KILL_WAIT_MS + 5000;
    this.#core.setExitDeadline(request.exitDeadlineMs > 0 ? allowed : 0);
    if (options.drainMs > 0) await this.#drain(options.drainMs);
    return this.#end(error);
  }

  #handle(event: CoreEvent): void {
    const narrator = this.#narrator;
    switch (event.kind) {
      case EventKind.Reaped:
        narrator?.reaped(event);
        break;
      case EventKind.MainStopped:
        this.#stopped(event);
        break;
      case EventKind.MainContinued:
        narrator?.continued(event);
        break;
      case EventKind.Forwarded:
        narrator?.forwarded(event);
        break;
      case EventKind.Dropped:
        narrator?.dropped(event);
        break;
      case EventKind.Late:
        this.#late.push(event.sent);
        break;
      case EventKind.GraceOver:
        this.#killAll = true;
        narrator?.graceOver(event.pid);
        this.#others.signal(sig('KILL'));
        break;
      case EventKind.MainEnded:
        break; /* read from stats(): an event may be dropped, the state is not */
    }
  }

  #stopped(event: CoreEvent): void {
    this.#narrator?.stopped(event);
    /* continued again before we came here: nothing to hand back */
    if (!this.#core.stats().stopped) return;
    if (this.#core.suspend(event.signal)) return;
    /* by hand: who did it knows */
    if (event.signal !== sig('STOP')) this.#narrator?.stoppedForGood(event);
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
      this.#narrator?.drainBlind();
      return;
    }
    this.#core.wakeOnReap(true);
    if (!this.#others.any()) return;
    this.#narrator?.drain(this.#others.list().length);
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
    this.#narrator?.drainKilled(rest);
    if (!gone) this.#narrator?.drainStuck();
  }

  #end(error: string | null): CommandEnd {
    const stats = this.#core.stats();
    for (const event of readEvents(this.#core, this.#buffer)) this.#handle(event);
    const end = decodeStatus(stats.status);
    const plain = plainExitCode(stats.status);
    const exitCode = this.#request?.options.remapExit.get(plain) ?? plain;
    if (stats.droppedEvents > 0)
      this.#narrator?.eventsLost(stats.droppedEvents, 'the ring was full');
    const { pid, reaped, forwarded } = stats;
    this.#narrator?.ended({ pid, exitCode, reaped, forwarded, ...end });
    return { pid, ...end, exitCode, reaped, error };
  }
}
