/** InitOptions -> the bytes that lychgate-pid1 follows. */
import { exitMap, type InitOptions, signalMap } from '../init/options';
import { AT, checksum, Flag, HEAD, MAGIC, Mode, needsPolicy, VERSION } from './layout';

/** COMMAND's first word among the words of lychgate-pid1, its own name being 0. */
export function encodeLive(options: InitOptions, firstWord: number): Buffer {
  return encode(options, Mode.Live, firstWord, [], []);
}

/**
 * @param policy what starts the policy process; used when an option needs one
 * @param command COMMAND; empty = it is given at the start
 */
export function encodeBaked(
  options: InitOptions,
  policy: readonly (string | Buffer)[],
  command: readonly (string | Buffer)[],
): Buffer {
  const kept = needsPolicy(options).length > 0 ? policy : [];
  return encode(options, Mode.Baked, 0, kept, command);
}

function encode(
  options: InitOptions,
  mode: number,
  firstWord: number,
  policy: readonly (string | Buffer)[],
  command: readonly (string | Buffer)[],
): Buffer {
  const words = [...policy, ...command].flatMap((word) => [Buffer.from(word), Buffer.alloc(1)]);
  const bytes = Buffer.concat([Buffer.alloc(HEAD), ...words]);
  bytes.write(MAGIC, AT.magic, 'latin1');
  bytes.writeUInt32LE(VERSION, AT.version);
  bytes.writeUInt32LE(bytes.length, AT.size);
  bytes.writeUInt32LE(mode, AT.mode);
  bytes.writeUInt32LE(flags(options), AT.flags);
  bytes.writeUInt32LE(options.verbosity, AT.verbosity);
  bytes.writeUInt32LE(options.parentDeathSignal, AT.parent_death_signal);
  bytes.writeBigInt64LE(nanoseconds(options.graceMs), AT.grace_ns);
  bytes.writeBigInt64LE(nanoseconds(options.drainMs), AT.drain_ns);
  bytes.writeBigInt64LE(BigInt(options.nofile), AT.nofile);
  bytes.writeUInt32LE(firstWord, AT.first_word);
  bytes.writeUInt32LE(policy.length, AT.policy_words);
  bytes.writeUInt32LE(command.length, AT.command_words);
  bytes.set(signalMap(options.rewrite), AT.signal_map);
  bytes.set(exitMap(options.remapExit), AT.exit_map);
  bytes.writeBigUInt64LE(checksum(bytes.subarray(AT.mode)), AT.checksum);
  return bytes;
}

const nanoseconds = (ms: number) => BigInt(Math.round(ms * 1e6));

function flags(options: InitOptions): number {
  const { subreaper } = options;
  let flags = 0;
  if (options.group) flags |= Flag.Group;
  if (subreaper === true) flags |= Flag.Subreaper;
  if (subreaper === false) flags |= Flag.NoSubreaper;
  if (options.warnReaped) flags |= Flag.WarnReaped;
  if (needsPolicy(options).length > 0) flags |= Flag.Policy;
  if (options.logFormat === 'json') flags |= Flag.Events;
  return flags;
}
