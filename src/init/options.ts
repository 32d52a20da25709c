/**
 * What the init was asked to do: from the command line, then LYCHGATE_*, then
 * TINI_*. An earlier source wins over a later one, as a whole.
 */
import { parseArgs } from 'node:util';
import { toSeconds } from '../arguments';
import { isForwarded, parseSignal, sig } from '../signals';
import { DEFAULTS, type InitOptions, type LogFormat, NEGLECTED, type Neglected } from './defaults';
import { FLAG_LIST, FLAGS, type Flag, type FlagName } from './flags';

/** Bad input: one line that names the option or variable; exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export type Parsed =
  | {
      action: 'run';
      options: InitOptions;
      command: readonly string[];
      warnings: string[];
      /** Values of `more`. */
      extra: ReadonlyMap<string, string>;
    }
  | { action: 'help' | 'version' | 'license' };

type Given = { from: string; values: string[] };

export interface ParseSettings {
  /** For what nobody gave. */
  defaults?: InitOptions;
  /** Options that take a value, of a command that takes the init's options too. */
  more?: readonly string[];
  /** COMMAND may be missing. */
  withoutCommand?: boolean;
}

/**
 * @param argv what follows the program's own name
 * @throws UsageError
 */
export function parse(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  { defaults = DEFAULTS, more = [], withoutCommand = false }: ParseSettings = {},
): Parsed {
  const { given, command, extra } = readCommandLine(argv, more);
  for (const action of ['help', 'version', 'license'] as const) {
    if (given.has(action)) return { action };
  }
  const warnings = readEnvironment(given, env);
  const options = interpret(given, defaults);
  if (command.length === 0 && !withoutCommand) {
    throw new UsageError('no COMMAND given; usage: lychgate [options] [--] COMMAND [ARG...]');
  }
  return { action: 'run', options, command, warnings, extra };
}

/**
 * Options end at the first word that is none, as getopt's '+' has it: what
 * stands behind belongs to COMMAND. So the parser runs in tokens mode, and what
 * it made of COMMAND's own flags is not looked at.
 */
function readCommandLine(argv: readonly string[], more: readonly string[]) {
  const given = new Map<FlagName, Given>();
  const extra = new Map<string, string>();
  const known = FLAG_LIST.map(([name, flag]) => [
    name,
    {
      type: flag.kind === 'value' || flag.kind === 'list' ? 'string' : 'boolean',
      ...(flag.short ? { short: flag.short } : {}),
    } as const,
  ]);
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries([...known, ...more.map((name) => [name, { type: 'string' }])]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  let command: readonly string[] = [];
  for (const token of tokens) {
    if (token.kind === 'option-terminator') {
      command = argv.slice(token.index + 1);
      break;
    }
    if (token.kind === 'positional') {
      command = argv.slice(token.index);
      break;
    }
    if (!more.includes(token.name)) {
      take(given, token.name, token.rawName, token.value, token.inlineValue === true);
    } else if (token.value) {
      extra.set(token.name, token.value);
    } else {
      throw new UsageError(`${token.rawName} needs FILE`);
    }
  }
  return { given, command, extra };
}

function take(
  given: Map<FlagName, Given>,
  name: string,
  rawName: string,
  value: string | undefined,
  inline: boolean,
): void {
  const positive = name.replace(/^no-/, '');
  const known = Object.hasOwn(FLAGS, name) ? name : positive;
  const flag: Flag | undefined = Object.hasOwn(FLAGS, known) ? FLAGS[known as FlagName] : undefined;
  if (!flag || (known !== name && !flag.negatable)) {
    throw new UsageError(
      `unknown option ${rawName}; write -- before a COMMAND that starts with a dash, ` +
        'or see lychgate --help',
    );
  }
  const takesValue = flag.kind === 'value' || flag.kind === 'list';
  if (takesValue && value === undefined) throw new UsageError(`${rawName} needs ${flag.value}`);
  if (!takesValue && inline) throw new UsageError(`${rawName} takes no value`);
  const entry = given.get(known as FlagName);
  const text = takesValue ? (value as string) : known === name ? '1' : '0';
  if (entry) {
    entry.from = rawName;
    entry.values.push(text);
  } else {
    given.set(known as FlagName, { from: rawName, values: [text] });
  }
}

/** Fill in what the command line left open. Returns warnings about unknown variables. */
function readEnvironment(given: Map<FlagName, Given>, env: NodeJS.ProcessEnv): string[] {
  const known = new Set<string>();
  for (const [name, flag] of FLAG_LIST) {
    if (!flag.env) continue;
    known.add(flag.env);
    if (given.has(name)) continue;
    const own = env[flag.env];
    if (own !== undefined && own !== '') {
      const values = flag.kind === 'list' ? own.split(/[\s,]+/).filter(Boolean) : [own];
      given.set(name, { from: flag.env, values });
    } else if (flag.tini && env[flag.tini] !== undefined) {
      /* tini: a switch is on when its variable exists, whatever it holds */
      const value = flag.kind === 'switch' ? '1' : (env[flag.tini] ?? '');
      given.set(name, { from: flag.tini, values: [value] });
    }
  }
  return Object.keys(env)
    .filter((key) => key.startsWith('LYCHGATE_') && !known.has(key))
    .map((key) => `unknown variable ${key} is ignored; known are ${[...known].join(', ')}`);
}

/** What was given for each option, still as text, with where it came from. */
function interpret(given: ReadonlyMap<FlagName, Given>, defaults: InitOptions): InitOptions {
  const last = (name: FlagName) => given.get(name)?.values.at(-1);
  const from = (name: FlagName) => given.get(name)?.from ?? name;
  const read = <T>(name: FlagName, fallback: T, convert: (from: string, text: string) => T): T => {
    const text = last(name);
    return text === undefined ? fallback : convert(from(name), text);
  };
  return {
    subreaper: read<boolean | 'auto'>('subreaper', defaults.subreaper, toBoolean),
    group: read('group', defaults.group, toBoolean),
    rewrite: pairs(given.get('rewrite'), toRewrite),
    remapExit: pairs(given.get('remap-exit'), toRemap),
    parentDeathSignal: read('parent-death-signal', defaults.parentDeathSignal, toSignal),
    warnReaped: read('warn-reaped', defaults.warnReaped, toBoolean),
    graceMs: read('grace', defaults.graceMs, toMilliseconds),
    drainMs: read('drain', defaults.drainMs, toMilliseconds),
    neglected: read('neglected', defaults.neglected, toNeglected),
    neglectedAfterMs: read('neglected-after', defaults.neglectedAfterMs, toMilliseconds),
    nofile: read('nofile', defaults.nofile, toFileCount),
    watchFreezerMs: read('watch-freezer', defaults.watchFreezerMs, toMilliseconds),
    verbosity: toVerbosity(given.get('verbose'), defaults.verbosity),
    logFormat: read('log-format', defaults.logFormat, toLogFormat),
  };
}

/** Options of the library, by name, as the command line would have written them. */
export type OptionValues = { readonly [name in FlagName]?: unknown };

/**
 * The same checks for the library door.
 * @param values switches as booleans, lists as arrays of FROM:TO, the rest as written
 * @throws TypeError that names the option
 */
export function checkOptions(values: OptionValues): InitOptions {
  const given = new Map<FlagName, Given>();
  for (const [name] of FLAG_LIST) {
    const value = values[name];
    if (value === undefined) continue;
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    given.set(name, { from: camelCase(name), values: list.map(String) });
  }
  try {
    return interpret(given, DEFAULTS);
  } catch (error) {
    throw error instanceof UsageError ? new TypeError(`becomeInit: ${error.message}`) : error;
  }
}

function camelCase(name: FlagName): string {
  if (name === 'verbose') return 'verbosity';
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function toFileCount(from: string, text: string): number {
  return toCount(from, text, 0, 2 ** 31);
}

function toLogFormat(from: string, text: string): LogFormat {
  if (text === 'text' || text === 'json') return text;
  throw new UsageError(`${from} must be text or json, not '${text}'`);
}

function toNeglected(from: string, text: string): Neglected {
  const found = NEGLECTED.find((v) => v === text);
  if (found !== undefined) return found;
  throw new UsageError(`${from} must be ${NEGLECTED.join(', ')}, not '${text}'`);
}

function toVerbosity(g: Given | undefined, byDefault: number): number {
  if (!g) return byDefault;
  if (g.from.startsWith('-')) return byDefault + g.values.length;
  return toCount(g.from, g.values[0] as string, 0, 9);
}

function toBoolean(from: string, text: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new UsageError(`${from} must be 1 or 0, not '${text}'`);
}

const toMilliseconds = (from: string, text: string) =>
  toSeconds(from, text, UsageError, 1e8) * 1000;

function toCount(from: string, text: string, min: number, max: number): number {
  const n = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(n >= min && n <= max)) {
    throw new UsageError(`${from} must be a whole number from ${min} to ${max}, not '${text}'`);
  }
  return n;
}

function toSignal(from: string, text: string): number {
  const n = parseSignal(text);
  if (n === undefined) {
    throw new UsageError(
      `${from}: '${text}' is no signal; write a name (TERM, SIGTERM), a number (15), ` +
        'RTMIN+n or RTMAX-n',
    );
  }
  return n;
}

function pairs(
  g: Given | undefined,
  convert: (from: string, text: string) => readonly [number, number],
): ReadonlyMap<number, number> {
  return new Map(g?.values.map((text) => convert(g.from, text)));
}

function toRewrite(from: string, text: string): readonly [number, number] {
  const [left, right, ...rest] = text.split(':');
  if (!left || !right || rest.length > 0) {
    throw new UsageError(`${from} must be FROM:TO, such as TERM:QUIT or HUP:0, not '${text}'`);
  }
  const received = toSignal(from, left);
  if (!isForwarded(received)) {
    throw new UsageError(
      `${from} '${text}': ${left} is never forwarded, so there is nothing to rewrite`,
    );
  }
  return [received, right === '0' ? 0 : toSignal(from, right)];
}

function toRemap(from: string, text: string): readonly [number, number] {
  const [left, right, ...rest] = text.split(':');
  if (!left || right === '' || rest.length > 0) {
    throw new UsageError(`${from} must be FROM or FROM:TO, such as 143 or 143:0, not '${text}'`);
  }
  return [toCount(from, left, 0, 255), right === undefined ? 0 : toCount(from, right, 0, 255)];
}

/**
 * Signals that Node, not our parent, set to be ignored before we ran
 * (node.cc, ResetStdio and PlatformInit). COMMAND shall find them at default.
 */
export const IGNORED_BY_NODE = [sig('PIPE'), sig('XFSZ')] as const;
