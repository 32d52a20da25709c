/**
 * Both forms of Lychgate beside tini, dumb-init and catatonit, in one run, in turn: what
 * drifts on the machine drifts for all. Medians over the rounds; ratios against the peers.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
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
  SPACE,
  save,
} from './support';

const measure = join(BUILD, 'measure');
const start = join(BUILD, 'start');
const PID1 = join(ROOT, 'build', 'Release', 'lychgate-pid1');
const plan = join(BUILD, 'options.plan');
if (existsSync(PID1)) execFileSync(process.execPath, [CLI, 'plan', '--output', plan]);
const rounds = quick ? 1 : 5;
const latencyRounds = quick ? 1 : 15; /* short, and they scatter more */
const orphans = quick ? 2000 : 20000;
const samples = quick ? 300 : 2000;
const idleMs = quick ? 5000 : 60000;

interface Init {
  name: string;
  argv: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** A process that computes beside it: what a busy JavaScript takes, taken from a peer too. */
  besideBusy?: true;
  /** Measured for start, memory and wake-ups too. */
  whole?: true;
  /** Measured for its start alone. */
  start?: true;
}

const blocked = [process.execPath, `--require=${join(ROOT, 'bench', 'block.cjs')}`, CLI, '--'];
const options = ['-g', '--grace', '8', '--drain', '2', '-e', '143', '-r', 'TERM:INT'];
const variables = { LYCHGATE_GROUP: '1', LYCHGATE_GRACE: '8', LYCHGATE_REMAP_EXIT: '143' };
const all: readonly Init[] = [
  { name: 'lychgate', argv: [process.execPath, CLI, '--'], whole: true },
  { name: 'lychgate, JS blocked', argv: blocked, env: { BENCH_BLOCK: 'wait' } },
  { name: 'lychgate, JS computing', argv: blocked, env: { BENCH_BLOCK: 'busy' } },
  { name: 'lychgate-pid1, baked', argv: [PID1, '--plan', plan, '--'], whole: true },
  { name: 'lychgate-pid1, live', argv: [PID1, '--'], whole: true },
  { name: 'lychgate-pid1, live, options', argv: [PID1, ...options, '--'], start: true },
  { name: 'lychgate-pid1, live, variables', argv: [PID1, '--'], env: variables, start: true },
  { name: 'tini', argv: ['tini', '-s', '--'], whole: true },
  { name: 'tini-static', argv: ['tini-static', '-s', '--'], whole: true },
  { name: 'tini, a busy process beside', argv: ['tini', '-s', '--'], besideBusy: true },
  { name: 'dumb-init', argv: ['dumb-init', '--'], whole: true },
  { name: 'catatonit', argv: ['catatonit', '--'], whole: true },
];
const present = all.filter((i) => installed(i.argv[0] ?? ''));
const started = present.filter((i) => i.whole || i.start);
const inits = present.filter((i) => !i.start);
const whole = inits.filter((i) => i.whole);

type Figures = Record<string, number>;
type Table = Map<string, Figures>;

function measureOnce(init: Init, words: readonly string[]): Figures {
  const busy = init.besideBusy ? spawn(process.execPath, ['-e', 'for(;;);']) : undefined;
  if (busy) running.add(busy);
  try {
    return numbers([...SPACE, ...init.argv, measure, ...words], init.env);
  } finally {
    busy?.kill('SIGKILL');
    if (busy) running.delete(busy);
  }
}

/** MODE in every init, in turn, round after round. */
function inTurn(words: readonly string[], which = inits, rounds = latencyRounds): Table {
  const seen = new Map(which.map((i) => [i.name, [] as Figures[]]));
  for (let round = 0; round < rounds; round++) {
    for (const init of which) seen.get(init.name)?.push(measureOnce(init, words));
  }
  return new Map([...seen].map(([name, list]) => [name, medians(list)]));
}

function medians(list: readonly Figures[]): Figures {
  const keys = Object.keys(list[0] ?? {});
  return Object.fromEntries(keys.map((k) => [k, median(list.map((f) => f[k] ?? Number.NaN))]));
}

/** From just before the init is started until COMMAND's first line, ms; and Node alone. */
function startTimes(): Table {
  const node = [process.execPath, join(ROOT, 'bench', 'now.cjs')];
  const programs = [
    ...started.map(({ name, argv, env }) => [name, [...argv, measure, 'clock', '1'], env] as const),
    ['node alone', node, undefined] as const,
  ];
  const seen = new Map(programs.map(([name]) => [name, [] as number[]]));
  /* few at a time, in turn: what is subtracted has to be of the same moment */
  for (let round = 0; round < rounds * 16; round++) {
    for (const [name, argv, env] of programs) {
      const { us = Number.NaN } = numbers([start, '5', ...argv], env);
      seen.get(name)?.push(us / 1e3);
    }
  }
  const alone = seen.get('node alone') ?? [];
  const above = (list: number[]) => median(list.map((ms, i) => ms - (alone[i] ?? Number.NaN)));
  return new Map(
    [...seen].map(([name, list]) => [name, { ms: median(list), aboveNode: above(list) }]),
  );
}

/** Of an init over a COMMAND that waits: memory, and how often any thread ran. */
async function idle(): Promise<Table> {
  const children = whole.map(({ name, argv: [file = '', ...rest] }) => {
    const child = spawn(file, [...rest, 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    running.add(child);
    return [name, child] as const;
  });
  await wait(2000); /* what a runtime still does after its start is not idling */
  const before = children.map(([, child]) => switches(child));
  await wait(idleMs);
  const after = children.map(([, child]) => switches(child));
  const result: Table = new Map();
  for (const [i, [name, child]] of children.entries()) {
    const rollup = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
    const kB = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]);
    result.set(name, {
      residentKb: kB('Rss'),
      privateKb: kB('Private_Clean') + kB('Private_Dirty'),
      wakeupsPerMinute: (((after[i] ?? 0) - (before[i] ?? 0)) * 60000) / idleMs,
    });
    child.stdin.end();
    await new Promise((done) => child.once('exit', done));
    running.delete(child);
  }
  return result;
}

function switches({ pid }: ChildProcess): number {
  let sum = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
    for (const m of status.matchAll(/ctxt_switches:\s+(\d+)/g)) sum += Number(m[1]);
  }
  return sum;
}

/* Apart: the init on one CPU, COMMAND on another. Together: both on one, which a
 * computing JavaScript would simply occupy: nothing of the init is measured then. */
const apart = cpus().length > 1 ? '1' : '0';
const calm = inits.filter((i) => i.env?.BENCH_BLOCK !== 'busy' && !i.besideBusy);
const onlyStart = process.argv.includes('--start'); /* minutes instead of a quarter of an hour */
const measured = (words: readonly string[], which = inits, times = latencyRounds) =>
  onlyStart ? new Map() : inTurn(words, which, times);
const throughput = measured(['orphans', String(orphans)], inits, rounds);
const reapApart = measured(['latency', String(samples), apart]);
const reapTogether = measured(['latency', String(samples), '0'], calm);
const forwardApart = measured(['forward', String(samples), apart]);
const forwardTogether = measured(['forward', String(samples), '0'], calm);
const starts = startTimes();
const rest = await idle();

const pair = (f: Figures | undefined) => (f ? `${f.p50?.toFixed(1)} / ${f.p99?.toFixed(0)}` : '-');
const figure = (value: number | undefined, digits = 0) => value?.toFixed(digits) ?? '-';
print(
  [
    '',
    'orphans/s',
    'reap',
    'reap, 1 CPU',
    'forward',
    'forward, 1 CPU',
    'start ms',
    'resident kB',
    'private kB',
    'wake-ups/min',
  ],
  present.map(({ name }) => [
    name,
    figure(throughput.get(name)?.perSecond),
    pair(reapApart.get(name)),
    pair(reapTogether.get(name)),
    pair(forwardApart.get(name)),
    pair(forwardTogether.get(name)),
    figure(starts.get(name)?.ms, 2),
    figure(rest.get(name)?.residentKb),
    figure(rest.get(name)?.privateKb),
    figure(rest.get(name)?.wakeupsPerMinute),
  ]),
);
console.log('latencies: p50 / p99 in us');
for (const init of all) {
  if (!present.includes(init)) console.log(`${init.name}: not installed`);
}

console.log(`node alone: ${figure(starts.get('node alone')?.ms, 2)} ms until its first line`);

const verdict = (text: string, ok: boolean) => ` (${text}: ${ok ? 'ok' : 'MISSED'})`;
const of = (table: Table, name: string, key: string) => table.get(name)?.[key] ?? Number.NaN;
const ratio = (table: Table, key: string, name: string, peer: string) =>
  of(table, name, key) / of(table, peer, key);

/** The ratios we hold ourselves to. While JavaScript computes it takes a CPU: told, not judged. */
function compare(name: string, peer: string, judged: boolean): void {
  const t = ratio(throughput, 'perSecond', name, peer);
  const l = ratio(reapApart, 'p50', name, peer);
  console.log(
    `${name} / ${peer}: throughput ${t.toFixed(2)}${judged ? verdict('at least 0.95', t >= 0.95) : ''}, ` +
      `reap p50 ${l.toFixed(2)}${judged ? verdict('at most 1.15', l <= 1.15) : ''}`,
  );
}
if (!onlyStart) {
  compare('lychgate', 'tini', true);
  compare('lychgate, JS blocked', 'tini', true);
  compare('lychgate, JS computing', 'tini, a busy process beside', false);
}

/** The lean form beside each peer: at least theirs, with 5 % for what rounds scatter. */
function compareLean(name: string): void {
  for (const peer of ['tini', 'tini-static', 'dumb-init', 'catatonit']) {
    if (!inits.some((i) => i.name === peer)) continue;
    const t = ratio(throughput, 'perSecond', name, peer);
    const tables = [reapApart, reapTogether, forwardApart, forwardTogether];
    const [reap, reap1, forward, forward1] = tables.map((x) => ratio(x, 'p50', name, peer));
    const latencies = [reap, reap1, forward, forward1].map((x) => x?.toFixed(2)).join(', ');
    const ok = [reap, reap1, forward, forward1].every((x) => x !== undefined && x <= 1.05);
    console.log(
      `${name} / ${peer}: throughput ${t.toFixed(2)}${verdict('at least 0.95', t >= 0.95)}; p50 of ` +
        `reap, reap 1 CPU, forward, forward 1 CPU ${latencies}${verdict('at most 1.05', ok)}`,
    );
  }
}
if (existsSync(PID1)) {
  if (!onlyStart) {
    compareLean('lychgate-pid1, baked');
    compareLean('lychgate-pid1, live');
  }
  const [baked, live] = ['lychgate-pid1, baked', 'lychgate-pid1, live'] as const;
  const s = ratio(starts, 'ms', baked, 'tini');
  const kB = Math.max(of(rest, baked, 'residentKb'), of(rest, live, 'residentKb'));
  console.log(
    `start to exec, baked / tini: ${s.toFixed(2)}${verdict('at most 1.0', s <= 1)}; ` +
      `resident ${kB} kB${verdict('at most 48', kB <= 48)}`,
  );
  for (const name of [live, `${live}, options`, `${live}, variables`]) {
    const above = of(starts, name, 'aboveNode'); /* pair by pair: the machine drifts */
    const told = `${name}, above node alone: ${above.toFixed(2)} ms`;
    console.log(`${told}${verdict('at most 3', above <= 3)}`);
  }
}
const object = (table: Table) => Object.fromEntries(table);
save('init', {
  rounds,
  latencyRounds,
  orphans,
  samples,
  throughput: object(throughput),
  reapApart: object(reapApart),
  reapTogether: object(reapTogether),
  forwardApart: object(forwardApart),
  forwardTogether: object(forwardTogether),
  start: object(starts),
  idle: object(rest),
});
