/** `lychgate freezer` over containers that docker paused, on both versions of cgroups. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FreezerReport } from '../../src/freezer';
import { type Engine, requireEngine, startEngine } from '../support/engine';
import { lychgate } from '../support/init';

for (const cgroup of [1, 2] as const) {
  describe.runIf(requireEngine(cgroup))(`cgroup v${cgroup}`, () => {
    let engine: Engine;
    let image: string;
    beforeAll(async () => {
      engine = await startEngine({ cgroup });
      image = engine.importBusybox();
    });
    afterAll(async () => {
      await engine?.stop();
    });

    const start = () => engine.ask('run', '-d', '--network', 'none', image, 'sleep', '1000');
    const freezer = (...args: string[]) => {
      const r = engine.exec(lychgate('freezer', '--format', 'json', ...args));
      return { ...r, report: (r.stdout ? JSON.parse(r.stdout) : undefined) as FreezerReport };
    };
    const frozen = (report: FreezerReport) => report.hierarchies.find((h) => h.state === 'frozen');
    const paused = (id: string) => engine.inspect(id, '{{.State.Paused}}');

    test('paused: named by id, prefix and pid; docker unpause is the first advice', () => {
      const id = start();
      engine.ask('pause', id);
      for (const name of [id, id.slice(0, 10), String(engine.pidOf(id))]) {
        const { code, report } = freezer(name);
        expect({ code, state: report.state, by: report.frozenBy }).toEqual({
          code: 1,
          state: 'frozen',
          by: 'self',
        });
        expect(frozen(report)).toMatchObject({
          version: cgroup,
          owner: {
            engine: 'docker',
            name: id,
            thaw: `docker unpause ${id.slice(0, 12)}`,
            paused: true,
          },
          advice: expect.stringMatching(/To thaw: docker unpause [0-9a-f]{12}, or lychgate/),
        });
      }
      expect(engine.docker('unpause', id).code).toBe(0);
      expect(freezer(id)).toMatchObject({ code: 0, report: { state: 'running' } });
      engine.remove(id);
    });

    test('thawed behind its back: the failure of docker unpause was foretold', () => {
      const id = start();
      engine.ask('pause', id);
      const thawed = freezer('--thaw', id);
      expect(thawed).toMatchObject({ code: 0, report: { state: 'running', frozenBy: null } });
      expect(thawed.stderr).toContain(`its own command is: docker unpause ${id.slice(0, 12)}`);
      expect(thawed.stderr).toContain('then fails (container not paused)');
      const unpause = engine.docker('unpause', id);
      expect(unpause.code).toBe(1);
      expect(unpause.stderr).toContain('container not paused');
      expect(paused(id)).toBe('true');
      engine.remove(id);
    });

    test('frozen behind its back: docker would refuse, so the raw thaw is the advice', () => {
      const id = start();
      const directory = engine.cgroupOf(id);
      const file = cgroup === 1 ? 'freezer.state' : 'cgroup.freeze';
      const request = cgroup === 1 ? 'FROZEN' : '1';
      engine.exec(['sh', '-c', `echo ${request} > ${directory}/${file}`]);
      const { report } = freezer('--wait', '30', '--until', 'frozen', id);
      expect(frozen(report)).toMatchObject({
        owner: { paused: false },
        advice: expect.stringContaining('docker does not know of it'),
      });
      expect(engine.docker('unpause', id).stderr).toContain('is not paused');
      expect(freezer('--thaw', id)).toMatchObject({ code: 0, report: { state: 'running' } });
      expect(paused(id)).toBe('false');
      expect(engine.docker('exec', id, 'true').code).toBe(0);
      engine.remove(id);
    });
  });
}
