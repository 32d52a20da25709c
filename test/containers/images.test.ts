/**
 * The examples, built and run as a user does it. `npm run images` runs this file alone; the tables
 * at its end are what README shows.
 */
import { join } from 'node:path';
import Table from 'cli-table3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CgroupVersion, type Engine, requireEngine, startEngine } from '../support/engine';
import {
  buildImages,
  copyImages,
  type Example,
  imageOf,
  LEAN,
  requireImages,
} from '../support/images';
import { cleanEnv, ROOT, Running } from '../support/init';
import { manifests } from './manifests';

const LAYER = '/opt/lychgate/bin';
const OPTIONS = ['--grace=8', '--drain=3'];
const READY = /^ready$/m;
const DRAINED = /has ended; asking \d+ other processes to end/;

/** What stands in the image's ENTRYPOINT, and what replaces it. */
const CRAWLERS: Record<string, { sessions: number; command: string[]; lean: string }> = {
  selenium: { sessions: 20, command: ['python3', 'crawler.py'], lean: `${LAYER}/lychgate-pid1` },
  puppeteer: {
    sessions: 20,
    command: ['node', 'app.mjs'],
    lean: 'node_modules/lychgate/prebuilds/linux-x64/lychgate-pid1',
  },
  playwright: {
    sessions: 20,
    command: ['node', 'app.mjs'],
    lean: 'node_modules/lychgate/prebuilds/linux-x64/lychgate-pid1',
  },
};
const INITS = ['none', 'tini', 'lychgate', 'lychgate-pid1'] as const;
type Init = (typeof INITS)[number];

/** Words of docker run behind its options: the image, below this init. */
function below(init: Init, example: string): string[] {
  const crawler = CRAWLERS[example];
  if (crawler === undefined) throw new Error(`no such crawler: ${example}`);
  const { command, lean, sessions } = crawler;
  const image = imageOf(example as Example);
  const [program = '', ...words] = [...command, String(sessions)];
  const tini = ['--volume=/usr/bin/tini-static:/sbin/tini:ro', '--entrypoint=/sbin/tini', image];
  const ways: Record<Init, string[]> = {
    none: [`--entrypoint=${program}`, image, ...words],
    tini: [...tini, '--', program, ...words],
    lychgate: [image, program, ...words],
    'lychgate-pid1': [`--entrypoint=${lean}`, image, ...OPTIONS, '--', program, ...words],
  };
  return ways[init];
}

interface Figures {
  zombies: number;
  /** Orphans that still ran when the container was stopped. */
  running: number;
  residentKb: number;
  stopMs: number;
  code: string;
}

const table = new Table({
  head: [
    'image',
    'sessions',
    'cgroup',
    'init',
    'zombies',
    'running',
    'PID 1 kB',
    'stop ms',
    'exit code',
  ],
  style: { head: [], border: [] },
});
let layer = '';
let first: Engine | undefined;

afterAll(async () => {
  await first?.stop();
  if (table.length > 0) console.log(`${layer}\n${table.toString()}`);
});

const HAS_PROGRAMS = requireImages();
const VERSIONS: CgroupVersion[] = [1, 2];
for (const cgroup of VERSIONS) {
  describe.runIf(HAS_PROGRAMS && requireEngine(cgroup))(`images, cgroup v${cgroup}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ cgroup });
      if (first === undefined) {
        first = engine;
        layer = buildImages(engine);
      } else {
        copyImages(first, engine);
      }
    }, 900_000);
    afterAll(async () => {
      if (engine !== first) await engine?.stop();
    });

    const begin = (...words: string[]) => engine.ask('run', '-d', '--network=none', ...words);
    const once = (...words: string[]) => engine.docker('run', '--rm', '--network=none', ...words);
    const logs = (id: string) => engine.start(['docker', 'logs', '-f', id]);
    const remove = (id: string) => engine.ask('rm', '-f', id);
    const until = async (what: string, look: () => boolean) => {
      for (let end = Date.now() + 60_000; !look(); ) {
        if (Date.now() > end) throw new Error(`did not come to pass: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };

    describe('browsers', () => {
      const examples = cgroup === 1 ? Object.keys(CRAWLERS) : ['selenium'];
      const inits = cgroup === 1 ? INITS : INITS.filter((init) => init.startsWith('lychgate'));
      const cases = examples.flatMap((example) => inits.map((init) => [example, init] as const));

      test.each(cases)(
        '%s, %s',
        async (example, init) => {
          const sessions = CRAWLERS[example]?.sessions ?? 0;
          const id = begin('--env=LYCHGATE_VERBOSITY=2', ...below(init, example));
          const output = logs(id);
          await output.see(READY);
          const pages = output.stdout.match(/^page lychgate$/gm) ?? [];
          expect(pages).toHaveLength(sessions);
          const reaps = init !== 'none';
          if (reaps) await until('every zombie is reaped', () => engine.zombiesOf(id) === 0);
          const pid = engine.pidOf(id);
          const rollup = engine.read(`/proc/${pid}/smaps_rollup`);
          const figures: Figures = {
            zombies: engine.zombiesOf(id),
            running: engine.processesOf(id).filter((p) => p.name.startsWith('chrom')).length,
            residentKb: Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)?.[1]),
            ...stop(id),
          };
          table.push([
            ...[example, sessions, `v${cgroup}`, init, figures.zombies, figures.running],
            ...[figures.residentKb, figures.stopMs, figures.code],
          ]);
          const { stderr } = await output.ended;
          remove(id);
          if (init === 'none') expect(figures.zombies).toBeGreaterThanOrEqual(sessions - 2);
          else expect(figures).toMatchObject({ zombies: 0, code: '143' });
          if (init.startsWith('lychgate')) {
            /* the browsers that were left running, in peace: nobody had to be killed */
            expect(figures.running).toBeGreaterThanOrEqual(2);
            expect(stderr).toMatch(DRAINED);
            expect(stderr).not.toContain('had to kill');
            expect(figures.stopMs).toBeLessThan(10_000);
          }
        },
        300_000,
      );

      const stop = (id: string) => {
        const since = performance.now();
        engine.ask('stop', '--time=10', id);
        const stopMs = Math.round(performance.now() - since);
        return { stopMs, code: engine.ask('wait', id) };
      };
    });

    describe.each(['lychgate', 'lychgate-pid1'] as const)('%s of the layer', (entry) => {
      const ENTRY = [`--entrypoint=${LAYER}/${entry}`, imageOf('alpine')];
      const LISTENER = `trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; echo ready
        while :; do sleep 1000 & wait $!; done`;
      /** Three orphans that end at once, of a docker exec. */
      const ORPHANS = 'for i in 1 2 3; do (sleep 0.01 &) ; done; exit 5';
      const service = async (...options: string[]) => {
        const id = begin(...options, ...ENTRY, '--', 'sh', '-c', LISTENER);
        const output = logs(id);
        await output.see(READY);
        return { id, output };
      };
      const noZombie = (id: string) => until('no zombie', () => engine.zombiesOf(id) === 0);
      /** They are there, they are gone, and COMMAND goes on. */
      const leaveOrphans = async (id: string, ...options: string[]) => {
        expect(engine.docker('exec', ...options, id, 'sh', '-c', ORPHANS).code).toBe(5);
        await until('the orphans end', () => engine.processesOf(id).length <= 3);
        await noZombie(id);
      };
      const stopped = async (id: string, output: Running) => {
        engine.ask('stop', '--time=60', id);
        expect(engine.ask('wait', id)).toBe('7');
        await output.ended;
        remove(id);
      };

      test('run: exit codes, and it is PID 1', () => {
        expect(once(...ENTRY, '--', 'sh', '-c', 'exit 42').code).toBe(42);
        expect(once(...ENTRY, '--', 'sh', '-c', 'kill -9 $$').code).toBe(137);
        expect(once(...ENTRY, '--', 'no-such-program').code).toBe(127);
        expect(once(...ENTRY, '--', '/etc/passwd').code).toBe(126);
        expect(once(...ENTRY, '--no-such-option', '--', 'true').code).toBe(2);
        const cmdline = once(...ENTRY, '--', 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline').stdout;
        expect(cmdline).toContain(`${LAYER}/${entry} -- sh`);
      });

      test('kill -s USR1 and stop reach COMMAND; kill ends all', async () => {
        const { id, output } = await service();
        engine.ask('kill', '-s', 'USR1', id);
        await output.see(/usr1/);
        await stopped(id, output);
        const { id: other, output: said } = await service();
        engine.ask('kill', other);
        expect(engine.ask('wait', other)).toBe('137');
        await said.ended;
        remove(other);
      });

      test('exec leaves orphans: none stays', async () => {
        const { id, output } = await service();
        await leaveOrphans(id);
        await leaveOrphans(id, '--user=65534');
        await stopped(id, output);
      });

      test('pause: what died meanwhile is reaped after unpause; stop of a paused one', async () => {
        const { id, output } = await service();
        engine.ask('exec', '-d', id, 'sh', '-c', 'sleep 0.2 & exit 0');
        engine.ask('pause', id);
        engine.ask('unpause', id);
        await until('the orphan ends', () => engine.processesOf(id).length <= 3);
        await noZombie(id);
        engine.ask('pause', id);
        await stopped(id, output);
      });

      test('--pid=host: not PID 1, it adopts by itself', async () => {
        const words = ['sh', '-c', '(sleep 0.01 & echo $!); sleep 0.3; ps -o pid,stat; exit 6'];
        const r = once('--pid=host', ...ENTRY, '--warn-reaped', '--', ...words);
        expect(r.code).toBe(6);
        const orphan = r.stdout.split('\n')[0] ?? '';
        expect(orphan).toMatch(/^\d+$/);
        expect(r.stderr).toMatch(new RegExp(`reaped .*\\b${orphan}\\b`));
        expect(r.stdout.split('\n').slice(1).join('\n')).not.toMatch(
          new RegExp(`^ *${orphan} `, 'm'),
        );
      });

      test.each([
        ['--user', '--user=65534:65534'],
        ['--read-only', '--read-only'],
        ['--cap-drop=ALL', '--cap-drop=ALL', '--security-opt=no-new-privileges'],
        ['all of these', '--user=1234', '--read-only', '--cap-drop=ALL', '--pids-limit=40'],
      ])('%s', async (_, ...options) => {
        const { id, output } = await service(...options);
        await leaveOrphans(id);
        await stopped(id, output);
      });

      test('-it under a pty: size, foreground, Ctrl-C, and no shell complains', async () => {
        const bridge = join(ROOT, 'test', 'fixtures', 'pty_bridge.py');
        /* docker gives the size when the container has started */
        const shell = 'while [ "$(stty size)" != "24 200" ]; do :; done; echo sized; cat';
        const words = [
          'docker',
          'run',
          '-it',
          '--rm',
          '--network=none',
          ...ENTRY,
          '--',
          'sh',
          '-ic',
        ];
        const terminal = new Running(['python3', bridge, ...engine.argv(...words, shell)], {
          env: cleanEnv({ TERM: 'dumb' }),
        });
        const order = (o: object) => terminal.child.stdin?.write(`${JSON.stringify(o)}\n`);
        await terminal.see(/sized/);
        order({ write: 'hello\n' });
        await terminal.see(/hello\s+hello/);
        order({ write: '\x03' });
        await terminal.see(/exit (?:-?\d+)/, 'stderr');
        terminal.child.stdin?.end();
        const { stdout, stderr } = await terminal.ended;
        expect(stderr).toMatch(/^exit 130$/m);
        expect(stdout).not.toMatch(/job control|not a tty|warning/i);
      });

      test('restart policies: on-failure counts, always comes back after kill', async () => {
        const id = begin('--restart=on-failure:2', ...ENTRY, '--', 'sh', '-c', 'exit 3');
        const count = () =>
          engine.ask('inspect', '--format', '{{.RestartCount}} {{.State.Status}}', id);
        await until('two restarts', () => count() === '2 exited');
        expect(engine.ask('inspect', '--format', '{{.State.ExitCode}}', id)).toBe('3');
        remove(id);
        const { id: other, output } = await service('--restart=always');
        const before = engine.pidOf(other);
        engine.exec(['kill', '-KILL', String(before)]);
        await until('it is back', () => ![0, before].includes(engine.pidOf(other)));
        await output.ended.catch(() => undefined);
        remove(other);
      });

      test('healthcheck that leaves orphans: healthy, and none stays', async () => {
        const check = ['--health-cmd=(sleep 0.01 &); exit 0', '--health-interval=500ms'];
        const { id, output } = await service(...check);
        const health = () =>
          engine.ask(
            'inspect',
            '--format',
            '{{.State.Health.Status}} {{len .State.Health.Log}}',
            id,
          );
        await until('five checks', () => health() === 'healthy 5');
        await noZombie(id);
        await stopped(id, output);
      });
    });

    /* On cgroup v2 beside v1 the controller of pids belongs to v1. */
    if (cgroup === 1) {
      describe('a limit of processes', () => {
        const MAKER = `import os, sys
for n in range(200):
    child = os.fork()
    if child == 0:
        try: os.fork()
        except OSError as error: os._exit(error.errno)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status: sys.exit(os.strerror(status >> 8))
print('made', n + 1)`;
        const limited = (...words: string[]) => once('--pids-limit=40', ...words, '-c', MAKER);

        test('is reached without an init', () => {
          const r = limited('--entrypoint=python3', imageOf('selenium'));
          const stderr = 'Resource temporarily unavailable\n';
          expect(r).toMatchObject({ code: 1, stdout: '', stderr });
        });

        test.each(['lychgate', 'lychgate-pid1'])('is not below %s', (entry) => {
          const r = limited(`--entrypoint=${LAYER}/${entry}`, imageOf('selenium'), '--', 'python3');
          expect(r).toMatchObject({ code: 0, stdout: 'made 200\n', stderr: '' });
        });
      });
    }

    test('the layer alone is a program, and is small', () => {
      expect(once('lychgate/layer', '--version').stdout).toMatch(/^lychgate \d+\.\d+\.\d+\n$/);
      const size = Number(
        engine.ask('image', 'inspect', '--format', '{{.Size}}', 'lychgate/layer'),
      );
      expect(size).toBeLessThan(95_000_000);
    });

    test('a baked plan needs no Node: there is none in the image', async () => {
      expect(once(LEAN, 'sh', '-c', 'exit 42').code).toBe(42);
      expect(once(LEAN, 'sh', '-c', 'ls /opt/lychgate/bin').stdout).toBe('lychgate-pid1\n');
      const id = begin(LEAN, 'sh', '-c', 'echo ready; exec sleep 1000');
      await logs(id).see(READY);
      engine.ask('stop', '--time=60', id);
      expect(engine.ask('wait', id)).toBe('0'); /* --remap-exit=143 */
      remove(id);
    });

    test('the layer works on Debian as on musl, and COMMAND sees nothing of its libraries', () => {
      const words = ['sh', '-c', 'cat /proc/self/maps; env'];
      for (const entry of ['lychgate', 'lychgate-pid1']) {
        const r = once(`--entrypoint=${LAYER}/${entry}`, imageOf('selenium'), '--', ...words);
        expect(r.code).toBe(0);
        expect(r.stdout).not.toContain('/opt/lychgate/lib');
        expect(r.stdout).not.toContain('LD_');
      }
    });

    manifests(() => engine);
  });
}
