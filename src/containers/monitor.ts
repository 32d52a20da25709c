/** What a monitor was started with: its argv names the container. */
import type { MonitorKind } from './ancestor';
import { asName, type Facts, NOTHING, parseKubeName, parsePodLog } from './facts';
import { readLink, readText } from './files';
import type { Runtime } from './identify';

export interface Monitor {
  /** containerd's: moby, k8s.io, default ... */
  namespace: string | null;
  /** Of a shim in Kubernetes it is the sandbox's, for there is one shim per pod. */
  id: string | null;
  container: string | null;
  pod: string | null;
  podNamespace: string | null;
  podUid: string | null;
  /** As its own mount namespace sees it. */
  bundle: string | null;
  runtime: Runtime | null;
}

/** Of conmon: what follows them is meant for others. */
const PASSED_ON = new Set([
  '--runtime-arg',
  '--runtime-opt',
  '--exit-command',
  '--exit-command-arg',
]);

/** The value of the first of these options: `-c V`, `--cid V`, `-cid=V`. */
function option(argv: readonly string[], ...names: readonly string[]): string | null {
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (PASSED_ON.has(arg)) {
      i++;
      continue;
    }
    const m = /^--?([a-z-]+)(?:=(.*))?$/s.exec(arg);
    if (m && names.includes(m[1] ?? '')) return m[2] ?? argv[i + 1] ?? null;
  }
  return null;
}

/** @returns all null when the process is gone or tells nothing */
export function readMonitor(kind: MonitorKind, pid: number, root = ''): Monitor {
  const argv = (readText(root, `/proc/${pid}/cmdline`) ?? '').split('\0');
  if (kind === 'conmon') return conmon(argv);
  if (kind === 'lxc') return { ...monitor(NOTHING, 'lxc'), id: lxcName(argv) };
  const namespace = asName(option(argv, 'namespace'));
  const docker = kind === 'docker-containerd-shim' || namespace === 'moby';
  return {
    ...monitor(NOTHING, docker ? 'docker' : namespace ? 'containerd' : null),
    namespace,
    id: shimId(argv),
    bundle: readLink(root, `/proc/${pid}/cwd`),
  };
}

function monitor(facts: Facts, runtime: Runtime | null): Monitor {
  const { container, pod, namespace: podNamespace, podUid } = facts;
  const own = { namespace: null, id: null, bundle: null, runtime };
  return { ...own, container, pod, podNamespace, podUid };
}

/**
 * -id ID since containerd 1.2; before, -workdir .../NAMESPACE/ID; at docker
 * before 17.11 the first argument.
 */
function shimId(argv: readonly string[]): string | null {
  const workdir = option(argv, 'workdir')?.split('/').at(-1);
  const first = /^[0-9a-f]{64}$/.exec(argv[1] ?? '')?.[0];
  return asName(option(argv, 'id') ?? workdir ?? first);
}

/** CRI-O's internal/oci/runtime_oci.go; podman's libpod/oci_conmon_common.go. */
function conmon(argv: readonly string[]): Monitor {
  const name = option(argv, 'n', 'name');
  const kube = parseKubeName(name) ?? parsePodLog(option(argv, 'l', 'log-path'));
  const crio =
    kube !== null ||
    /(^|\/)conmonrs$/.test(argv[0] ?? '') ||
    argv.some((a) => /(^|[/=])crio(\/|$)/.test(a));
  const bundle = option(argv, 'b', 'bundle');
  const told = argv.length > 1;
  return {
    ...monitor(
      kube ?? { ...NOTHING, container: asName(name) },
      told ? (crio ? 'cri-o' : 'podman') : null,
    ),
    id: asName(option(argv, 'c', 'cid')),
    bundle: bundle?.startsWith('/') && !bundle.split('/').includes('..') ? bundle : null,
  };
}

/** `lxc-start -n NAME`, or the title `[lxc monitor] /var/lib/lxc NAME`. */
function lxcName(argv: readonly string[]): string | null {
  const title = /^\[lxc monitor\] .* (\S+)$/.exec(argv[0] ?? '')?.[1];
  return asName(title ?? option(argv, 'n', 'name'));
}
