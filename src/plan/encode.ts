/** InitOptions -> the bytes that lychgate-pid1 follows. */
import { exitMap, type InitOptions, signalMap } from '../init/defaults';
import { AT, checksum, Flag, HEAD, MAGIC, Mode, needsPolicy, VERSION } from './layout';

/** COMMAND's first word among the words of lychgate-pid1, its own name being 0. */
export function encodeLive(options: InitOptions, firstWord: number): Uint8Array {
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
): Uint8Array {
  const kept = needsPolicy(options).length > 0 ? policy : [];
  return encode(options, Mode.Baked, 0, kept, command);
}

function encode(
  options: InitOptions,
  mode: number,
  firstWord: number,
  policy: readonly (string | Buffer)[],
  command: readonly (string | Buffer)[],
): Uint8Array {
  const words = [...policy, ...command].map((word) => Buffer.from(word));
  const size = words.reduce((sum, word) => sum + word.length + 1, HEAD);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  /* by halves: BigInt takes V8 longer than all the rest of this; -1 is all ones */
  const i64 = (at: number, value: number) => {
    u32(at, value);
    u32(at + 4, Math.floor(value / 2 ** 32));
  };
  for (let i = 0; i < MAGIC.length; i++) bytes[AT.magic + i] = MAGIC.charCodeAt(i);
  u32(AT.version, VERSION);
  u32(AT.size, size);
  u32(AT.mode, mode);
  u32(AT.flags, flags(options));
  u32(AT.verbosity, options.verbosity);
  u32(AT.parent_death_signal, options.parentDeathSignal);
  i64(AT.grace_ns, Math.round(options.graceMs * 1e6));
  i64(AT.drain_ns, Math.round(options.drainMs * 1e6));
  i64(AT.nofile, options.nofile);
  u32(AT.first_word, firstWord);
  u32(AT.policy_words, policy.length);
  u32(AT.command_words, command.length);
  bytes.set(signalMap(options.rewrite), AT.signal_map);
  bytes.set(exitMap(options.remapExit), AT.exit_map);
  let at = HEAD;
  for (const word of words) {
    bytes.set(word, at);
    at += word.length + 1; /* NUL */
  }
  u32(AT.checksum, checksum(bytes));
  return bytes;
}

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
