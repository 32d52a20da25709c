/**
 * A live plan without the parser, which costs as much as all the rest between Node's
 * first line and COMMAND: the default plan, made when we are built, with what the options
 * change in it. Only what is written in the most common way is known here; of anything
 * else, a mistake too, it says false, and asked.ts is the one to ask. A test holds the two
 * to the same bytes. All of it runs once and cold, where a class or a view more costs
 * V8 as much as the work itself.
 */
import { LEAN_DEFAULTS } from '../init/defaults';
import { isForwarded, parseSignal, plainSignal } from '../signals';
import { AT, checksum, Flag } from './layout';

function change(plan: Uint32Array, sets: number, clears: number): true {
  plan[AT.flags / 4] = ((plan[AT.flags / 4] as number) & ~clears) | sets;
  return true;
}

/** @returns whether it is a switch */
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

/** 0 = there is none; expressions, which V8 compiles first, only for what is no plain name. */
function signal(text: string): number {
  return plainSignal(text) || (parseSignal(text) ?? 0);
}

function rewrite(plan: Uint32Array, text: string): boolean {
  const colon = text.indexOf(':');
  const from = signal(text.slice(0, colon));
  const right = text.slice(colon + 1);
  const to = signal(right);
  if (colon < 0 || !isForwarded(from) || (to === 0 && right !== '0')) return false;
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
      plan[AT.parent_death_signal / 4] = signal(text);
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

function turnTo(plan: Uint32Array, name: string, text: string): boolean {
  if (text === '0') return turn(plan, `no-${name}`);
  return text === '1' && turn(plan, name);
}

function level(plan: Uint32Array, text: string): boolean {
  plan[AT.verbosity / 4] = +text;
  return text.length === 1 && number(text) >= 0;
}

function list(plan: Uint32Array, name: string, text: string): boolean {
  for (const one of text.split(',')) if (!set(plan, name, one)) return false;
  return true;
}

function variable(plan: Uint32Array, name: string, text: string): boolean {
  switch (name) {
    case 'LYCHGATE_GROUP':
      return turnTo(plan, 'group', text);
    case 'LYCHGATE_SUBREAPER':
      return turnTo(plan, 'subreaper', text);
    case 'LYCHGATE_WARN_REAPED':
      return turnTo(plan, 'warn-reaped', text);
    case 'LYCHGATE_VERBOSITY':
      return level(plan, text);
    case 'LYCHGATE_GRACE':
      return set(plan, 'grace', text);
    case 'LYCHGATE_DRAIN':
      return set(plan, 'drain', text);
    case 'LYCHGATE_NEGLECTED':
      return set(plan, 'neglected', text);
    case 'LYCHGATE_NOFILE':
      return set(plan, 'nofile', text);
    case 'LYCHGATE_LOG_FORMAT':
      return set(plan, 'log-format', text);
    case 'LYCHGATE_PARENT_DEATH_SIGNAL':
      return set(plan, 'p', text);
    case 'LYCHGATE_REMAP_EXIT':
      return list(plan, 'e', text);
    case 'LYCHGATE_REWRITE':
      return list(plan, 'r', text);
    case 'TINI_SUBREAPER':
      return turn(plan, 'subreaper');
    case 'TINI_KILL_PROCESS_GROUP':
      return turn(plan, 'group');
    case 'TINI_VERBOSITY':
      return level(plan, text);
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
  let verbose = 0;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] as string;
    if (word.length < 2 || word[0] !== '-') break;
    if (word === '--') {
      at++;
      break;
    }
    const long = word[1] === '-';
    const equals = long ? word.indexOf('=', 4) : -1;
    /* short ones one after another: -gv is two, -e143 is one and its value */
    for (let from = long ? 2 : 1; from < word.length; from++) {
      const to = equals > 0 ? equals : long ? word.length : from + 1;
      const name = word.slice(from, to);
      if (long && name.length < 2) return false;
      if (equals < 0 && (name === 'v' || name === 'verbose')) verbose++;
      else if (equals > 0 || !turn(plan, name)) {
        const rest = equals > 0 ? equals + 1 : to;
        const value = equals > 0 || rest < word.length ? word.slice(rest) : words[++at];
        if (value === undefined || !set(plan, name, value)) return false;
        /* a list of the command line takes the place of a whole one */
        if (lists && (name[0] === 'e' || name[0] === 'r')) return false;
        break;
      }
      if (long) break;
    }
  }
  /* what happens is told by the process that stays */
  if (((plan[AT.flags / 4] as number) & Flag.Events) !== 0) change(plan, Flag.Policy, 0);
  if (verbose > 0) plan[AT.verbosity / 4] = LEAN_DEFAULTS.verbosity + verbose;
  plan[AT.first_word / 4] = at + 1;
  plan[AT.checksum / 4] = checksum(new Uint8Array(plan.buffer), AT.mode);
  return at < words.length;
}
