import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CgroupVersion, type Engine, requireEngine, startEngine } from '../support/engine';
import { bake, HAS_PID1 } from '../support/forms';

const VERSIONS: CgroupVersion[] = [1, 2];
const LEAN_ENTRY = ['--entrypoint', '/opt/lychgate/build/Release/lychgate-pid1'];
/** Each with the image, what goes before it, and options before COMMAND; baked ones hold -w. */
const FORMS = [
  {
    form: 'Node with the addon',
    image: 'lychgate:local',
    entry: [],
    warn: ['-w'],
    seen: 'lychgate sh -c',
  },
  ...(HAS_PID1
    ? [
        {
          form: 'lychgate-pid1, live plan',
          image: 'lychgate:local',
          entry: LEAN_ENTRY,
          warn: ['-w'],
          seen: 'lychgate-pid1 sh -c',
        },
        {
          form: 'lychgate-pid1, baked plan, no Node',
          image: 'lean:local',
          entry: [],
          warn: [],
          seen: 'lychgate-pid1 --plan',
        },
      ]
    : []),
];
/** Says what it is told, and goes on; `wait` lets the trap run at once. */
const LISTENER = `trap 'echo usr1' USR1; trap 'echo term; exit 7' TERM; echo ready
while :; do sleep 1000 & wait $!; done`;
/** Kill, and wait until it is dead, reaped or not. */
const KILL = `import os, select, signal, sys
fd = os.pidfd_open(int(sys.argv[1])); signal.pidfd_send_signal(fd, 9); select.select([fd], [], [])`;

for (const cgroup of VERSIONS) {
  describe.runIf(requireEngine(cgroup))(`as the ENTRYPOINT, cgroup v${cgroup}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ cgroup });
      engine.importNode();
      if (HAS_PID1) engine.importLean(bake('-w'));
      engine.importBusybox();
    });
    afterAll(() => engine?.stop());

    /** Leave an orphan with `docker exec`, then end it. */
    const endOrphan = (id: string) => {
      engine.ask('exec', id, 'sh', '-c', 'sleep 1234 </dev/null >/dev/null 2>&1 &');
      const orphan = engine
        .processesOf(id)
        .find(({ pid }) => engine.read(`/proc/${pid}/cmdline`) === 'sleep\x001234\x00');
      if (orphan === undefined) throw new Error('the orphan is not there');
      expect(engine.exec(['python3', '-c', KILL, String(orphan.pid)])).toMatchObject({ code: 0 });
    };

    test('an orphan of docker exec stays a zombie without an init', () => {
      const id = engine.begin('busybox:local', 'sleep', '1000');
      endOrphan(id);
      expect(engine.processesOf(id).map((p) => p.state)).toContain('Z');
      engine.remove(id);
    });

    describe.each(FORMS)('$form', ({ image, entry, warn, seen }) => {
      const once = (...command: string[]) => engine.once(...entry, image, ...command);
      const begin = (...command: string[]) => engine.begin(...entry, image, ...command);

      test('it is PID 1 there, and the exit code is handed through', () => {
        expect(once('sh', '-c', 'tr "\\0" " " </proc/1/cmdline').stdout).toContain(seen);
        expect(once('sh', '-c', 'exit 42').code).toBe(42);
        expect(once('sh', '-c', 'kill -9 $$').code).toBe(137);
        expect(once('no-such-program').code).toBe(127);
      });

      test('docker stop: TERM reaches COMMAND, whose code it is', async () => {
        const id = begin('sh', '-c', LISTENER);
        const output = engine.logs(id);
        await output.see(/ready/);
        const since = performance.now();
        engine.ask('stop', '--time=60', id);
        expect(performance.now() - since).toBeLessThan(20_000);
        expect(engine.ask('wait', id)).toBe('7');
        expect((await output.ended).stdout).toBe('ready\nterm\n');
      });

      test('docker stop: ends a COMMAND that would be deaf to TERM as PID 1', async () => {
        const id = begin('sh', '-c', 'echo ready; exec sleep 1000');
        const output = engine.logs(id);
        await output.see(/ready/); // what comes before Node has started is lost: PID 1
        const since = performance.now();
        engine.ask('stop', '--time=60', id);
        expect(performance.now() - since).toBeLessThan(20_000);
        expect(engine.ask('wait', id)).toBe('143');
        await output.ended;
      });

      test('docker kill -s USR1 reaches COMMAND', async () => {
        const id = begin('sh', '-c', LISTENER);
        const output = engine.logs(id);
        await output.see(/ready/);
        engine.ask('kill', '-s', 'USR1', id);
        await output.see(/usr1/);
        engine.remove(id);
        expect((await output.ended).stdout).toBe('ready\nusr1\n');
      });

      test('an orphan of docker exec is reaped', async () => {
        const id = begin(...warn, 'sh', '-c', LISTENER);
        const output = engine.logs(id);
        await output.see(/ready/);
        for (let n = 0; n < 3; n++) endOrphan(id);
        await output.see(/(?:reaped[\s\S]*){3}/, 'stderr');
        expect(engine.processesOf(id).filter((p) => p.state === 'Z')).toEqual([]);
        engine.remove(id);
        await output.ended;
      });
    });

    test.runIf(HAS_PID1)('below lychgate-pid1 COMMAND sees what it would see without', () => {
      const run = (...words: string[]) => {
        const fixed = ['run', '--rm', '--network=none', '--hostname=same', '-e', 'A=1', '-i'];
        return view(engine.ask(...fixed, ...words));
      };
      const without = run('--entrypoint', '/bin/probe', 'lean:local');
      const below = run('lean:local', '/bin/probe');
      expect(without.get('pid')).toBe('1');
      expect(without.get('session.leader')).toBe('1');
      const differ = [...new Set([...without.keys(), ...below.keys()])].filter(
        (key) => without.get(key) !== below.get(key),
      );
      /* the path of a cgroup holds the container's own id */
      expect(differ.filter((key) => key !== 'cgroup')).toEqual(['pid']);
    });
  });
}

function view(text: string): Map<string, string> {
  return new Map(
    text.split('\n').map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]),
  );
}
