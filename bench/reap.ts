/**
 * Reaping a living parent's zombies: Lychgate beside gdb, which calls waitpid for each
 * in one attach, as operators do it. In turn, in one run, on the same parent, which
 * measures itself how long it stood still (standstill.c).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { PreapCore } from '../src/native';
import { parseStat } from '../src/procfs/stat';
import type { FamilyReport } from '../src/reap/model';
import {
  BUILD,
  CLI,
  installed,
  median,
  numbers,
  print,
  quick,
  ROOT,
  running,
  save,
} from './support';

const rounds = quick ? 5 : 15;
const slowRounds = quick ? 1 : 5;
const QUIET_MS = 300;
const CALM_US = 300;
const MOST_MS = 1; /* what one standstill of ours may take */

type Figures = Record<string, number>;
/** @returns what the tool says of itself */
type Reap = (parent: number, zombies: readonly number[]) => Figures | Promise<Figures>;
interface Tool {
  name: string;
  reap: Reap;
  /** Takes seconds for a thousand: fewer rounds of that. */
  slow?: true;
}

const addon = join(ROOT, 'build', 'Release', 'lychgate.node');
const core = createRequire(import.meta.url)(addon) as PreapCore;

function statOf(pid: number) {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}
const start = (pid: number) => statOf(pid)?.startTicks ?? 0;

/** The core in this process, which has no program to start. */
function inside(parent: number, zombies: readonly number[]): Figures {
  const pids = Int32Array.from(zombies);
  const r = core.preap({
    parent,
    parentStart: start(parent),
    descends: true,
    limitMs: 60_000,
    pids,
    inner: pids,
    starts: Float64Array.from(zombies, start),
  });
  if (r.refusal) throw new Error(`lychgate: ${r.refusal}, ${r.step ?? ''} ${r.error ?? ''}`);
  return { stops: r.rounds, ownLongestMs: r.longestMs, ownSumMs: r.totalMs };
}

function command(parent: number): Figures {
  const words = ['reap', '--min-age', '0', '--force', '--format', 'json', String(parent)];
  const report: unknown = numbers([process.execPath, CLI, ...words]);
  const [family] = (report as { families: FamilyReport[] }).families;
  if (!family) throw new Error('lychgate reap: found no zombies');
  return { stops: family.rounds, ownLongestMs: family.longestMs, ownSumMs: family.totalMs };
}

function gdb(parent: number, zombies: readonly number[]): Figures {
  const commands = join(BUILD, 'reap.gdb');
  writeFileSync(commands, zombies.map((pid) => `call (int)waitpid(${pid}, 0, 1)\n`).join(''));
  const argv = ['-nx', '-batch', '-p', String(parent), '-x', commands];
  const r = spawnSync('gdb', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  rmSync(commands);
  if (r.status !== 0) throw new Error(`gdb: exit ${r.status ?? r.signal}: ${r.stderr}`);
  return {};
}

const nobody: Tool = { name: 'nobody', reap: () => wait(QUIET_MS).then(() => ({})) };
const ours: Tool = { name: 'lychgate, its core', reap: inside };
const whole: Tool = { name: 'lychgate reap', reap: command };
const theirs: Tool = { name: 'gdb, a call for each', reap: gdb, slow: true };
const tools = [nobody, ours, whole, ...(installed('gdb') ? [theirs] : [])];

/** What the benchmark does to one kind of parent. */
interface Parent {
  child: ChildProcess;
  pid: number;
  ask(command: string): Promise<string>;
}

function begin(words: readonly string[]): Parent {
  const child = spawn(join(BUILD, 'standstill'), words, { stdio: ['pipe', 'pipe', 'inherit'] });
  running.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  async function ask(command: string): Promise<string> {
    child.stdin.write(`${command}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the parent has ended (limit of processes?)');
    return value;
  }
  return { child, pid: child.pid ?? 0, ask };
}

/** What else runs on the machine is not to be measured: wait until the parent is left alone. */
async function calm(parent: Parent): Promise<boolean> {
  await parent.ask('take');
  for (let tries = 0; tries < 50; tries++) {
    await wait(100);
    const { longestUs = 0 } = JSON.parse(await parent.ask('take')) as Figures;
    if (longestUs < CALM_US) return true;
  }
  return false;
}
let restless = 0;

/** One round of one tool; throws when it left a zombie. */
async function measure(parent: Parent, { name, reap }: Tool, zombies: number[]): Promise<Figures> {
  if (!(await calm(parent))) restless++;
  const from = process.hrtime.bigint();
  const own = await reap(parent.pid, zombies);
  const wholeMs = Number(process.hrtime.bigint() - from) / 1e6;
  const seen = JSON.parse(await parent.ask('take')) as Figures;
  const left = zombies.filter((pid) => statOf(pid)?.ppid === parent.pid).length;
  if (left > 0) throw new Error(`${name}: ${left} zombies are left`);
  return { wholeMs, ...seen, ...own };
}

interface Case {
  parent: string;
  zombies: number;
  seen: Map<string, Figures[]>;
}

async function examine(kind: string, words: readonly string[], sizes: readonly number[]) {
  const cases: Case[] = [];
  const parent = begin(words);
  for (const count of sizes) {
    const seen = new Map(tools.map((t) => [t.name, [] as Figures[]]));
    for (let round = 0; round <= rounds; round++) {
      for (const tool of tools) {
        if (tool.slow && count >= 1000 && round > slowRounds) continue;
        const zombies =
          tool === nobody ? [] : (await parent.ask(`make ${count}`)).trim().split(' ').map(Number);
        const figures = await measure(parent, tool, zombies);
        /* the first one reads programs from the disk */
        if (round > 0) seen.get(tool.name)?.push(figures);
      }
    }
    cases.push({ parent: kind, zombies: count, seen });
  }
  const ended = once(parent.child, 'exit');
  parent.child.stdin?.end();
  await ended;
  running.delete(parent.child);
  return cases;
}

const cases = [
  ...(await examine('computes', [], [1, 100, 1000])),
  ...(await examine('sleeps', ['nap'], [100])),
];

const list = (c: Case, { name }: Tool, key: string) =>
  (c.seen.get(name) ?? []).map((f) => f[key] ?? Number.NaN).filter((n) => !Number.isNaN(n));
const ms = (us: number) => (us / 1000).toFixed(us < 100_000 ? 2 : 0);
const figure = (value: number, digits = 0) => (Number.isNaN(value) ? '' : value.toFixed(digits));
print(
  [
    'parent, zombies',
    '',
    'longest ms',
    'worst',
    'stood ms',
    'worst',
    'sum ms',
    'whole ms',
    'stops',
  ],
  cases.flatMap((c) =>
    tools.map((t) => [
      `${c.parent}, ${c.zombies}`,
      t.name,
      ms(median(list(c, t, 'longestUs'))),
      ms(Math.max(...list(c, t, 'longestUs'))),
      ms(median(list(c, t, 'stoodUs'))),
      ms(Math.max(...list(c, t, 'stoodUs'))),
      ms(median(list(c, t, 'sumUs'))),
      t === nobody ? '' : figure(median(list(c, t, 'wholeMs')), 1),
      figure(median(list(c, t, 'stops'))),
    ]),
  ),
);
console.log(
  `medians of ${rounds} rounds (gdb with 1000: ${slowRounds}); worst: of all rounds. What the parent saw,\n` +
    'gaps of 50 us and more; stood: the longest without what it only waited for a CPU, while\n' +
    `programs that start or compute had it. nobody: ${QUIET_MS} ms with no tool\n` +
    `A round begins when for 100 ms the parent saw no gap of ${CALM_US / 1000} ms; ${restless} did without`,
);

if (tools.includes(theirs)) {
  for (const c of cases) {
    const times = (key: string, tool = ours) =>
      (median(list(c, theirs, key)) / median(list(c, tool, key))).toFixed(0);
    console.log(
      `${c.parent}, ${c.zombies}: gdb / lychgate: longest ${times('longestUs')}, ` +
        `stood ${times('stoodUs')}, sum ${times('sumUs')}, whole ${times('wholeMs', whole)} (each with its start)`,
    );
  }
} else {
  console.log('gdb: SKIP: not installed');
}

/** The rule we hold ourselves to, for every stop of every round, not for the median. */
function judge(who: string, by: readonly Tool[], key: string, toMs: number): void {
  const all = cases.flatMap((c) => by.flatMap((t) => list(c, t, key)));
  const over = all.filter((value) => value * toMs >= MOST_MS).length;
  console.log(
    `longest standstill ${who}: ${(Math.max(...all) * toMs).toFixed(2)} ms; below ${MOST_MS} ms in ` +
      `${all.length - over} of ${all.length}${by[0] === nobody ? '' : over === 0 ? ': met' : ': NOT met'}`,
  );
}
judge('as lychgate measured it', [ours, whole], 'ownLongestMs', 1);
judge('as the parent saw it, core', [ours], 'longestUs', 1e-3);
judge('as the parent saw it, both, without the wait for a CPU', [ours, whole], 'stoodUs', 1e-3);
judge('with no tool', [nobody], 'longestUs', 1e-3);
save('reap', {
  restless,
  rounds,
  slowRounds,
  cases: cases.map((c) => ({ ...c, seen: Object.fromEntries(c.seen) })),
});
