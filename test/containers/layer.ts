/** Both entries of the layer, as PID 1 below docker's verbs and options. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CgroupVersion } from '../support/engine';
import { type Containers, imageOf, LAYER_BIN, LEAN, READY } from '../support/images';
import { cleanEnv, ROOT, Running } from '../support/init';

export function layer(cgroup: CgroupVersion, containers: () => Containers): void {
  let c: Containers;
  beforeAll(() => {
    c = containers();
  });

  describe.each(['lychgate', 'lychgate-pid1'] as const)('%s of the layer', (entry) => {
    const ENTRY = [`--entrypoint=${LAYER_BIN}/${entry}`, imageOf('alpine')];
    const LISTENER = `trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; echo ready
      while :; do sleep 1000 & wait $!; done`;
    /** Three orphans that end at once, of a docker exec. */
    const ORPHANS = 'for i in 1 2 3; do (sleep 0.01 &) ; done; exit 5';
    const service = async (...options: string[]) => {
      const id = c.begin(...options, ...ENTRY, '--', 'sh', '-c', LISTENER);
      const output = c.logs(id);
      await output.see(READY);
      return { id, output };
    };
    /** They are there, they are gone, and COMMAND goes on. */
    const leaveOrphans = async (id: string, ...options: string[]) => {
      expect(c.engine.docker('exec', ...options, id, 'sh', '-c', ORPHANS).code).toBe(5);
      await c.until('the orphans end', () => c.engine.processesOf(id).length <= 3);
      await c.noZombie(id);
    };
    const stopped = async (id: string, output: Running) => {
      c.engine.ask('stop', '--time=60', id);
      expect(c.engine.ask('wait', id)).toBe('7');
      await output.ended;
      c.remove(id);
    };

    test('run: exit codes, and it is PID 1', () => {
      expect(c.once(...ENTRY, '--', 'sh', '-c', 'exit 42').code).toBe(42);
      expect(c.once(...ENTRY, '--', 'sh', '-c', 'kill -9 $$').code).toBe(137);
      expect(c.once(...ENTRY, '--', 'no-such-program').code).toBe(127);
      expect(c.once(...ENTRY, '--', '/etc/passwd').code).toBe(126);
      expect(c.once(...ENTRY, '--no-such-option', '--', 'true').code).toBe(2);
      const cmdline = c.once(...ENTRY, '--', 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline').stdout;
      expect(cmdline).toContain(`${LAYER_BIN}/${entry} -- sh`);
    });

    test('kill -s USR1 and stop reach COMMAND; kill ends all', async () => {
      const { id, output } = await service();
      c.engine.ask('kill', '-s', 'USR1', id);
      await output.see(/usr1/);
      await stopped(id, output);
      const { id: other, output: said } = await service();
      c.engine.ask('kill', other);
      expect(c.engine.ask('wait', other)).toBe('137');
      await said.ended;
      c.remove(other);
    });

    test('exec leaves orphans: none stays', async () => {
      const { id, output } = await service();
      await leaveOrphans(id);
      await leaveOrphans(id, '--user=65534');
      await stopped(id, output);
    });

    test('pause: what died meanwhile is reaped after unpause; stop of a paused one', async () => {
      const { id, output } = await service();
      c.engine.ask('exec', '-d', id, 'sh', '-c', 'sleep 0.2 & exit 0');
      c.engine.ask('pause', id);
      c.engine.ask('unpause', id);
      await c.until('the orphan ends', () => c.engine.processesOf(id).length <= 3);
      await c.noZombie(id);
      c.engine.ask('pause', id);
      await stopped(id, output);
    });

    test('--pid=host: not PID 1, it adopts by itself', async () => {
      const words = ['sh', '-c', '(sleep 0.01 & echo $!); sleep 0.3; ps -o pid,stat; exit 6'];
      const r = c.once('--pid=host', ...ENTRY, '--warn-reaped', '--', ...words);
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
      const terminal = new Running(['python3', bridge, ...c.engine.argv(...words, shell)], {
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
      const id = c.begin('--restart=on-failure:2', ...ENTRY, '--', 'sh', '-c', 'exit 3');
      const count = () => c.inspect(id, '{{.RestartCount}} {{.State.Status}}');
      await c.until('two restarts', () => count() === '2 exited');
      expect(c.inspect(id, '{{.State.ExitCode}}')).toBe('3');
      c.remove(id);
      const { id: other, output } = await service('--restart=always');
      const before = c.engine.pidOf(other);
      c.engine.exec(['kill', '-KILL', String(before)]);
      await c.until('it is back', () => ![0, before].includes(c.engine.pidOf(other)));
      await output.ended.catch(() => undefined);
      c.remove(other);
    });

    test('healthcheck that leaves orphans: healthy, and none stays', async () => {
      const check = ['--health-cmd=(sleep 0.01 &); exit 0', '--health-interval=500ms'];
      const { id, output } = await service(...check);
      const health = () => c.inspect(id, '{{.State.Health.Status}} {{len .State.Health.Log}}');
      await c.until('five checks', () => health() === 'healthy 5');
      await c.noZombie(id);
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
      const limited = (...words: string[]) => c.once('--pids-limit=40', ...words, '-c', MAKER);

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
    expect(c.once('lychgate/layer', '--version').stdout).toMatch(/^lychgate \d+\.\d+\.\d+\n$/);
    const size = Number(
      c.engine.ask('image', 'inspect', '--format', '{{.Size}}', 'lychgate/layer'),
    );
    expect(size).toBeLessThan(95_000_000);
  });

  test('a baked plan needs no Node: there is none in the image', async () => {
    expect(c.once(LEAN, 'sh', '-c', 'exit 42').code).toBe(42);
    expect(c.once(LEAN, 'sh', '-c', 'ls /opt/lychgate/bin').stdout).toBe('lychgate-pid1\n');
    const id = c.begin(LEAN, 'sh', '-c', 'echo ready; exec sleep 1000');
    await c.logs(id).see(READY);
    c.engine.ask('stop', '--time=60', id);
    expect(c.engine.ask('wait', id)).toBe('0'); /* --remap-exit=143 */
    c.remove(id);
  });

  test('the layer works on Debian as on musl, and COMMAND sees nothing of its libraries', () => {
    const words = ['sh', '-c', 'cat /proc/self/maps; env'];
    for (const entry of ['lychgate', 'lychgate-pid1']) {
      const r = c.once(`--entrypoint=${LAYER_BIN}/${entry}`, imageOf('selenium'), '--', ...words);
      expect(r.code).toBe(0);
      expect(r.stdout).not.toContain('/opt/lychgate/lib');
      expect(r.stdout).not.toContain('LD_');
    }
  });
}
