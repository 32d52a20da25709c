/** Running an init over a command, for the tests with real processes. */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const ROOT = join(__dirname, '..', '..');
export const CLI = join(ROOT, 'dist', 'cli.cjs');
/** Another Node than the one that runs the tests can be put to the test. */
export const NODE = process.env.LYCHGATE_TEST_NODE ?? process.execPath;
/** C helpers of test/fixtures, compiled by test/support/setup.ts. */
export const fixture = (name: string) => join(ROOT, 'build', 'fixtures', name);

/** A new PID namespace with its own /proc: what comes next is PID 1. */
export const UNSHARE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

export const lychgate = (...args: string[]) => [NODE, CLI, ...args];
export const asPid1 = (...args: string[]) => [...UNSHARE, ...lychgate(...args)];

/**
 * For a shell script: an orphan, and on when it has been reaped. It is ended when it has
 * been adopted, for a shell may reap, after a builtin, what ended before. A zombie still
 * takes signal 0.
 */
export const ORPHAN_REAPED =
  'o=$(sleep 99 >/dev/null & echo $!); kill $o; while kill -0 $o 2>&-; do :; done';
/** One that ignores TERM, and on when it does: it lets go of the pipe only then. */
export const STUBBORN_ORPHAN = `: $(setsid sh -c 'trap "" TERM; exec sleep 99 >/dev/null' &)`;

/** The built program where every user may read it; the checkout may lie in somebody's own folder. */
export function publicCopy(): { cli: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-public-'));
  chmodSync(folder, 0o755);
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(
    join(ROOT, 'build', 'Release', 'lychgate.node'),
    join(folder, 'build', 'Release', 'lychgate.node'),
  );
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  return {
    cli: join(folder, 'dist', 'cli.cjs'),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** The environment without what would steer the init under test. */
export function cleanEnv(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (!/^(LYCHGATE_|TINI_|NODE_|VITEST|npm_)/.test(key)) env[key] = value;
  }
  /* lychgate-pid1 looks for Node in PATH */
  if (process.env.LYCHGATE_TEST_NODE) env.PATH = `${dirname(NODE)}:${env.PATH}`;
  return { ...env, ...extra };
}

export interface Outcome {
  /** Exit code, null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Run to the end. */
export function run(
  argv: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Outcome {
  const [file, ...args] = argv;
  const r = spawnSync(file as string, args, {
    encoding: 'utf8',
    timeout: 120_000,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
    ...options,
    env: options.env ?? cleanEnv(),
  } as Parameters<typeof spawnSync>[2]);
  if (r.error) throw r.error;
  return { code: r.status, signal: r.signal, stdout: String(r.stdout), stderr: String(r.stderr) };
}

/** A running init whose output can be awaited line by line. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  #out = '';
  #err = '';
  #look: () => void = () => {};

  constructor(argv: readonly string[], options: SpawnOptions = {}) {
    const [file, ...args] = argv;
    this.child = spawn(file as string, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options,
      env: options.env ?? cleanEnv(),
    });
    this.child.stdout?.on('data', (d) => this.#got(() => (this.#out += d)));
    this.child.stderr?.on('data', (d) => this.#got(() => (this.#err += d)));
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#look();
      return { code, signal, stdout: this.#out, stderr: this.#err };
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get stdout(): string {
    return this.#out;
  }

  get stderr(): string {
    return this.#err;
  }

  #got(add: () => void): void {
    add();
    this.#look();
  }

  /** Wait until the output (or, with from = stderr, the messages) matches. */
  async see(pattern: RegExp, from: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (over = false) => {
        const match = pattern.exec(from === 'stdout' ? this.#out : this.#err);
        if (match) resolve(match);
        else if (over) reject(new Error(`${pattern} did not come\n${this.#out}\n${this.#err}`));
      };
      this.#look = () => look();
      look();
      void this.ended.then(() => look(true));
    });
  }

  kill(signal: NodeJS.Signals | number): void {
    process.kill(this.pid, signal);
  }
}
