/** A baked plan, for people: `lychgate plan --show`. lychgate-pid1 reads it by itself. */
import { AT, checksum, Flag, HEAD, LONGEST, MAGIC, Mode, VERSION } from './layout';

/** Times in seconds. */
export interface ShownPlan {
  version: number;
  bytes: number;
  group: boolean;
  subreaper: boolean | 'auto';
  warnReaped: boolean;
  verbosity: number;
  parentDeathSignal: number;
  grace: number;
  drain: number;
  /** null = left as it is */
  nofile: number | null;
  /** Only what differs: signal received -> sent, 0 drops it. */
  rewrite: Record<string, number>;
  remapExit: Record<string, number>;
  /** What starts the Node process that stays; null = none does. */
  policy: string[] | null;
  /** null = given at the start */
  command: string[] | null;
}

const LAST_SIGNAL = 64;
const ALL_FLAGS = Object.values(Flag).reduce((all, flag) => all | flag, 0);

/** Why it is no plan that can be followed. */
export class PlanError extends Error {
  override name = 'PlanError';
}

/** @throws PlanError */
export function decodeBaked(bytes: Buffer): ShownPlan {
  const u32 = (at: number) => bytes.readUInt32LE(at);
  if (bytes.length < HEAD || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC)
    throw new PlanError('is no plan');
  if (u32(AT.version) !== VERSION)
    throw new PlanError(`is of version ${u32(AT.version)}, not ${VERSION}: make it anew`);
  if (u32(AT.size) !== bytes.length) throw new PlanError('is cut off or too long: make it anew');
  if (u32(AT.checksum) !== checksum(bytes))
    throw new PlanError('is damaged (its checksum is wrong): make it anew');
  if (u32(AT.mode) !== Mode.Baked) throw new PlanError('is no baked one (its mode is wrong)');
  if (bytes.length > LONGEST) throw new PlanError('is too long');

  const words = bytes.toString('utf8', HEAD).split('\0').slice(0, -1);
  const [forPolicy, forCommand] = [u32(AT.policy_words), u32(AT.command_words)];
  if (!isSound(bytes, words.length))
    throw new PlanError('holds values that cannot be: make it anew');
  const flags = u32(AT.flags);
  const seconds = (at: number) => Number(bytes.readBigInt64LE(at)) / 1e9;
  const nofile = Number(bytes.readBigInt64LE(AT.nofile));
  const auto = (flags & (Flag.Subreaper | Flag.NoSubreaper)) === 0;
  return {
    version: VERSION,
    bytes: bytes.length,
    group: (flags & Flag.Group) !== 0,
    subreaper: auto ? 'auto' : (flags & Flag.Subreaper) !== 0,
    warnReaped: (flags & Flag.WarnReaped) !== 0,
    verbosity: u32(AT.verbosity),
    parentDeathSignal: u32(AT.parent_death_signal),
    grace: seconds(AT.grace_ns),
    drain: seconds(AT.drain_ns),
    nofile: nofile < 0 ? null : nofile,
    rewrite: changes(bytes.subarray(AT.signal_map, AT.exit_map)),
    remapExit: changes(bytes.subarray(AT.exit_map, AT.exit_map + 256)),
    policy: (flags & Flag.Policy) === 0 ? null : words.slice(0, forPolicy),
    command: forCommand === 0 ? null : words.slice(forPolicy),
  };
}

/** As lg_plan_check of native/pid1/plan.c has it. */
function isSound(bytes: Buffer, words: number): boolean {
  const u32 = (at: number) => bytes.readUInt32LE(at);
  const i64 = (at: number) => bytes.readBigInt64LE(at);
  const policy = (u32(AT.flags) & Flag.Policy) !== 0;
  return (
    u32(AT.zero) === 0 &&
    (u32(AT.flags) & ~ALL_FLAGS) === 0 &&
    u32(AT.parent_death_signal) <= LAST_SIGNAL &&
    i64(AT.grace_ns) >= 0n &&
    i64(AT.drain_ns) >= 0n &&
    i64(AT.nofile) >= -1n &&
    bytes.subarray(AT.signal_map + 1, AT.exit_map).every((sig) => sig <= LAST_SIGNAL) &&
    bytes.subarray(AT.reserved, HEAD).every((byte) => byte === 0) &&
    words === u32(AT.policy_words) + u32(AT.command_words) &&
    bytes.length === (words === 0 ? HEAD : bytes.lastIndexOf(0) + 1) &&
    (!policy || u32(AT.policy_words) > 1)
  );
}

function changes(map: Buffer): Record<string, number> {
  return Object.fromEntries([...map.entries()].filter(([from, to]) => from !== to));
}
