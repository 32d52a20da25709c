/**
 * struct lg_plan of native/pid1/plan.h: where each field lies. Little endian. A test
 * compares this with the struct.
 */
import type { InitOptions } from '../init/defaults';

export const MAGIC = 'LYCHPLAN';
export const VERSION = 1;
/** Bytes of the struct; the words of a baked plan stand behind it. */
export const HEAD = 408;
/** LG_PLAN_MAX */
export const LONGEST = 1024 * 1024;
export const DEFAULT_FILE = '/etc/lychgate.plan';

export const Mode = { Live: 1, Baked: 2 } as const;

export const Flag = {
  Group: 1,
  Subreaper: 2,
  NoSubreaper: 4,
  WarnReaped: 8,
  Policy: 16,
  Events: 32,
} as const;

export const AT = {
  magic: 0,
  version: 8,
  size: 12,
  checksum: 16,
  zero: 20,
  mode: 24,
  flags: 28,
  verbosity: 32,
  parent_death_signal: 36,
  grace_ns: 40,
  drain_ns: 48,
  nofile: 56,
  first_word: 64,
  policy_words: 68,
  command_words: 72,
  signal_map: 76,
  exit_map: 141,
  reserved: 397,
} as const;

/**
 * Of all from `mode` on. FNV-1a, 32 bits: against damage, not against people. It runs
 * cold, where to look up Math.imul each time takes as long as the rest.
 */
export function checksum(plan: Uint8Array): number {
  const { imul } = Math;
  const { length } = plan;
  let hash = 0x811c9dc5;
  for (let i = AT.mode; i < length; i++) hash = imul(hash ^ (plan[i] as number), 0x01000193);
  return hash >>> 0;
}

/** Which options need a Node process that stays beside PID 1, as they are written. */
export function needsPolicy(options: InitOptions): string[] {
  const found: string[] = [];
  if (options.neglected !== 'ignore') found.push(`--neglected=${options.neglected}`);
  if (options.watchFreezerMs > 0) found.push('--watch-freezer');
  if (options.logFormat === 'json') found.push('--log-format=json');
  return found;
}
