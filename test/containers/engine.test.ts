import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CgroupVersion,
  type Engine,
  environment,
  requireEngine,
  SCRIPT,
  startEngine,
} from '../support/engine';
import { NODE, Running } from '../support/init';
import { type Leftovers, NOTHING, since, survey } from '../support/leftovers';

const VERSIONS: CgroupVersion[] = [1, 2];

for (const cgroup of VERSIONS) {
  describe.runIf(requireEngine(cgroup))(`an engine with cgroup v${cgroup}`, () => {
    let before: Leftovers;
    let engine: Engine;
    beforeAll(async () => {
      before = survey();
      engine = await startEngine({ cgroup });
      engine.importBusybox();
    });
    afterAll(() => engine?.stop());

    test('runs a container', () => {
      expect(engine.ask('info', '--format', '{{.CgroupVersion}} {{.CgroupDriver}}')).toBe(
        `${cgroup} cgroupfs`,
      );
      const r = engine.once('busybox:local', 'echo', 'hi');
      expect(r).toMatchObject({ code: 0, stdout: 'hi\n' });
    });

    test('pauses one: the freezer file of its cgroup says so', () => {
      const id = engine.begin('busybox:local', 'sleep', '1000');
      const directory = engine.cgroupOf(id);
      const frozen = () =>
        cgroup === 1
          ? engine.read(`${directory}/freezer.state`)
          : engine.read(`${directory}/cgroup.freeze`) +
            /frozen (\d)/.exec(engine.read(`${directory}/cgroup.events`))?.[1];
      const [yes, no] = cgroup === 1 ? ['FROZEN', 'THAWED'] : ['11', '00'];
      expect(directory).toBe(`/sys/fs/cgroup/${cgroup === 1 ? 'freezer/' : ''}docker/${id}`);
      expect(frozen()).toBe(no);
      engine.ask('pause', id);
      expect(frozen()).toBe(yes);
      engine.ask('unpause', id);
      expect(frozen()).toBe(no);
      engine.remove(id);
    });

    test('leaves nothing behind, a frozen container least of all', async () => {
      const run = () => engine.begin('busybox:local', 'sleep', '1000');
      const id = run();
      engine.ask('pause', id);
      const inner = `${engine.cgroupOf(run())}/inner`; // where docker does not look
      const pid = engine.pidOf(engine.ask('ps', '-ql'));
      const freeze = cgroup === 1 ? 'echo FROZEN >freezer.state' : 'echo 1 >cgroup.freeze';
      const script = `mkdir ${inner} && cd ${inner} && echo ${pid} >cgroup.procs && ${freeze}`;
      expect(engine.exec(['sh', '-c', script])).toMatchObject({ code: 0 });
      const alive = since(before);
      expect(alive.cgroups.join()).toContain(id);
      expect(alive.processes.join()).toContain('(dockerd)');
      await engine.stop();
      expect(since(before)).toEqual(NOTHING);
    });

    test('ends with a test process that is killed', async () => {
      const start = `require('node:child_process').spawn('bash', ['${SCRIPT}', '${cgroup}'],
        { stdio: ['pipe', 'inherit', 'inherit'], detached: true })`;
      const tests = new Running([NODE, '-e', start], { env: environment() });
      await tests.see(/API listen on /, 'stderr');
      tests.kill('SIGKILL');
      await tests.ended; // its output closes when the last of the engine has ended
      expect(since(before)).toEqual(NOTHING);
    });
  });
}
