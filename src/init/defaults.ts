/**
 * What the init is asked to do, and what it does unasked. Apart from the parsing, which
 * most starts of lychgate-pid1 do without: see plan/quick.ts.
 */

export type LogFormat = 'text' | 'json';
export const NEGLECTED = ['warn', 'reap', 'ignore'] as const;
export type Neglected = (typeof NEGLECTED)[number];

export interface InitOptions {
  /** 'auto': when we are not PID 1. */
  subreaper: boolean | 'auto';
  group: boolean;
  /** Signal received -> signal sent; 0 drops it. */
  rewrite: ReadonlyMap<number, number>;
  /** COMMAND's exit code -> ours. */
  remapExit: ReadonlyMap<number, number>;
  /** 0 = none */
  parentDeathSignal: number;
  warnReaped: boolean;
  /** 0 = off */
  graceMs: number;
  /** 0 = off */
  drainMs: number;
  /** Zombies whose living parent does not wait. */
  neglected: Neglected;
  /** When they count as such. */
  neglectedAfterMs: number;
  /** Soft RLIMIT_NOFILE for COMMAND, -1 = leave. */
  nofile: number;
  /** How often to look whether we were frozen; 0 = off */
  watchFreezerMs: number;
  /** 0 errors, 1 warnings, 2 info, 3 debug */
  verbosity: number;
  logFormat: LogFormat;
}

export const DEFAULTS: InitOptions = {
  subreaper: 'auto',
  group: false,
  rewrite: new Map(),
  remapExit: new Map(),
  parentDeathSignal: 0,
  warnReaped: false,
  graceMs: 0,
  drainMs: 0,
  neglected: 'warn',
  neglectedAfterMs: 60_000,
  nofile: -1,
  watchFreezerMs: 0,
  verbosity: 1,
  logFormat: 'text',
};

/**
 * Of lychgate-pid1: looking for neglected zombies needs a Node process that stays, and so
 * has to be asked for.
 */
export const LEAN_DEFAULTS: InitOptions = { ...DEFAULTS, neglected: 'ignore' };

/** Table for the core: 65 bytes, signal received -> signal sent. */
export function signalMap(rewrite: ReadonlyMap<number, number>): Uint8Array {
  const map = identity(65);
  for (const [from, to] of rewrite) map[from] = to;
  return map;
}

/** Table for the core: 256 bytes, COMMAND's exit code -> ours. */
export function exitMap(remap: ReadonlyMap<number, number>): Uint8Array {
  const map = identity(256);
  for (const [from, to] of remap) map[from] = to;
  return map;
}

function identity(length: number): Uint8Array {
  const map = new Uint8Array(length);
  for (let n = 0; n < length; n++) map[n] = n;
  return map;
}
