/** `lychgate scan` beside real containers: docker's, and those of a pod as CRI makes them. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import schema from '../../docs/schema/scan.schema.json';
import type { Finding, ScanReport } from '../../src/scan';
import { type Engine, requireEngine, startEngine } from '../support/engine';
import { cleanEnv, lychgate, ROOT, type Running, run } from '../support/init';
import { type Leftovers, NOTHING, since, survey } from '../support/leftovers';

const valid = new Ajv({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(
  schema,
);

const goIsThere = run(['sh', '-c', 'command -v go']).code === 0;
if (!goIsThere) console.log('SKIP scan of containers: go is not installed, the maker needs it');

/** Where containerd's shims have their bundles. */
const BUNDLES = '/run/containerd/io.containerd.runtime.v2.task';
const IMAGE = 'maker:local';
/** The same with lychgate as the ENTRYPOINT. */
const WITH_INIT = 'maker-init:local';

/** --audit writes lines of this. */
interface AuditLine {
  time: string;
  host: string;
  user: string;
  action: string;
  signal: string | null;
  result: string;
  target: { pid: number; startTicks: number; comm: string };
  finding: Pick<Finding, 'class' | 'count' | 'parent' | 'container'>;
}

/** The maker from the examples, as a static program. */
function buildMaker(file: string): void {
  const source = join(ROOT, 'examples', 'zombies', 'maker.go');
  const env = cleanEnv({ CGO_ENABLED: '0', GO111MODULE: 'off', GOFLAGS: '' });
  const built = run(['go', 'build', '-o', file, source], { env });
  if (built.code !== 0) throw new Error(`go build failed: ${built.stderr}`);
}

for (const cgroup of [1, 2] as const) {
  describe.runIf(goIsThere && requireEngine(cgroup))(`cgroup v${cgroup}`, () => {
    let before: Leftovers;
    let engine: Engine;
    beforeAll(async () => {
      before = survey();
      engine = await startEngine({ cgroup });
      const folder = mkdtempSync(join(tmpdir(), 'maker-'));
      try {
        buildMaker(join(folder, 'maker'));
        const bases = { [IMAGE]: engine.importBusybox(), [WITH_INIT]: engine.importNode() };
        for (const [tag, base] of Object.entries(bases)) {
          writeFileSync(join(folder, 'Dockerfile'), `FROM ${base}\nCOPY maker /bin/maker\n`);
          engine.succeed(['env', 'DOCKER_BUILDKIT=0', 'docker', 'build', '-q', '-t', tag, folder]);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
    afterEach(() => {
      const left = engine.ask('ps', '-aq').split('\n').filter(Boolean);
      if (left.length > 0) engine.remove(...left);
    });
    afterAll(async () => {
      await engine?.stop();
      expect(since(before)).toEqual(NOTHING);
    });

    /** Docker's, in which the maker has made its zombies. @returns its id */
    async function start(options: readonly string[], ...command: string[]): Promise<string> {
      const id = engine.begin(...options, ...command);
      await engine.logs(id).see(/^ready$/m);
      return id;
    }

    function scan(...args: string[]) {
      const command = lychgate('scan', '--hold', '1', '--format', 'json', ...args);
      const { code, stdout, stderr } = engine.exec(command);
      if (stdout === '') throw new Error(`no report (${code}): ${stderr}`);
      const report = JSON.parse(stdout) as ScanReport;
      expect(valid(report), JSON.stringify(valid.errors)).toBe(true);
      expect(code).toBe(report.findings.length > 0 ? 1 : 0);
      return { stderr, report };
    }

    /** Of one container. */
    const scanOf = (id: string, ...args: string[]) => scan('--container', id, ...args);
    const only = (report: ScanReport): Finding => {
      expect(report.findings).toHaveLength(1);
      return report.findings[0] as Finding;
    };

    function audited(file: string): AuditLine[] {
      const lines = engine.read(file).split('\n');
      return lines.map((line) => JSON.parse(line) as AuditLine);
    }

    const field = (id: string, path: string) => engine.inspect(id, `{{${path}}}`);
    const comm = (pid: number) => engine.read(`/proc/${pid}/comm`);
    const shimOf = (pid: number) =>
      Number(/^PPid:\s+(\d+)/m.exec(engine.read(`/proc/${pid}/status`))?.[1]);

    /** From now on; await see(/^die\nstart$/m) for a restart. */
    function events(id: string): Running {
      const filters = [`container=${id}`, 'event=die', 'event=start'];
      return engine.start([
        ...['docker', 'events', '--since', (Date.now() / 1000).toFixed(3)],
        ...filters.flatMap((f) => ['--filter', f]),
        ...['--format', '{{.Action}}'],
      ]);
    }
    const RESTARTED = /^die\nstart$/m;

    /** What an action says without --yes, and that it does nothing. */
    function wouldDo(id: string, action: string): string {
      const pid = engine.pidOf(id);
      const { stderr, report } = scanOf(id, '--action', action);
      expect(only(report).count).toBe(only(scanOf(id).report).count);
      expect(engine.pidOf(id)).toBe(pid);
      return stderr;
    }

    describe('finds', () => {
      test('the zombies of a Go program that never waits', async () => {
        const limit = cgroup === 1 ? ['--pids-limit', '60'] : [];
        const id = await start(['--name', 'careless', ...limit, IMAGE], 'maker', '37');
        const pid = engine.pidOf(id);
        const { report } = scanOf(id);
        expect(report).toMatchObject({ zombies: 37, stuck: 0, frozen: 0 });
        expect(report.holdSeconds).toBeGreaterThanOrEqual(1);
        const found = only(report);
        expect(found).toMatchObject({
          state: 'Z',
          class: 'negligent-parent',
          count: 37,
          parent: { pid, comm: 'maker', command: 'maker 37', isInit: true },
          container: { id, name: 'careless', runtime: 'docker', image: IMAGE, pod: null },
          advice: expect.stringMatching(/container's first process does not reap; .*lychgate/),
        });
        expect(found.seenSeconds).toBeGreaterThanOrEqual(1);
        expect(found.processes).toHaveLength(20);
        expect(new Set(found.processes.map((p) => p.comm))).toEqual(new Set(['true']));
        if (cgroup === 1) {
          expect(found.limit).toMatchObject({ name: 'pids.max', max: 60, of: `/docker/${id}` });
          // the program's own threads count as well
          expect(found.limit?.current).toBeGreaterThan(37);
        }
      });

      test('those of one container by --container, by its beginning', async () => {
        const one = await start([IMAGE], 'maker', '3');
        const two = await start([IMAGE], 'maker', '4');
        const all = scan().report.findings.map((f) => f.container?.id);
        expect(all).toEqual(expect.arrayContaining([one, two]));
        expect(only(scan('--container', one.slice(0, 12)).report)).toMatchObject({
          count: 3,
          container: { id: one },
        });
        expect(only(scan('--container', two.slice(0, 12)).report)).toMatchObject({
          count: 4,
          container: { id: two },
        });
        expect(scan('--container', 'f'.repeat(64)).report.findings).toEqual([]);
      });

      test('a paused container as frozen, and its zombies as of a frozen parent', async () => {
        const id = await start(['--name', 'still', IMAGE], 'sh', '-c', 'maker 5; :');
        const directory = engine.cgroupOf(id);
        const letters = () => {
          const pid = engine.pidOf(id);
          return /^State:\s+(\S)/m.exec(engine.read(`/proc/${pid}/status`))?.[1];
        };
        const running = only(scanOf(id).report);
        expect(running).toMatchObject({ class: 'negligent-parent', parent: { isInit: false } });
        engine.ask('pause', id);
        if (cgroup === 2) expect(letters()).toBe('S');
        const { report } = scanOf(id);
        expect(report).toMatchObject({ zombies: 5, frozen: 2, stuck: 0 });
        expect(report.findings).toHaveLength(2);
        const [zombies, frozen] = report.findings;
        expect(zombies).toMatchObject({
          state: 'Z',
          class: 'parent-frozen',
          count: 5,
          container: { id, name: 'still' },
          parent: { comm: 'maker' },
          advice: expect.stringContaining(`lychgate freezer ${running.parent?.pid}`),
        });
        expect(frozen).toMatchObject({
          state: 'frozen',
          class: 'frozen',
          count: 2,
          where: directory,
          container: { id, name: 'still', runtime: 'docker' },
          parent: null,
        });
        expect(frozen?.processes.map((p) => p.comm).sort()).toEqual(['maker', 'sh']);
        expect(scanOf(id, '--state', 'Z').report).toMatchObject({ zombies: 5, frozen: 0 });
        engine.ask('unpause', id);
        expect(only(scanOf(id).report)).toMatchObject({ class: 'negligent-parent', count: 5 });
      });
    });

    describe('acts', () => {
      test('kill-parent: not on the first process of a container', async () => {
        const id = await start([IMAGE], 'maker', '3');
        const refused = /kill-parent refused: .*\(maker\) is the first process .*restart-container/;
        expect(wouldDo(id, 'kill-parent')).toMatch(refused);
        const file = `/run/refused-${cgroup}.jsonl`;
        const pid = engine.pidOf(id);
        const { stderr } = scanOf(id, '--action', 'kill-parent', '--yes', '--audit', file);
        expect(stderr).toMatch(refused);
        expect(engine.read(file)).toBe('');
        expect(engine.pidOf(id)).toBe(pid);
        expect(comm(pid)).toBe('maker');
      });

      for (const [init, command] of [
        ['sh', [IMAGE, 'sh', '-c', 'maker 6; sleep 1000']],
        ['lychgate', [WITH_INIT, '--', 'sh', '-c', 'maker 6; sleep 1000']],
      ] as const) {
        test(`kill-parent: below ${init} the zombies are gone with it`, async () => {
          const id = await start([], ...command);
          const found = only(scanOf(id).report);
          const parent = found.parent;
          expect(parent).toMatchObject({ comm: 'maker', isInit: false });
          expect(wouldDo(id, 'kill-parent')).toContain(
            `would end ${parent?.pid} (maker) by SIGTERM, then SIGKILL; its 6 zombies go`,
          );
          const file = `/run/parent-${init}-${cgroup}.jsonl`;
          const { stderr } = scanOf(id, '--action', 'kill-parent', '--yes', '--audit', file);
          expect(stderr).toContain(`sent SIGTERM to ${parent?.pid} (maker)`);
          expect(stderr).toContain(`${parent?.pid} (maker) ended`);
          const [line, ...more] = audited(file);
          expect(more).toEqual([]);
          expect(line).toMatchObject({
            action: 'kill-parent',
            signal: 'SIGTERM',
            result: 'sent',
            user: 'root',
            target: { pid: parent?.pid, startTicks: parent?.startTicks, comm: 'maker' },
            finding: { class: 'negligent-parent', count: 6, container: { id } },
          });
          expect(Date.parse(line?.time ?? '')).toBeGreaterThan(0);
          expect(scanOf(id).report).toMatchObject({ zombies: 0, findings: [] });
          expect(field(id, '.State.Running')).toBe('true');
        });
      }

      test('restart-container: the first process ends, docker starts it again', async () => {
        const id = await start(['--restart=always', IMAGE], 'maker', '4');
        const pid = engine.pidOf(id);
        const started = field(id, '.State.StartedAt');
        expect(wouldDo(id, 'restart-container')).toMatch(
          new RegExp(`would end the container by SIGTERM, .* first process ${pid} \\(maker\\)`),
        );
        expect(field(id, '.State.StartedAt')).toBe(started);
        const file = `/run/restart-${cgroup}.jsonl`;
        const watch = events(id);
        const { stderr } = scanOf(id, '--action', 'restart-container', '--yes', '--audit', file);
        expect(stderr).toContain(`${pid} (maker) ended`);
        await watch.see(RESTARTED);
        expect(field(id, '.State.StartedAt')).not.toBe(started);
        expect(engine.pidOf(id)).not.toBe(pid);
        expect(audited(file)).toMatchObject([
          { action: 'restart-container', signal: 'SIGTERM', result: 'sent', target: { pid } },
        ]);
      });

      test('restart-container: a first process that is deaf to SIGTERM is killed', async () => {
        // a shell as PID 1 has no handler, and the parent of the zombies is not the target
        const id = await start(['--restart=always', IMAGE], 'sh', '-c', 'maker 4; :');
        const pid = engine.pidOf(id);
        const file = `/run/deaf-${cgroup}.jsonl`;
        const watch = events(id);
        const { stderr } = scanOf(id, '--action', 'restart-container', '--yes', '--audit', file);
        expect(stderr).toContain(`${pid} (sh) did not end in 10 s`);
        await watch.see(RESTARTED);
        expect(audited(file)).toMatchObject([
          { signal: 'SIGTERM', result: 'sent', target: { pid, comm: 'sh' } },
          { signal: 'SIGKILL', result: 'sent', target: { pid, comm: 'sh' } },
        ]);
      });

      test('of what was executed into a container: its first process is the target', async () => {
        const id = await start(['--restart=always', IMAGE], 'maker', '0');
        const pid = engine.pidOf(id);
        await engine.start(['docker', 'exec', id, 'maker', '3']).see(/^ready$/m);
        const parent = only(scanOf(id).report).parent;
        expect(parent).toMatchObject({ comm: 'maker', command: 'maker 3', isInit: false });
        expect(wouldDo(id, 'kill-parent')).toContain(`would end ${parent?.pid} (maker)`);
        const shim = wouldDo(id, 'kill-shim');
        expect(shim).toContain('and with it its only container');
        expect(shim).toMatch(new RegExp(`\\b${pid} \\(maker\\)`));
        expect(wouldDo(id, 'restart-container')).toContain(`first process ${pid} (maker)`);
        const watch = events(id);
        const { stderr } = scanOf(id, '--action', 'restart-container', '--yes');
        expect(stderr).toContain(`${pid} (maker) ended`);
        await watch.see(RESTARTED);
      });

      test('restart-container and kill-shim: not while it is frozen', async () => {
        const id = await start([IMAGE], 'maker', '3');
        engine.ask('pause', id);
        for (const action of ['restart-container', 'kill-shim']) {
          const { stderr } = scanOf(id, '--action', action, '--yes');
          expect(stderr).toContain(`${action} refused: parent-frozen: its parent is frozen`);
        }
        expect(field(id, '.State.Status')).toBe('paused');
        expect(only(scanOf(id, '--state', 'Z').report).count).toBe(3);
      });

      test('kill-shim: containerd ends its container, docker starts it again', async () => {
        const id = await start(['--restart=always', IMAGE], 'maker', '4');
        const pid = engine.pidOf(id);
        const shim = shimOf(pid);
        const blast = `${shim} (containerd-shim), and with it its only container`;
        const said = wouldDo(id, 'kill-shim');
        expect(said).toContain(`would kill the shim ${blast}`);
        expect(said).toContain(`${pid} (maker)`);
        expect(comm(shim)).toBe('containerd-shim');
        const started = field(id, '.State.StartedAt');
        const file = `/run/shim-${cgroup}.jsonl`;
        const watch = events(id);
        const { stderr } = scanOf(id, '--action', 'kill-shim', '--yes', '--audit', file);
        expect(stderr).toContain('its containers ended');
        await watch.see(RESTARTED);
        expect(field(id, '.State.StartedAt')).not.toBe(started);
        expect(shimOf(engine.pidOf(id))).not.toBe(shim);
        expect(audited(file)).toMatchObject([
          { action: 'kill-shim', signal: 'SIGKILL', result: 'sent', target: { pid: shim } },
          { action: 'kill-shim', signal: null, result: 'its containers ended' },
        ]);
      });

      test('kill-shim: not on what looks like containerd 2, unless forced', async () => {
        const id = await start(['--restart=always', IMAGE], 'maker', '4');
        const pid = engine.pidOf(id);
        const shim = shimOf(pid);
        const bundle = engine.succeed(['readlink', `/proc/${shim}/cwd`]);
        expect(bundle).toBe(`${BUNDLES}/moby/${id}`);
        writeFileSync(engine.path(`${bundle}/sandbox`), '');
        const refused = /kill-shim refused: .*containerd 2 does not end .*--force overrides/;
        expect(wouldDo(id, 'kill-shim')).toMatch(refused);
        expect(scanOf(id, '--action', 'kill-shim', '--yes').stderr).toMatch(refused);
        expect(comm(shim)).toBe('containerd-shim');
        const watch = events(id);
        const forced = scanOf(id, '--action', 'kill-shim', '--force');
        expect(forced.stderr).toContain(`would kill the shim ${shim} (containerd-shim)`);
        expect(comm(shim)).toBe('containerd-shim');
        const { stderr } = scanOf(id, '--action', 'kill-shim', '--force', '--yes');
        expect(stderr).toContain(`sent SIGKILL to ${shim} (containerd-shim)`);
        await watch.see(RESTARTED);
        expect(engine.pidOf(id)).not.toBe(pid);
      });
    });

    describe('in Kubernetes', () => {
      const CTR = ['ctr', '--namespace', 'k8s.io'];
      const REFERENCE = `docker.io/library/${IMAGE}`;
      const hex = () => randomBytes(32).toString('hex');
      const [sandbox, uid] = [hex(), randomUUID()];
      const running: [id: string, Running][] = [];

      /** As CRI does: one shim for all that have the same sandbox-id. */
      async function runInPod(id: string, own: Record<string, string>): Promise<void> {
        const cri: Record<string, string> = {
          'sandbox-id': sandbox,
          'sandbox-name': 'shop-7d4b9',
          'sandbox-namespace': 'sales',
          'sandbox-uid': uid,
          ...own,
        };
        const annotations = Object.entries(cri).flatMap(([key, value]) => [
          '--annotation',
          `io.kubernetes.cri.${key}=${value}`,
        ]);
        const count = own['container-type'] === 'sandbox' ? '0' : '8';
        const command = [REFERENCE, id, 'maker', count];
        // no shares: v2 need not have the cpu controller
        const options = ['--rm', '--cpu-shares', '0', ...annotations];
        const container = engine.start([...CTR, 'run', ...options, ...command]);
        running.push([id, container]);
        await container.see(/^ready$/m);
      }

      beforeAll(async () => {
        engine.ask('save', '-o', '/run/maker.tar', IMAGE);
        engine.succeed([...CTR, 'images', 'import', '/run/maker.tar']);
        await runInPod(sandbox, { 'container-type': 'sandbox' });
      });
      afterAll(async () => {
        for (const [id, container] of running.reverse()) {
          engine.exec([...CTR, 'tasks', 'kill', '--signal', 'SIGKILL', id]);
          await container.ended;
        }
      });

      test('pod, namespace, container and image are told from the bundle', async () => {
        const id = hex();
        await runInPod(id, {
          'container-type': 'container',
          'container-name': 'till',
          'image-name': 'registry.example/shop/till:3',
        });
        const { report } = scan('--namespace', 'sales');
        const found = only(report);
        expect(found).toMatchObject({
          state: 'Z',
          class: 'negligent-parent',
          count: 8,
          parent: { comm: 'maker', command: 'maker 8', isInit: true },
          container: {
            id,
            runtime: 'containerd',
            name: 'till',
            image: 'registry.example/shop/till:3',
            pod: 'shop-7d4b9',
            namespace: 'sales',
            podUid: uid,
          },
        });
        // the shim is the sandbox's: the bundle of the container lies beside its own
        const shim = shimOf(found.parent?.pid as number);
        expect(engine.succeed(['readlink', `/proc/${shim}/cwd`])).toBe(
          `${BUNDLES}/k8s.io/${sandbox}`,
        );
      });

      test('--namespace leaves out other namespaces, and containers of none', async () => {
        const id = await start([IMAGE], 'maker', '2');
        const ids = scan().report.findings.map((f) => f.container?.namespace ?? f.container?.id);
        expect(ids).toEqual(expect.arrayContaining(['sales', id]));
        expect(scan('--namespace', 'sales').report.findings).toHaveLength(1);
        expect(scan('--namespace', 'sale').report).toMatchObject({ zombies: 0, findings: [] });
      });

      test('kill-shim tells the whole pod beforehand', () => {
        const { stderr, report } = scan('--namespace', 'sales', '--action', 'kill-shim');
        const pid = only(report).parent?.pid as number;
        const pids = engine.succeed([...CTR, 'tasks', 'ls']).matchAll(/^[0-9a-f]{64}\s+(\d+)/gm);
        const all = [...pids].map(([, p]) => Number(p));
        expect(all).toContain(pid);
        expect(stderr).toContain(`would kill the shim ${shimOf(pid)} (containerd-shim)`);
        expect(stderr).toContain('and with it its 2 containers, the whole pod:');
        for (const p of all) expect(stderr).toContain(`${p} (maker)`);
      });
    });
  });
}
