/**
 * The manifests of examples/, run by docker: what a pod's spec asks of the kernel is asked of docker
 * in its words. There is no kubelet here; what it alone does (probes' timing, tolerations) is read only.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { until } from '../support/cgroups';
import type { Engine } from '../support/engine';
import { ROOT } from '../support/init';

interface Container {
  name: string;
  image: string;
  args: string[];
  env?: { name: string; value: string }[];
  securityContext: Record<string, unknown>;
  resources: { requests: Record<string, string>; limits: { memory: string } };
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
  livenessProbe?: { exec: { command: string[] } };
}
interface PodSpec {
  containers: [Container];
  volumes: { name: string; emptyDir?: object; hostPath?: { path: string } }[];
  automountServiceAccountToken: boolean;
  terminationGracePeriodSeconds: number;
  hostPID?: boolean;
  securityContext?: Record<string, unknown>;
}

const read = (file: string) => parse(readFileSync(join(ROOT, 'examples', file), 'utf8'));
const pod = (): PodSpec => read('kubernetes/pod.yaml').spec;
const daemon = (): PodSpec => read('kubernetes/scan-daemonset.yaml').spec.template.spec;

/** Fields that say nothing about how the container itself runs. */
const ELSEWHERE = ['name', 'image', 'args', 'imagePullPolicy', 'livenessProbe', 'resources'];

/** A security context in docker's words. @throws on a field that it does not know */
function security(context: Record<string, unknown>): string[] {
  const words: Record<string, (value: unknown) => string[]> = {
    runAsUser: (user) => [`--user=${user}`],
    runAsNonRoot: () => {
      if (!(Number(context.runAsUser) > 0)) throw new Error('runAsNonRoot without a runAsUser');
      return [];
    },
    /* docker's own default profile is the runtime's */
    seccompProfile: () => [],
    allowPrivilegeEscalation: (yes) => (yes ? [] : ['--security-opt=no-new-privileges']),
    readOnlyRootFilesystem: (yes) => (yes ? ['--read-only'] : []),
    capabilities: (value) => {
      const { drop = [], add = [] } = value as { drop?: string[]; add?: string[] };
      return [...drop.map((c) => `--cap-drop=${c}`), ...add.map((c) => `--cap-add=${c}`)];
    },
  };
  return Object.entries(context).flatMap(([field, value]) => {
    const word = words[field];
    if (word === undefined) throw new Error(`securityContext.${field}: not known`);
    return word(value);
  });
}

/** Words of docker run, the image among them, before args. */
function words(spec: PodSpec): string[] {
  const [container] = spec.containers;
  const known = [...ELSEWHERE, 'env', 'securityContext', 'volumeMounts'];
  const strange = Object.keys(container).filter((field) => !known.includes(field));
  if (strange.length > 0) throw new Error(`not known: ${strange.join(' ')}`);
  const mounts = container.volumeMounts.flatMap(({ name, mountPath, readOnly }) => {
    const volume = spec.volumes.find((v) => v.name === name);
    if (volume?.hostPath) {
      return [`--volume=${volume.hostPath.path}:${mountPath}${readOnly ? ':ro' : ''}`];
    }
    if (volume?.emptyDir) return [`--mount=type=volume,destination=${mountPath}`];
    throw new Error(`no volume for ${mountPath}`);
  });
  return [
    ...(spec.hostPID ? ['--pid=host'] : []),
    ...security({ ...spec.securityContext, ...container.securityContext }),
    `--memory=${container.resources.limits.memory.replace(/i$/, '').toLowerCase()}`,
    ...(container.env ?? []).map(({ name, value }) => `--env=${name}=${value}`),
    ...mounts,
    container.image,
  ];
}

/** Seven children that have ended and are not waited for, as PID 1. */
const LEAKY = `import subprocess, time
left = [subprocess.Popen(["true"]) for _ in range(7)]
print("ready", flush=True); time.sleep(1000)`;

export function manifests(engineOf: () => Engine): void {
  describe('manifests', () => {
    let engine: Engine;
    beforeAll(() => {
      engine = engineOf();
    });
    test.each([
      ['the pod', pod],
      ['the DaemonSet', daemon],
    ])('%s is hardened', (_, spec) => {
      const { containers, automountServiceAccountToken } = spec();
      expect(automountServiceAccountToken).toBe(false);
      expect(containers).toHaveLength(1);
      expect(containers[0].securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    });

    test('the pod: no zombie, its probe, and TERM within the grace', async () => {
      const spec = pod();
      const [{ args, livenessProbe }] = spec.containers;
      const fewer = args.map((word) => (word === '20' ? '3' : word));
      expect(fewer).not.toEqual(args);
      const id = engine.begin(...words(spec), ...fewer);
      const output = engine.logs(id);
      await output.see(/^ready$/m);
      const probe = livenessProbe?.exec.command ?? [];
      expect(probe.length).toBeGreaterThan(0);
      expect(engine.docker('exec', id, ...probe).code).toBe(0);
      await engine.noZombie(id);
      const since = performance.now();
      engine.ask('stop', `--time=${spec.terminationGracePeriodSeconds}`, id);
      expect(performance.now() - since).toBeLessThan(spec.terminationGracePeriodSeconds * 1000);
      expect(engine.ask('wait', id)).toBe('143');
      expect((await output.ended).stderr).toMatch(/asking \d+ other processes to end/);
      engine.remove(id);
    });

    test('the DaemonSet: it names the container that leaks, and writes nothing else', async () => {
      const spec = daemon();
      const image = 'lychgate-examples/selenium';
      const leaky = engine.begin('--name=leaky', '--entrypoint=python3', image, '-c', LEAKY);
      await engine.logs(leaky).see(/^ready$/m);
      const [{ args }] = spec.containers;
      /* sooner, else as it stands */
      const sooner = [...args.map((word) => (word === '60' ? '1' : word)), '--hold=1'];
      const id = engine.begin(...words(spec), ...sooner);
      const file = '/var/lib/node_exporter/textfile/lychgate.prom';
      const report = () => {
        try {
          return engine.read(file);
        } catch {
          return ''; /* not yet */
        }
      };
      await until(
        () => /^lychgate_\S*\{.*leaky.*\} 7$/m.test(report()),
        'the report does not come',
      );
      expect(engine.inspect(id, '{{.State.Status}}')).toBe('running');
      expect(engine.docker('logs', id)).toMatchObject({ code: 0, stderr: '' });
      expect(engine.ask('diff', id)).toMatch(
        /^(?:[AC] \/(?:host|textfile|proc|sys|dev|etc|run|var)\S*\n?)*$/,
      );
      engine.remove(id, leaky);
    });

    test('compose: up, healthy, down', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'lychgate-compose-'));
      const file = join(ROOT, 'examples', 'compose', 'compose.yaml');
      const override = join(folder, 'override.yaml');
      /* There is no bridge; and what is shown of the sessions is shown elsewhere. */
      const service = { network_mode: 'none', command: ['python3', 'crawler.py', '2'] };
      const compose = ['docker-compose', '-p', 'lychgate', '-f', file, '-f', override];
      const run = (...more: string[]) => engine.succeed([...compose, ...more]);
      try {
        writeFileSync(override, JSON.stringify({ services: { crawler: service } }));
        expect(parse(run('config')).services.crawler.stop_grace_period).toBe('15s');
        run('up', '-d', '--no-build');
        const id = run('ps', '-q');
        const health = () => engine.inspect(id, '{{.State.Health.Status}}');
        const output = engine.logs(id);
        await output.see(/^ready$/m);
        await until(() => health() === 'healthy', 'it does not get healthy');
        await engine.noZombie(id);
        run('stop');
        expect(engine.inspect(id, '{{.State.ExitCode}}')).toBe('143');
        await output.ended;
      } finally {
        run('down', '-v');
        rmSync(folder, { recursive: true });
      }
    });
  });
}
