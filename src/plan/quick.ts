/**
 * A live plan without the parser, which costs as much as all the rest between Node's
 * first line and COMMAND: the default plan, made when we are built, with what the options
 * change in it. Only what is written in the most common way is known here; of anything
 * else, a mistake too, it says false, and asked.ts is the one to ask. A test holds the two
 * to the same bytes. All of it runs once and cold, where a class or a view more costs
 * V8 as much as the work itself.
 */
import { LEAN_DEFAULTS } from '../init/defaults';
import { isForwarded, parseSignal } from '../signals';
import { AT, checksum, Flag } from './layout';

function change(plan: Uint32Array, sets: number, clears: number): true {
  plan[AT.flags / 4] = ((plan[AT.flags / 4] as number) & ~clears) | sets;
  return true;
}

/** @returns whether it is an option without a value */
function turn(plan: Uint32Array, name: string): boolean {
  switch (name) {
    case 'g':
    case 'group':
      return change(plan, Flag.Group, 0);
    case 'no-group':
      return change(plan, 0, Flag.Group);
    case 's':
    case 'subreaper':
      return change(plan, Flag.Subreaper, Flag.NoSubreaper);
    case 'no-subreaper':
      return change(plan, Flag.NoSubreaper, Flag.Subreaper);
    case 'w':
    case 'warn-reaped':
      return change(plan, Flag.WarnReaped, 0);
    case 'no-warn-reaped':
      return change(plan, 0, Flag.WarnReaped);
    case 'v':
    case 'verbose':
      plan[AT.verbosity / 4] = (plan[AT.verbosity / 4] as number) + 1;
      return true;
    default:
      return false;
  }
}

/** @returns NaN for what is written in any other way */
function number(text: string): number {
  for (let i = 0; i < text.length; i++)
    if (!'0123456789.'.includes(text[i] as string)) return Number.NaN;
  return text.length > 0 && text.length <= 10 ? Number(text) : Number.NaN;
}

/** Both processors we run on are little-endian, as the plan is. */
function i64(plan: Uint32Array, at: number, value: number): true {
  plan[at / 4] = value;
  plan[at / 4 + 1] = Math.floor(value / 2 ** 32);
  return true;
}

function seconds(plan: Uint32Array, at: number, text: string): boolean {
  const n = number(text);
  return n <= 1e6 && i64(plan, at, Math.round(n * 1000 * 1e6));
}

function map(plan: Uint32Array, at: number, to: number): true {
  new Uint8Array(plan.buffer)[at] = to;
  return true;
}

function remap(plan: Uint32Array, text: string): boolean {
  const colon = text.indexOf(':');
  const left = colon < 0 ? text : text.slice(0, colon);
  const right = colon < 0 ? '0' : text.slice(colon + 1);
  if (left.includes('.') || right.includes('.')) return false;
  const [from, to] = [number(left), number(right)];
  return from <= 255 && to <= 255 && map(plan, AT.exit_map + from, to);
}

function rewrite(plan: Uint32Array, text: string): boolean {
  const colon = text.indexOf(':');
  const from = parseSignal(text.slice(0, colon)) ?? 0;
  const right = text.slice(colon + 1);
  const to = right === '0' ? 0 : parseSignal(right);
  if (colon < 0 || !isForwarded(from) || to === undefined) return false;
  return map(plan, AT.signal_map + from, to);
}

function set(plan: Uint32Array, name: string, text: string): boolean {
  switch (name) {
    case 'grace':
      return seconds(plan, AT.grace_ns, text);
    case 'drain':
      return seconds(plan, AT.drain_ns, text);
    case 'e':
    case 'remap-exit':
      return remap(plan, text);
    case 'r':
    case 'rewrite':
      return rewrite(plan, text);
    case 'p':
    case 'parent-death-signal':
      plan[AT.parent_death_signal / 4] = parseSignal(text) ?? 0;
      return plan[AT.parent_death_signal / 4] !== 0;
    case 'neglected':
      if (text === 'ignore') return change(plan, 0, Flag.Policy);
      return (text === 'warn' || text === 'reap') && change(plan, Flag.Policy, 0);
    case 'log-format':
      if (text === 'text') return change(plan, 0, Flag.Events);
      return text === 'json' && change(plan, Flag.Events, 0);
    case 'nofile':
      return !text.includes('.') && number(text) < 1e9 && i64(plan, AT.nofile, +text);
    default:
      return false;
  }
}

function level(plan: Uint32Array, text: string): boolean {
  plan[AT.verbosity / 4] = +text;
  return text.length === 1 && number(text) >= 0;
}

/** LYCHGATE_LOG_FORMAT: log-format */
const optionOf = (name: string) => name.slice(9).toLowerCase().replaceAll('_', '-');

function variable(plan: Uint32Array, name: string, text: string): boolean {
  switch (name) {
    case 'LYCHGATE_GROUP':
    case 'LYCHGATE_SUBREAPER':
    case 'LYCHGATE_WARN_REAPED':
      if (text === '0') return turn(plan, `no-${optionOf(name)}`);
      return text === '1' && turn(plan, optionOf(name));
    case 'LYCHGATE_GRACE':
    case 'LYCHGATE_DRAIN':
    case 'LYCHGATE_NEGLECTED':
    case 'LYCHGATE_NOFILE':
    case 'LYCHGATE_LOG_FORMAT':
    case 'LYCHGATE_PARENT_DEATH_SIGNAL':
      return set(plan, optionOf(name), text);
    case 'LYCHGATE_REMAP_EXIT':
    case 'LYCHGATE_REWRITE':
      return text.split(',').every((one) => set(plan, optionOf(name), one));
    case 'LYCHGATE_VERBOSITY':
    case 'TINI_VERBOSITY':
      return level(plan, text);
    case 'TINI_SUBREAPER':
      return turn(plan, 'subreaper');
    case 'TINI_KILL_PROCESS_GROUP':
      return turn(plan, 'group');
    default:
      return name.startsWith('TINI_');
  }
}

/**
 * @param words behind lychgate-pid1's own name
 * @param variables of the environment: the names of those that are for us
 * @param plan that for COMMAND alone; it is changed
 * @returns whether it is what the words ask for
 */
export function quickPlan(
  words: readonly string[],
  variables: readonly string[],
  env: NodeJS.ProcessEnv,
  plan: Uint32Array,
): boolean {
  let lists = false;
  /* what counts more comes later: TINI_, then LYCHGATE_, then the command line */
  for (const name of variables.toSorted().reverse()) {
    if (!variable(plan, name, env[name] as string)) return false;
    if (name === 'LYCHGATE_REMAP_EXIT' || name === 'LYCHGATE_REWRITE') lists = true;
  }
  const give = (name: string, value: string | undefined) =>
    value !== undefined &&
    /* a list of the command line takes the place of a whole one */
    !(lists && (name[0] === 'e' || name[0] === 'r')) &&
    set(plan, name, value);

  const verbosity = plan[AT.verbosity / 4] as number;
  plan[AT.verbosity / 4] = LEAN_DEFAULTS.verbosity;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] as string;
    if (word.length < 2 || word[0] !== '-') break;
    if (word === '--') {
      at++;
      break;
    }
    if (word[1] === '-') {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      if (name.length < 2) return false;
      if (equals < 0 && turn(plan, name)) continue;
      if (!give(name, equals < 0 ? words[++at] : word.slice(equals + 1))) return false;
    } else {
      /* one after another: -gv is two, -e143 is one and its value */
      let letter = 1;
      while (letter < word.length && turn(plan, word[letter] as string)) letter++;
      if (letter === word.length) continue;
      if (!give(word[letter] as string, word.slice(letter + 1) || words[++at])) return false;
    }
  }
  /* what happens is told by the process that stays */
  if (((plan[AT.flags / 4] as number) & Flag.Events) !== 0) change(plan, Flag.Policy, 0);
  if (plan[AT.verbosity / 4] === LEAN_DEFAULTS.verbosity) plan[AT.verbosity / 4] = verbosity;
  plan[AT.first_word / 4] = at + 1;
  plan[AT.checksum / 4] = checksum(new Uint8Array(plan.buffer));
  return at < words.length;
}
