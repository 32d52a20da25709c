/**
 * Lychgate beside tini, dumb-init and catatonit, in one run, in turn: what drifts
 * on the machine drifts for all. Medians over the rounds; ratios against tini.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { onExit } from 'signal-exit';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const measure = join(root, 'build', 'bench', 'measure');
const cli = join(root, 'dist', 'cli.cjs');
const block = `--require=${join(root, 'bench', 'block.cjs')}`;
const space = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const quick = process.argv.includes('--quick');
const rounds = quick ? 1 : 5;
const orphans = quick ? 2000 : 20000;
const samples = quick ? 300 : 2000;
const idleMs = quick ? 5000 : 60000;

const all = {
  lychgate: [process.execPath, cli, '--'],
  'lychgate, JS blocked': [process.execPath, block, cli, '--'],
  tini: ['tini', '-s', '--'],
  'dumb-init': ['dumb-init', '--'],
  catatonit: ['catatonit', '--'],
};
const inits = Object.fromEntries(
  Object.entries(all).filter(([, argv]) => spawnSync(argv[0], ['--version']).error === undefined),
);
const missing = Object.keys(all).filter((name) => !(name in inits));

/** Whoever interrupts us leaves nothing behind. */
const running = new Set();
onExit(() => {
  for (const child of running) child.kill('SIGKILL');
});

function output(argv) {
  const r = spawnSync(argv[0], argv.slice(1), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (r.status !== 0) throw new Error(`${argv.join(' ')}: exit ${r.status ?? r.signal}`);
  return JSON.parse(r.stdout);
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/** MODE in every init, in turn, round after round. */
function inTurn(mode, count, names = Object.keys(inits)) {
  const seen = Object.fromEntries(names.map((n) => [n, []]));
  for (let round = 0; round < rounds; round++) {
    for (const n of names)
      seen[n].push(output([...space, ...inits[n], measure, mode, String(count)]));
  }
  return Object.fromEntries(
    names.map((n) => [
      n,
      Object.fromEntries(Object.keys(seen[n][0]).map((k) => [k, median(seen[n].map((s) => s[k]))])),
    ]),
  );
}

/** From just before the init is started until COMMAND's first line, ms. */
function startTimes(names) {
  const seen = Object.fromEntries(names.map((n) => [n, []]));
  for (let round = 0; round < rounds * 4; round++) {
    for (const n of names) {
      const before = Number(process.hrtime.bigint()) / 1e3;
      seen[n].push((output([...inits[n], measure, 'clock', '1']).at - before) / 1e3);
    }
  }
  return Object.fromEntries(names.map((n) => [n, median(seen[n])]));
}

/** Of an init over a COMMAND that waits: memory, and how often any thread ran. */
async function idle(names) {
  const started = names.map((n) => {
    const child = spawn(inits[n][0], [...inits[n].slice(1), 'cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    running.add(child);
    return [n, child];
  });
  await wait(2000);
  const before = started.map(([, child]) => switches(child.pid));
  await wait(idleMs);
  const result = {};
  for (const [i, [n, child]] of started.entries()) {
    const rollup = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
    const kB = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]);
    result[n] = {
      residentKb: kB('Rss'),
      privateKb: kB('Private_Clean') + kB('Private_Dirty'),
      wakeupsPerMinute: ((switches(child.pid) - before[i]) * 60000) / idleMs,
    };
    child.stdin.end();
    await new Promise((done) => child.once('exit', done));
    running.delete(child);
  }
  return result;
}

function switches(pid) {
  let sum = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
    for (const m of status.matchAll(/ctxt_switches:\s+(\d+)/g)) sum += Number(m[1]);
  }
  return sum;
}

const plain = Object.keys(inits).filter((n) => n !== 'lychgate, JS blocked');
const throughput = inTurn('orphans', orphans);
const reap = inTurn('latency', samples);
const forward = inTurn('forward', samples);
const start = startTimes(plain);
const rest = await idle(plain);

const rows = [
  ['orphans/s', (n) => throughput[n]?.perSecond, 0],
  ['reap p50 us', (n) => reap[n]?.p50, 1],
  ['reap p99 us', (n) => reap[n]?.p99, 1],
  ['forward p50 us', (n) => forward[n]?.p50, 1],
  ['forward p99 us', (n) => forward[n]?.p99, 1],
  ['start to exec ms', (n) => start[n], 1],
  ['resident kB', (n) => rest[n]?.residentKb, 0],
  ['private kB', (n) => rest[n]?.privateKb, 0],
  ['wake-ups/min', (n) => rest[n]?.wakeupsPerMinute, 0],
];
const names = Object.keys(inits);
const width = Math.max(...names.map((n) => n.length)) + 2;
console.log(
  `${''.padEnd(18)}${names.map((n) => n.padStart(width)).join('')}${'/ tini'.padStart(10)}`,
);
for (const [label, value, digits] of rows) {
  const cells = names.map((n) => (value(n)?.toFixed(digits) ?? '-').padStart(width));
  const ratio = value('tini') ? (value('lychgate') / value('tini')).toFixed(2) : '-';
  console.log(`${label.padEnd(18)}${cells.join('')}${ratio.padStart(10)}`);
}
for (const name of missing) console.log(`${name}: not installed`);
if (inits.tini) {
  for (const n of ['lychgate', 'lychgate, JS blocked']) {
    const t = throughput[n].perSecond / throughput.tini.perSecond;
    const l = reap[n].p50 / reap.tini.p50;
    const verdict = (ok) => (ok ? 'ok' : 'MISSED');
    console.log(
      `${n}: throughput ${t.toFixed(2)} of tini (at least 0.95: ${verdict(t >= 0.95)}), ` +
        `reap p50 ${l.toFixed(2)} (at most 1.15: ${verdict(l <= 1.15)})`,
    );
  }
}
writeFileSync(
  join(root, 'build', 'bench', 'result.json'),
  `${JSON.stringify({ date: new Date().toISOString(), kernel: release(), node: process.version, rounds, orphans, samples, throughput, reap, forward, start, idle: rest }, null, 2)}\n`,
);
