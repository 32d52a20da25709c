/** Both entries of the layer, as PID 1 below docker's verbs and options. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/cgroups';
import type { CgroupVersion, Engine } from '../support/engine';
import { imageOf, LAYER_BIN, LEAN, READY } from '../support/images';
import { cleanEnv, ORPHAN_REAPED, ROOT, Running } from '../support/init';

export function layer(cgroup: CgroupVersion, engineOf: () => Engine): void {
  let engine: Engine;
  beforeAll(() => {
    engine = engineOf();
  });

  describe.each(['lychgate', 'lychgate-pid1'] as const)('%s of the layer', (entry) => {
    const ENTRY = [`--entrypoint=${LAYER_BIN}/${entry}`, imageOf('alpine')];
    const LISTENER = `trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; echo ready
      while :; do sleep 1000 & wait $!; done`;
    /** Three orphans that end at once, of a docker exec. */
    const ORPHANS = 'for i in 1 2 3; do (sleep 0.01 &) ; done; exit 5';
    const service = async (...options: string[]) => {
      const id = engine.begin(...options, ...ENTRY, '--', 'sh', '-c', LISTENER);
      const output = engine.logs(id);
      await output.see(READY);
      return { id, output };
    };
    /** They are there, they are gone, and COMMAND goes on. */
    const leaveOrphans = async (id: string, ...options: string[]) => {
      expect(engine.docker('exec', ...options, id, 'sh', '-c', ORPHANS).code).toBe(5);
      await until(() => engine.processesOf(id).length <= 3, 'the orphans do not end');
      await engine.noZombie(id);
    };
    const stopped = async (id: string, output: Running) => {
      engine.ask('stop', '--time=60', id);
      expect(engine.ask('wait', id)).toBe('7');
      await output.ended;
      engine.remove(id);
    };

    test('run: exit codes, and it is PID 1', () => {
      expect(engine.once(...ENTRY, '--', 'sh', '-c', 'exit 42').code).toBe(42);
      expect(engine.once(...ENTRY, '--', 'sh', '-c', 'kill -9 $$').code).toBe(137);
      expect(engine.once(...ENTRY, '--', 'no-such-program').code).toBe(127);
      expect(engine.once(...ENTRY, '--', '/etc/passwd').code).toBe(126);
      expect(engine.once(...ENTRY, '--no-such-option', '--', 'true').code).toBe(2);
      const cmdline = engine.once(
        ...ENTRY,
        '--',
        'sh',
        '-c',
        'tr "\\0" " " </proc/1/cmdline',
      ).stdout;
      expect(cmdline).toContain(`${LAYER_BIN}/${entry} -- sh`);
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
      engine.remove(other);
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
      await until(() => engine.processesOf(id).length <= 3, 'the orphan does not end');
      await engine.noZombie(id);
      engine.ask('pause', id);
      await stopped(id, output);
    });

    test('--pid=host: not PID 1, it adopts by itself', async () => {
      const script = `${ORPHAN_REAPED}; echo $o; ps -o pid,stat; exit 6`;
      const words = ['sh', '-c', script];
      const r = engine.once('--pid=host', ...ENTRY, '--warn-reaped', '--', ...words);
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
      const words = ['docker', 'run', '-it', '--rm', '--network=none', ...ENTRY, '--', 'sh', '-ic'];
      const terminal = new Running(['python3', bridge, ...engine.argv(...words, shell)], {
        env: cleanEnv({ TERM: 'dumb' }),
      });
      const order = (o: object) => terminal.child.stdin?.write(`${JSON.stringify(o)}\n`);
      await terminal.see(/sized/);
      order({ write: 'hello\n' });
      await terminal.see(/hello\s+hello/);
      order({ write: '\x03' });
      await terminal.see(/exit -?\d+/, 'stderr');
      terminal.child.stdin?.end();
      const { stdout, stderr } = await terminal.ended;
      expect(stderr).toMatch(/^exit 130$/m);
      expect(stdout).not.toMatch(/job control|not a tty|warning/i);
    });

    test('restart policies: on-failure counts, always comes back after kill', async () => {
      const id = engine.begin('--restart=on-failure:2', ...ENTRY, '--', 'sh', '-c', 'exit 3');
      const count = () => engine.inspect(id, '{{.RestartCount}} {{.State.Status}}');
      await until(() => count() === '2 exited', 'it is not restarted twice');
      expect(engine.inspect(id, '{{.State.ExitCode}}')).toBe('3');
      engine.remove(id);
      const { id: other, output } = await service('--restart=always');
      const before = engine.pidOf(other);
      engine.exec(['kill', '-KILL', String(before)]);
      await until(() => ![0, before].includes(engine.pidOf(other)), 'it does not come back');
      await output.ended;
      engine.remove(other);
    });

    test('healthcheck that leaves orphans: healthy, and none stays', async () => {
      const check = ['--health-cmd=(sleep 0.01 &); exit 0', '--health-interval=500ms'];
      const { id, output } = await service(...check);
      const health = () => engine.inspect(id, '{{.State.Health.Status}} {{len .State.Health.Log}}');
      await until(() => health() === 'healthy 5', 'there are no five checks');
      await engine.noZombie(id);
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
      const limited = (...words: string[]) => engine.once('--pids-limit=40', ...words, '-c', MAKER);

      test('is reached without an init', () => {
        const r = limited('--entrypoint=python3', imageOf('selenium'));
        const stderr = 'Resource temporarily unavailable\n';
        expect(r).toMatchObject({ code: 1, stdout: '', stderr });
      });

      test.each(['lychgate', 'lychgate-pid1'])('is not below %s', (entry) => {
        const r = limited(
          `--entrypoint=${LAYER_BIN}/${entry}`,
          imageOf('selenium'),
          '--',
          'python3',
        );
        expect(r).toMatchObject({ code: 0, stdout: 'made 200\n', stderr: '' });
      });
    });
  }

  test('the layer alone is a program, and is small', () => {
    expect(engine.once('lychgate/layer', '--version').stdout).toMatch(/^lychgate \d+\.\d+\.\d+\n$/);
    const size = Number(engine.ask('image', 'inspect', '--format', '{{.Size}}', 'lychgate/layer'));
    expect(size).toBeLessThan(95_000_000);
  });

  test('a baked plan needs no Node: there is none in the image', async () => {
    expect(engine.once(LEAN, 'sh', '-c', 'exit 42').code).toBe(42);
    expect(engine.once(LEAN, 'sh', '-c', 'ls /opt/lychgate/bin').stdout).toBe('lychgate-pid1\n');
    const id = engine.begin(LEAN, 'sh', '-c', 'echo ready; exec sleep 1000');
    await engine.logs(id).see(READY);
    engine.ask('stop', '--time=60', id);
    expect(engine.ask('wait', id)).toBe('0'); /* --remap-exit=143 */
    engine.remove(id);
  });

  test('the layer works on Debian as on musl, and COMMAND sees nothing of its libraries', () => {
    const words = ['sh', '-c', 'cat /proc/self/maps; env'];
    for (const entry of ['lychgate', 'lychgate-pid1']) {
      const r = engine.once(
        `--entrypoint=${LAYER_BIN}/${entry}`,
        imageOf('selenium'),
        '--',
        ...words,
      );
      expect(r.code).toBe(0);
      expect(r.stdout).not.toContain('/opt/lychgate/lib');
      expect(r.stdout).not.toContain('LD_');
    }
  });
}
