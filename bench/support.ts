/** What the benchmarks share: where things lie, running helpers, medians, the table. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { onExit } from 'signal-exit';

export const ROOT = process.cwd();
export const BUILD = join(ROOT, 'build', 'bench');
export const CLI = join(ROOT, 'dist', 'cli.cjs');
export const SPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
export const quick = process.argv.includes('--quick');

/** Whoever interrupts us leaves nothing behind. */
export const running = new Set<ChildProcess>();
onExit(() => {
  for (const child of running) child.kill('SIGKILL');
});

export function installed(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

/** Run a helper that prints one JSON object of numbers. @throws when it fails or takes longer */
export function numbers(argv: readonly string[], env: NodeJS.ProcessEnv = {}, timeout = 0) {
  const [file = '', ...rest] = argv;
  const r = spawnSync(file, rest, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout,
    killSignal: 'SIGKILL',
  });
  if (r.error) throw new Error(`${argv.join(' ')}: ${r.error.message}`);
  if (r.status !== 0) throw new Error(`${argv.join(' ')}: exit ${r.status ?? r.signal}`);
  return JSON.parse(r.stdout) as Record<string, number>;
}

export function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
}

export function print(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([...row]);
  console.log(table.toString());
}

export function save(name: string, result: object): void {
  mkdirSync(BUILD, { recursive: true });
  const where = { date: new Date().toISOString(), kernel: release(), node: process.version };
  const file = join(BUILD, `${name}.json`);
  writeFileSync(
    file,
    `${JSON.stringify({ ...where, cpus: cpus().length, quick, ...result }, null, 2)}\n`,
  );
  console.log(`written to ${file}`);
}
