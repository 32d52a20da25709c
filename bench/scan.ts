/**
 * The first pass of `lychgate scan` beside what an operator would use otherwise, in one
 * run, in turn, over the same processes. Runs in a PID namespace of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
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

const live = quick ? 200 : 2000;
const zombies = quick ? 1000 : 10000;
const rounds = quick ? 3 : 9;
const PATIENCE_MS = 30_000;

interface Program {
  name: string;
  argv: readonly string[];
  /** It measures its own pass, without its start, and prints it. */
  own?: true;
  /** Only that: as a whole process it is nobody's command. */
  part?: true;
  /** Fails with many processes, or is slow: tried once, for at most PATIENCE_MS. */
  once?: true;
}

const node = process.execPath;
const peer = (file: string) => join(BUILD, 'peers', file);
const pass = join(ROOT, 'bench', 'pass.cjs');
const go = 'Go, prometheus/procfs';
const ps = 'ps -eo pid,ppid,stat,lstart,comm';
const all: readonly Program[] = [
  { name: 'lychgate scan --hold 0', argv: [node, CLI, 'scan', '--hold', '0', '--format', 'json'] },
  { name: 'lychgate, the look', argv: [node, pass, 'look'], own: true, part: true },
  { name: 'lychgate, its native pass', argv: [node, pass, 'native'], own: true, part: true },
  { name: go, argv: [peer('scan-go')], own: true },
  { name: ps, argv: ps.split(' ') },
  { name: 'ps-list 9.0.0', argv: [node, peer('ps-list.mjs')], own: true },
  {
    name: 'systeminformation 5.33.23',
    argv: [node, peer('systeminformation.mjs')],
    own: true,
    once: true,
  },
  { name: 'floor: open, read, close in C', argv: [join(BUILD, 'floor')], own: true },
];
const there = ({ argv: [file = '', script = ''] }: Program) =>
  (file.startsWith('/') ? existsSync(file) : installed(file)) &&
  (!script.startsWith('/') || existsSync(script));
const programs = all.filter(there);

async function populate(): Promise<ChildProcess> {
  const child = spawn(join(BUILD, 'population'), [String(live), String(zombies)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  running.add(child);
  const ended = once(child, 'exit').then(() => {
    throw new Error('the processes to look at could not be made (limit of processes?)');
  });
  await Promise.race([once(child.stdout, 'data'), ended]);
  ended.catch(() => {});
  return child;
}

/** Passes that saw less than all would only seem fast. */
function check(name: string, f: Record<string, number>): void {
  const { processes, zombies: dead } = f;
  if (processes !== undefined && processes < live + zombies)
    throw new Error(`${name} saw ${processes} of ${live + zombies} processes`);
  if (dead !== undefined && dead < zombies)
    throw new Error(`${name} saw ${dead} of ${zombies} zombies`);
}

/** What fails at this size, or takes longer than we wait, is told and measured as nothing. */
function patiently(name: string, argv: readonly string[]): Record<string, number> {
  try {
    return numbers(argv, {}, PATIENCE_MS);
  } catch (error) {
    console.log(`${name}: fails at this size: ${(error as Error).message}`);
    return {};
  }
}

const population = await populate();
const seen = new Map(programs.map((p) => [p.name, [] as Record<string, number>[]]));
for (let round = 0; round <= rounds; round++) {
  for (const { name, argv, own, part, once: slow } of programs) {
    if (slow && round < rounds) continue;
    const whole = part || slow ? {} : numbers([join(BUILD, 'usage'), ...argv]);
    const inside = slow ? patiently(name, argv) : own ? numbers(argv) : {};
    check(name, inside);
    /* the first one reads programs from the disk */
    if (round > 0) seen.get(name)?.push({ ...whole, ...inside });
  }
}
const closed = once(population, 'exit');
population.stdin?.end();
await closed;
running.delete(population);

const of = (name: string, key: string) =>
  median((seen.get(name) ?? []).map((f) => f[key] ?? Number.NaN));
const figure = (value: number, digits: number) =>
  Number.isNaN(value) ? '' : value.toFixed(digits);
print(
  [`${live} living, ${zombies} zombies`, 'pass ms', 'process ms', 'CPU ms', 'peak MB'],
  programs.map(({ name }) => [
    name,
    figure(of(name, 'passMs'), 1),
    figure(of(name, 'wallMs'), 0),
    figure(of(name, 'cpuMs'), 0),
    figure(of(name, 'residentKb') / 1024, 0),
  ]),
);
for (const p of all) if (!programs.includes(p)) console.log(`${p.name}: not installed`);

/** The factors we hold ourselves to, at the full size. */
function faster(what: string, ours: number, theirs: number, least?: number): void {
  const factor = theirs / ours;
  const verdict =
    least === undefined || quick
      ? ''
      : ` (at least ${least}: ${factor >= least ? 'ok' : 'MISSED'})`;
  console.log(`${what}: ${factor.toFixed(1)} times as fast${verdict}`);
}
const look = of('lychgate, the look', 'passMs');
const whole = of('lychgate scan --hold 0', 'wallMs');
const native = of('lychgate, its native pass', 'passMs');
const floor = of('floor: open, read, close in C', 'passMs');
faster('first look / pass of the Go program', look, of(go, 'passMs'), 3);
faster('first look / ps', look, of(ps, 'wallMs'), 5);
faster('whole process / Go', whole, of(go, 'wallMs'));
faster('whole process / ps', whole, of(ps, 'wallMs'));
console.log(
  `the floor times ${(native / floor).toFixed(2)} is the native pass, ` +
    `times ${(look / floor).toFixed(2)} the look`,
);
save('scan', { live, zombies, rounds, programs: Object.fromEntries(seen) });
