/** Cgroups of the running kernel for one test: made below the mounts, and taken away whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readMounts } from '../../src/procfs';

export type Version = 1 | 2;

/** Where the freezer of that version can be written here; undefined: not at all. */
export function freezerMount(version: Version): string | undefined {
  const mounts = readMounts('/proc/self/mountinfo').filter((m) =>
    version === 1
      ? m.fsType === 'cgroup' && m.superOptions.includes('freezer')
      : m.fsType === 'cgroup2',
  );
  return mounts
    .map((m) => m.mountPoint)
    .find((point) => {
      try {
        accessSync(point, constants.W_OK);
        return true;
      } catch {
        return false;
      }
    });
}

let count = 0;

export class Cgroup {
  readonly directory: string;
  readonly path: string;
  readonly version: Version;
  readonly #children: ChildProcess[] = [];

  constructor(version: Version, parent?: Cgroup) {
    const mount = freezerMount(version);
    if (!mount) throw new Error(`no writable freezer of version ${version}`);
    const name = `lychgate-test-${process.pid}-${++count}`;
    this.version = version;
    this.path = `${parent?.path ?? ''}/${name}`;
    this.directory = join(mount, this.path);
    mkdirSync(this.directory);
  }

  /** A process in it, running when this returns. */
  async start(argv: readonly string[] = ['sleep', '1000']): Promise<number> {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { stdio: 'ignore' });
    this.#children.push(child);
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    this.add(child.pid as number);
    return child.pid as number;
  }

  add(pid: number): void {
    writeFileSync(join(this.directory, 'cgroup.procs'), String(pid));
  }

  read(file: string): string {
    return readFileSync(join(this.directory, file), 'latin1').trim();
  }

  /** Ask for it; not awaited. */
  freeze(): void {
    if (this.version === 1) writeFileSync(join(this.directory, 'freezer.state'), 'FROZEN');
    else writeFileSync(join(this.directory, 'cgroup.freeze'), '1');
  }

  thaw(): void {
    if (this.version === 1) writeFileSync(join(this.directory, 'freezer.state'), 'THAWED');
    else writeFileSync(join(this.directory, 'cgroup.freeze'), '0');
  }

  /** Has it been reached? */
  get frozen(): boolean {
    return this.version === 1
      ? this.read('freezer.state') === 'FROZEN'
      : /^frozen 1$/m.test(this.read('cgroup.events'));
  }

  async freezeNow(): Promise<void> {
    this.freeze();
    await until(() => this.frozen, `${this.path} did not freeze`);
  }

  /** Thaw and kill what is in it and below, and remove it. */
  async remove(): Promise<void> {
    if (!existsSync(this.directory)) return;
    const below = tree(this.directory);
    for (const d of below) {
      const state = join(d, this.version === 1 ? 'freezer.state' : 'cgroup.freeze');
      writeFileSync(state, this.version === 1 ? 'THAWED' : '0');
    }
    for (const d of below.reverse()) {
      await until(() => {
        const pids = readFileSync(join(d, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean);
        for (const pid of pids) kill(Number(pid));
        return pids.length === 0;
      }, `${d} does not get empty`);
      await until(() => {
        try {
          rmdirSync(d);
          return true;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'ENOENT';
        }
      }, `${d} cannot be removed`);
    }
  }
}

function tree(directory: string): string[] {
  const below = readdirSync(directory, { withFileTypes: true }).filter((e) => e.isDirectory());
  return [directory, ...below.flatMap((e) => tree(join(directory, e.name)))];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    /* ended meanwhile */
  }
}

/** For what the kernel sends no event for. The limit is patience, not a measure of speed. */
export async function until(check: () => boolean, complaint: string): Promise<void> {
  const end = Date.now() + 30_000;
  while (!check()) {
    if (Date.now() > end) throw new Error(complaint);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
