/**
 * Zombies of a living parent, in real containers under the engine's default seccomp
 * profile and capabilities: reaped by the init, and from the node by scan. Runtimes are
 * the host's own, bound read-only.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CgroupVersion, type Engine, requireEngine, startEngine } from '../support/engine';
import { lychgate, NODE, ROOT, type Running, run } from '../support/init';

const PARENTS = join(ROOT, 'test', 'fixtures', 'parents');
const BUILT = join(ROOT, 'build', 'fixtures');
const CLI = '/opt/lychgate/dist/cli.cjs';

interface Language {
  name: string;
  /** What must be installed. */
  needs: string;
  argv: readonly string[];
  /** What it says of the children that were reaped in its name. */
  says: RegExp;
}

const LANGUAGES: readonly Language[] = [
  { name: 'C', needs: 'cc', argv: ['/built/negligent'], says: /^(\d+ error ECHILD\n){3}done$/m },
  {
    name: 'Go',
    needs: 'go',
    argv: ['/built/negligent-go'],
    says: /^(\d+ error wait(id)?: no child processes\n){3}done$/m,
  },
  {
    name: 'Python',
    needs: '/usr/bin/python3',
    argv: ['/usr/bin/python3', '/parents/neglect.py'],
    says: /^(\d+ poll=0 wait=0\n){3}done$/m, // whatever they ended with
  },
  {
    name: 'Node',
    needs: NODE,
    argv: ['/node/node', '/parents/neglect.cjs'],
    says: /^(\d+ no exit event\n){3}done$/m,
  },
  {
    name: 'bash',
    needs: '/usr/bin/bash',
    argv: ['/usr/bin/bash', '/parents/neglect.sh'],
    says: /^ask$/m,
  },
];

const installed = (program: string) => run(['sh', '-c', `command -v ${program}`]).code === 0;
function requireLanguage(name: string, program: string): boolean {
  const there = installed(program);
  if (!there) console.log(`SKIP zombies of a ${name} parent: ${program} is not installed`);
  if (!there && process.env.CI) throw new Error(`${program} is not installed`);
  return there;
}

function build(): void {
  mkdirSync(BUILT, { recursive: true });
  const env = { ...process.env, GO111MODULE: 'off', CGO_ENABLED: '0' };
  if (installed('go'))
    execFileSync('go', ['build', '-o', join(BUILT, 'negligent-go'), join(PARENTS, 'neglect.go')], {
      env,
    });
  if (installed('javac'))
    execFileSync('javac', [
      '-d',
      BUILT,
      join(PARENTS, 'Neglect.java'),
      join(PARENTS, 'Limited.java'),
    ]);
}

interface Event {
  event: string;
  reaped: { code: number | null }[];
  parent: { comm: string };
  limit: { name: string; current: number; max: number } | null;
  message: string;
}

const events = (r: Running): Event[] =>
  r.stderr
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line));

for (const cgroup of [1, 2] as CgroupVersion[]) {
  describe.runIf(requireEngine(cgroup))(`zombies of a living parent, cgroup v${cgroup}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      build();
      engine = await startEngine({ cgroup });
      engine.importNode();
    });
    afterAll(() => engine?.stop());

    /** With the host's runtimes, and nothing allowed that is not by default. */
    const container = (flags: readonly string[], command: readonly string[]) =>
      engine.start([
        'docker',
        'run',
        '-i',
        '--rm',
        '--network=none',
        '-v/usr:/usr:ro',
        '-v/usr/lib:/lib:ro',
        '-v/usr/lib64:/lib64:ro',
        '-v/etc:/etc:ro',
        `-v${PARENTS}:/parents:ro`,
        `-v${BUILT}:/built:ro`,
        `-v${dirname(NODE)}:/node:ro`,
        ...flags,
        'lychgate:local',
        ...command,
      ]);
    const underInit = (
      options: readonly string[],
      command: readonly string[],
      flags: readonly string[] = [],
    ) =>
      container(
        ['--entrypoint=/node/node', ...flags],
        [CLI, '--log-format=json', ...options, '--', ...command],
      );
    const ask = (r: Running) => r.child.stdin?.write('ask\n');
    const end = async (r: Running) => {
      r.child.stdin?.end();
      return (await r.ended).code;
    };

    for (const { name, needs, argv, says } of LANGUAGES) {
      test.runIf(requireLanguage(name, needs))(`${name}: reaped by the init`, async () => {
        const r = underInit(['--neglected=reap', '--neglected-after=0.5'], [...argv, '3']);
        await r.see(/^ready( \d+){3}$/m);
        await r.see(/(?:"code":[012].*?){3}/s, 'stderr');
        const told = events(r).filter((e) => e.event === 'neglected-reaped');
        const codes = told.flatMap((e) => e.reaped.map((z) => z.code)).sort();
        expect(codes).toEqual([0, 1, 2]);
        ask(r);
        await r.see(says);
        expect(await end(r)).toBe(0);
      });
    }

    test.runIf(requireLanguage('Java', 'javac'))(
      'Java: its thread to wait could not be made; reaped with no place left',
      async () => {
        const r = underInit(
          ['--neglected=reap', '--neglected-after=1'],
          ['/usr/bin/java', '-Xint', '-XX:+UseSerialGC', '-cp', '/built', 'Limited'],
          /* not a limit of pids: version 2 has no controller everywhere */
          ['--user=54321', '--ulimit=nproc=150:150'],
        );
        await r.see(/^ready lost=1$/m);
        await r.see(/neglected-reaped/, 'stderr');
        const [told] = events(r).filter((e) => e.event === 'neglected-reaped');
        expect(told).toMatchObject({
          reaped: [{ code: 3 }],
          parent: { comm: 'java' },
          limit: { name: 'RLIMIT_NPROC', current: 150, max: 150 },
        });
        ask(r);
        await r.see(/^own waitFor=7\ndone$/m);
        expect(await end(r)).toBe(0);
      },
    );

    test('warn: the parent, the count, the mend, and how near pids.max is', async () => {
      const r = underInit(
        ['--neglected-after=0.5'],
        ['/usr/bin/python3', '/parents/neglect.py', '3'],
        ['--pids-limit=50'],
      );
      await r.see(/"event":"neglected"/, 'stderr');
      const [told] = events(r);
      expect(told?.message).toMatch(/python3 \/parents\/neglect\.py 3\) does not wait .*3 zombies/);
      expect(told?.message).toContain('wait() or poll()');
      // Whether pids.max shows inside is the engine's doing; version 2 here has no controller.
      if (cgroup === 1) expect(told?.limit).toMatchObject({ name: 'pids.max', max: 50 });
      ask(r);
      await r.see(/^\d+ poll=0 wait=0\n\d+ poll=1 wait=1\n\d+ poll=2 wait=2\ndone$/m);
      expect(await end(r)).toBe(0);
    });

    /** On the node, where the engine's processes are seen. */
    const scan = (...args: string[]) => engine.exec(lychgate('scan', '--hold', '0', ...args));

    for (const { name, needs, argv, says } of LANGUAGES) {
      test.runIf(requireLanguage(name, needs))(
        `${name} as PID 1: reaped from the node`,
        async () => {
          const r = container(
            [`--entrypoint=${argv[0]}`, `--name=from-node-${name}`],
            [...argv.slice(1), '3'],
          );
          await r.see(/^ready( \d+){3}$/m);
          const pid = String(engine.pidOf(`from-node-${name}`));
          await zombiesOf(pid, 3);
          const would = scan('--pid', pid, '--action', 'reap', '--min-age', '0');
          expect(would.stderr).toContain('would reap 3 of the zombies');
          const did = scan('--pid', pid, '--action', 'reap', '--min-age', '0', '--yes');
          expect(did.stderr).toMatch(/reaped 3 zombies of \d+ /);
          expect(scan('--pid', pid, '--state', 'Z')).toMatchObject({ code: 0 });
          ask(r);
          await r.see(says);
          expect(await end(r)).toBe(0);
        },
      );
    }

    test.runIf(requireLanguage('Java', 'javac'))(
      'Java as PID 1: reaped from the node',
      async () => {
        const r = container(
          ['--entrypoint=/usr/bin/java', '--name=from-node-java'],
          ['-cp', '/built', 'Neglect', '3'],
        );
        await r.see(/^ready( \d+){3}$/m);
        const pid = String(engine.pidOf('from-node-java'));
        await zombiesOf(pid, 3);
        const did = scan('--pid', pid, '--action', 'reap', '--min-age', '0', '--yes');
        expect(did.stderr).toMatch(/reaped 3 zombies of \d+ /);
        ask(r);
        await r.see(/^(\d+ no such process\n){3}\d+ own waitFor=7\ndone$/m);
        expect(await end(r)).toBe(0);
      },
    );

    /** Until they are dead: each `ready` comes when they were started. */
    async function zombiesOf(pid: string, count: number): Promise<void> {
      for (;;) {
        const { stdout } = scan('--pid', pid, '--state', 'Z', '--format', 'json');
        if (JSON.parse(stdout).zombies === count) return;
      }
    }
  });
}
