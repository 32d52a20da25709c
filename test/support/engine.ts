/** A real container engine of the test's own, for one cgroup version. */
import type { SpawnOptions } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './cgroups';
import { cleanEnv, NODE, type Outcome, ROOT, Running, run } from './init';

export type CgroupVersion = 1 | 2;

export const SCRIPT = join(__dirname, 'engine.sh');
const IMAGE_SCRIPT = join(__dirname, 'image.sh');
const PROGRAMS = ['dockerd', 'containerd', 'runc', 'docker', 'busybox', 'unshare', 'nsenter'];

function whatIsMissing(cgroup: CgroupVersion): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const name of PROGRAMS) {
    if (run(['sh', '-c', `command -v ${name}`]).code !== 0) return `${name} is not installed`;
  }
  const v1 = / - cgroup \S+ \S*\bfreezer\b/.test(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (cgroup === 1 && !v1) return 'the host mounts no cgroup v1 freezer';
  return undefined;
}

/** Whether an engine can run here; says SKIP and why not. For describe.runIf. */
export function requireEngine(cgroup: CgroupVersion): boolean {
  const why = whatIsMissing(cgroup);
  if (why !== undefined) console.log(`SKIP container engine with cgroup v${cgroup}: ${why}`);
  return why === undefined;
}

/** By this in their environment the daemons of this test process are told from others. */
export const MARK = `ENGINE_OF_TEST=${process.pid}`;

/** Without what would lead the client to another engine. */
export function environment(): NodeJS.ProcessEnv {
  const [name, value] = MARK.split('=') as [string, string];
  const env = cleanEnv({ [name]: value });
  for (const key of Object.keys(env)) if (key.startsWith('DOCKER_')) delete env[key];
  return env;
}

/** The outcome itself. @throws with what it said when it failed */
export function succeed(what: string, outcome: Outcome): Outcome {
  if (outcome.code === 0) return outcome;
  throw new Error(`${what} failed (${outcome.code}): ${outcome.stderr}${outcome.stdout}`);
}

export class Engine {
  readonly cgroup: CgroupVersion;
  /** PID 1 of its PID namespace, as the host numbers it. */
  readonly pid: number;
  readonly #script: Running;

  constructor(cgroup: CgroupVersion, pid: number, script: Running) {
    this.cgroup = cgroup;
    this.pid = pid;
    this.#script = script;
  }

  /** argv that runs a command in its mount and PID namespaces; pids are the engine's there. */
  argv(...command: readonly string[]): string[] {
    return ['nsenter', `--target=${this.pid}`, '--mount', '--pid', '--', ...command];
  }

  exec(command: readonly string[], options: SpawnOptions = {}): Outcome {
    return run(this.argv(...command), { env: environment(), ...options });
  }

  /** Standard output of a command that must succeed. */
  succeed(command: readonly string[], options: SpawnOptions = {}): string {
    return succeed(command.join(' '), this.exec(command, options)).stdout.trim();
  }

  /** Running, its output to be awaited. */
  start(command: readonly string[]): Running {
    return new Running(this.argv(...command), { env: environment() });
  }

  docker(...args: readonly string[]): Outcome {
    return this.exec(['docker', ...args]);
  }

  /** Standard output of a docker command that must succeed. */
  ask(...args: readonly string[]): string {
    return this.succeed(['docker', ...args]);
  }

  /** A container without a network, started; its id. */
  begin(...words: readonly string[]): string {
    return this.ask('run', '-d', '--network=none', ...words);
  }

  /** A container without a network, run to its end. */
  once(...words: readonly string[]): Outcome {
    return this.docker('run', '--rm', '--network=none', ...words);
  }

  /** What it says, to be awaited; ends with it. */
  logs(container: string): Running {
    return this.start(['docker', 'logs', '-f', container]);
  }

  inspect(container: string, format: string): string {
    return this.ask('inspect', '--format', format, container);
  }

  /** With their volumes, running or not. */
  remove(...containers: readonly string[]): void {
    this.ask('rm', '-f', '-v', ...containers);
  }

  /** A file of its mount namespace, /proc and /sys as it sees them, for fs functions. */
  path(file: string): string {
    return `/proc/${this.pid}/root${file}`;
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8').trim();
  }

  /** The pid of a container's init in the engine's PID namespace. */
  pidOf(container: string): number {
    return Number(this.inspect(container, '{{.State.Pid}}'));
  }

  /** Its directory in the freezer hierarchy (v1) or in the only one (v2), from /proc. */
  cgroupOf(container: string): string {
    const lines = this.read(`/proc/${this.pidOf(container)}/cgroup`).split('\n');
    const start = this.cgroup === 1 ? /^\d+:freezer:/ : /^0::/;
    const line = lines.find((l) => start.test(l));
    if (line === undefined) throw new Error(`no such cgroup among ${lines.join(' ')}`);
    const mount = this.cgroup === 1 ? '/sys/fs/cgroup/freezer' : '/sys/fs/cgroup';
    return mount + line.replace(start, '');
  }

  /** The processes of a container's PID namespace, as /proc outside of it has them. */
  processesOf(container: string): { pid: number; state: string; name: string }[] {
    const proc = this.path('/proc');
    const wanted = readlinkSync(`${proc}/${this.pidOf(container)}/ns/pid`);
    const found: { pid: number; state: string; name: string }[] = [];
    for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
      try {
        if (readlinkSync(`${proc}/${pid}/ns/pid`) !== wanted) continue;
        const stat = readFileSync(`${proc}/${pid}/stat`, 'latin1');
        const end = stat.lastIndexOf(')');
        const name = stat.slice(stat.indexOf('(') + 1, end);
        found.push({ pid: Number(pid), state: stat.charAt(end + 2), name });
      } catch {
        // It ended while we looked.
      }
    }
    return found;
  }

  /** Those of it that are zombies. */
  zombiesOf(container: string): number {
    return this.processesOf(container).filter((p) => p.state === 'Z').length;
  }

  noZombie(container: string): Promise<void> {
    return until(() => this.zombiesOf(container) === 0, 'zombies are left');
  }

  /** An image of busybox with all its applets. */
  importBusybox(tag = 'busybox:local'): string {
    this.succeed(['bash', IMAGE_SCRIPT, tag, 'busybox']);
    return tag;
  }

  /** An image of busybox, node and lychgate as built, with lychgate as the ENTRYPOINT. */
  importNode(tag = 'lychgate:local'): string {
    this.succeed(['bash', IMAGE_SCRIPT, tag, 'node', ROOT, NODE]);
    return tag;
  }

  /** An image of busybox, the probe and lychgate-pid1 with this plan: no Node. */
  importLean(plan: string, tag = 'lean:local'): string {
    this.succeed(['bash', IMAGE_SCRIPT, tag, 'lean', ROOT, plan]);
    return tag;
  }

  /** End all of it, frozen or not. Without it the end of the test process does the same. */
  async stop(): Promise<void> {
    this.#script.child.stdin?.end();
    succeed('the end of the engine', await this.#script.ended);
  }
}

export async function startEngine(options: { cgroup: CgroupVersion }): Promise<Engine> {
  // A session of its own: an interrupt from the terminal is for the tests, and their
  // end closes its input.
  const argv = ['bash', SCRIPT, String(options.cgroup)];
  const script = new Running(argv, { detached: true, env: environment() });
  const said = await script.see(/^engine: pid (\d+)$/m, 'stderr');
  await script.see(/API listen on /, 'stderr');
  const engine = new Engine(options.cgroup, Number(said[1]), script);
  engine.ask('version');
  return engine;
}
