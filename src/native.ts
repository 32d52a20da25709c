/**
 * The only typed door to the addon (native/addon.cc). Nothing else requires it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { arch } from 'node:process';

/** struct lg_config; times in milliseconds. */
export interface CoreConfig {
  /** 65 bytes: signal received -> signal sent, 0 drops it. */
  signalMap: Uint8Array;
  /** 256 bytes: COMMAND's exit code -> ours. */
  exitMap: Uint8Array;
  group: boolean;
  subreaper: boolean;
  reportReaped: boolean;
  reportForwarded: boolean;
  /** 0 = none */
  parentDeathSignal: number;
  /** 0 = never */
  graceMs: number;
  /** 0 = never: the core does not leave by itself. */
  exitDeadlineMs: number;
}

export interface SpawnRequest {
  /** Program first. A Buffer holds what is not UTF-8. At least one. */
  argv: readonly (string | Buffer)[];
  /** `NAME=value`; null = the environment of this process, byte for byte. */
  env: readonly string[] | null;
  /** Descriptors above 2 to pass on; null = close none that is not marked to close. */
  fds: readonly number[] | null;
  /** Soft RLIMIT_NOFILE of the child, -1 = leave. */
  nofile: number;
}

export interface SpawnResult {
  /** 0 when no process was made. */
  pid: number;
  /** 0 = COMMAND runs. */
  errno: number;
  /** The text of errno, null when it is 0. */
  error: string | null;
  step: 'clone' | 'getrlimit' | 'setrlimit' | 'exec' | null;
  /** It was given the terminal's foreground. */
  foreground: boolean;
}

export interface CoreStats {
  /** Orphans; COMMAND is not counted. */
  reaped: number;
  forwarded: number;
  /** Events the full ring could not take. */
  droppedEvents: number;
  /** Signals beyond the 64 that are kept before COMMAND runs. */
  droppedSignals: number;
  pid: number;
  ended: boolean;
  /** As waitpid(2) gives it; valid when ended. */
  status: number;
  stopped: boolean;
}

/** Functions that return a number return an errno, 0 = done. */
export interface Core {
  readonly eventSize: number;
  /** Take the signal handlers over. Throws when taken already or off the main thread. */
  arm(onWake: () => void, runtimeIgnored: readonly number[]): void;
  /** Before spawn. Throws with the name of the system call that failed. */
  configure(config: CoreConfig): void;
  spawn(what: SpawnRequest): SpawnResult;
  /** Fill the buffer with records of eventSize bytes; returns how many. */
  drain(into: Buffer): number;
  stats(): CoreStats;
  wakeOnReap(on: boolean): void;
  /** Counted from now; 0 = the core never leaves by itself. */
  setExitDeadline(ms: number): number;
  /** Stop as a job of the shell above; false when nobody could continue us. */
  suspend(signal: number): boolean;
  /** kill(-1), for PID 1 alone (EPERM elsewhere). */
  signalAll(signal: number): number;
  /** Only if pid still is the process that started at startTicks (else ESRCH). */
  signalExact(pid: number, startTicks: number, signal: number): number;
  /** Give every handler back. */
  disarm(): void;
  /** Hand the terminal back and _exit. */
  finish(code: number): never;
}

/**
 * Every process of one look at /proc: row i of each column is the same process.
 * Rows ascend by pid.
 */
export interface ProcessColumns {
  /** Rows. */
  readonly count: number;
  readonly pid: Int32Array;
  /** 0 = a parent that this /proc does not show. */
  readonly ppid: Int32Array;
  readonly pgrp: Int32Array;
  readonly session: Int32Array;
  /** Character code of R, S, D, Z, T, t, X, I ... */
  readonly state: Uint8Array;
  readonly threads: Int32Array;
  /** PF_* of the kernel. */
  readonly flags: Uint32Array;
  /** User and system time, clock ticks. */
  readonly cpuTicks: Float64Array;
  /** Clock ticks since boot, exact below 2^53. */
  readonly startTicks: Float64Array;
  /** As waitpid(2) gives it; 0 also when we are not permitted to know. */
  readonly exitCode: Int32Array;
  /** 16 bytes a row, padded with NUL. */
  readonly comm: Buffer;
  /** Gone between the listing and the read. */
  readonly vanished: number;
  /** Any other error; the first one's errno stands in unreadableErrno, else 0. */
  readonly unreadable: number;
  readonly unreadableErrno: number;
  /** Read, but not a stat line of that pid. */
  readonly malformed: number;
}

export interface ScanCore {
  /**
   * Read DIR/PID/stat of every process. Blocks the loop: some 10 us a process.
   * Throws with errno and code when DIR itself cannot be read.
   */
  scanProc(dir: string): ProcessColumns;
}

/** What became of one zombie (enum lg_zombie_outcome). */
export enum PreapOutcome {
  /** Not tried: refused, or the time was over. */
  Left,
  Reaped,
  /** Not there any more: its parent was quicker. */
  Gone,
  /** The pid is another process now, or no zombie. */
  Changed,
  /** wait4 did not give it: another's child, or a tracer must wait for it first. */
  Kept,
}

/** Why nothing, or nothing more, was done (enum lg_refusal). */
export type PreapRefusal =
  | 'vanished'
  | 'permission'
  | 'traced'
  | 'stopped'
  | 'deaf'
  | 'foreign'
  | 'seccomp'
  | 'seccomp-unknown'
  | 'no-room'
  | 'busy'
  | 'stuck'
  | 'failed';

/** The zombies are rows: pids[i], inner[i] and starts[i] are the same one. */
export interface PreapRequest {
  parent: number;
  /** Start of the parent, clock ticks since boot. */
  parentStart: number;
  /** The parent descends from this process, and so has its seccomp filters. */
  descends: boolean;
  /** Begin no round after this time. */
  limitMs: number;
  /** As /proc shows them. */
  pids: Int32Array;
  /** As the parent's own PID namespace has them. */
  inner: Int32Array;
  starts: Float64Array;
}

export interface PreapResult {
  refusal: PreapRefusal | null;
  /** 0 unless a system call failed; then error is its text and step its name. */
  errno: number;
  error: string | null;
  step: string | null;
  /** How often a thread of the parent was stopped. */
  rounds: number;
  reaped: number;
  /** The longest it stood still, and the sum. */
  longestMs: number;
  totalMs: number;
  /** PreapOutcome of each row. */
  outcomes: Uint8Array;
}

export interface PreapCore {
  /** Make a parent reap its zombies. Blocks until done; the core goes on meanwhile. */
  preap(what: PreapRequest): PreapResult;
  /**
   * Make the process that does it now, and keep it: later the zombies may have used up
   * the limit of processes. false ends it. Returns an errno, 0 = done.
   */
  keepPreap(yes: boolean): number;
}

export enum EventKind {
  Reaped = 1,
  MainEnded,
  MainStopped,
  MainContinued,
  Forwarded,
  Dropped,
  Late,
  GraceOver,
}

/** struct lg_event. */
export interface CoreEvent {
  kind: EventKind;
  pid: number;
  /** As waitpid(2) gives it. */
  status: number;
  signal: number;
  sent: number;
  errno: number;
  /** 0 = the kernel. */
  sender: number;
  /** CLOCK_BOOTTIME, seconds. */
  time: number;
  /** Seconds since boot when the process started; 0 = unknown. */
  started: number;
  comm: string;
}

/** USER_HZ, the same on every Linux port we run on. */
export const TICKS_PER_SECOND = 100;

/** Read the events that wait, oldest first; may be called when there are none. */
export function* readEvents(core: Core, buffer: Buffer): Generator<CoreEvent> {
  const capacity = Math.floor(buffer.length / core.eventSize);
  for (;;) {
    const n = core.drain(buffer);
    for (let i = 0; i < n; i++) yield decodeEvent(buffer.subarray(i * core.eventSize));
    if (n < capacity) return;
  }
}

/** struct lg_event, of at least 64 bytes. */
export function decodeEvent(b: Buffer): CoreEvent {
  const end = b.indexOf(0, 48);
  return {
    kind: b.readUInt32LE(0),
    pid: b.readInt32LE(4),
    status: b.readInt32LE(8),
    signal: b.readInt32LE(12),
    sent: b.readInt32LE(16),
    errno: b.readInt32LE(20),
    sender: b.readInt32LE(24),
    time: Number(b.readBigUInt64LE(32)) / 1e9,
    started: Number(b.readBigUInt64LE(40)) / TICKS_PER_SECOND,
    comm: b.toString('latin1', 48, end < 48 || end > 64 ? 64 : end),
  };
}

/**
 * Where the addon may lie, seen from dist/: built here, or shipped ready-made.
 * A short list instead of a search, and no environment variable steers it: this
 * is the first code that PID 1 loads.
 */
function candidates(): string[] {
  const root = join(__dirname, '..');
  return [
    join(root, 'build', 'Release', 'lychgate.node'),
    join(root, 'prebuilds', `linux-${arch}`, `lychgate.${libcOfNode()}.node`),
  ];
}

/** Of this Node, not of the image: Node of the image layer brings a glibc along to Alpine. */
function libcOfNode(): 'glibc' | 'musl' {
  const loader = `/lib/ld-musl-${arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`;
  if (!existsSync(loader)) return 'glibc';
  return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-') ? 'musl' : 'glibc';
}

type Addon = Core & ScanCore & PreapCore;

let loaded: Addon | undefined;

/** Load the addon. Throws one error that says where it looked and how to build it. */
export function loadCore(): Core {
  return loadAddon();
}

/** The same addon, for those who only look. Throws as loadCore does. */
export function loadScanCore(): ScanCore {
  return loadAddon();
}

/** The same addon, for those who reap. Throws as loadCore does. */
export function loadPreapCore(): PreapCore {
  return loadAddon();
}

function loadAddon(): Addon {
  if (loaded) return loaded;
  const tried: string[] = [];
  for (const file of candidates()) {
    if (!existsSync(file)) {
      tried.push(`${file}: not there`);
      continue;
    }
    try {
      loaded = require(file) as Addon;
      return loaded;
    } catch (error) {
      tried.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const musl = libcOfNode() === 'musl';
  throw new Error(
    `the native addon does not load (${tried.join('; ')}). ` +
      'Build it where a C++ compiler is: npm explore lychgate -- npm run build:native' +
      (musl ? '; or take lychgate-pid1 or the image layer, which need no addon for musl' : ''),
  );
}
