/** Each place that may know a container's names; null facts where it does not. */
import { parseMountinfo } from '../procfs';
import {
  asImage,
  asName,
  type Facts,
  fromLabels,
  merge,
  NOTHING,
  parseKubeName,
  parsePodLog,
} from './facts';
import { asObject, list, parseObject, readJson, readText } from './files';

const CRI = 'io.kubernetes.cri.';
const CRIO = 'io.kubernetes.cri-o.';

/**
 * config.json of an OCI bundle: containerd's CRI annotations
 * (internal/cri/annotations), nerdctl's labels, CRI-O's (pkg/annotations).
 */
export function fromBundle(root: string, bundle: string): Facts {
  const told = asObject(readJson(root, `${bundle}/config.json`)?.annotations) ?? {};
  const labels = { ...parseObject(told[`${CRIO}Labels`]), ...told };
  /* before containerd 1.6 only the folder of its logs names the pod */
  const logs = parsePodLog(told[`${CRI}sandbox-log-directory`] ?? told[`${CRIO}LogPath`]);
  return merge(
    {
      ...NOTHING,
      containerId: asName(told[`${CRIO}ContainerID`]),
      container: asName(told[`${CRI}container-name`] ?? told['nerdctl/name']),
      pod: asName(told[`${CRI}sandbox-name`]),
      namespace: asName(told[`${CRI}sandbox-namespace`]),
      podUid: asName(told[`${CRI}sandbox-uid`]),
      image: asImage(
        told[`${CRI}image-name`] ?? told[`${CRI}podsandbox.image-name`] ?? told[`${CRIO}ImageName`],
      ),
    },
    fromLabels(labels),
    parseKubeName(told[`${CRIO}Name`]),
    logs,
  );
}

const CRIO_STORAGE = ['/run/containers/storage', '/var/lib/containers/storage'];

export function fromCrio(root: string, id: string): Facts {
  return merge(
    ...CRIO_STORAGE.map((s) => fromBundle(root, `${s}/overlay-containers/${id}/userdata`)),
  );
}

/**
 * Docker's own record.
 * @param pid in the container: /etc/hostname there is bound from docker's folder,
 * which need not be /var/lib/docker
 */
export function fromDocker(root: string, id: string, pid: number): Facts {
  for (const folder of new Set(['/var/lib/docker', ...dockerRoots(root, id, pid)])) {
    const record = readJson(root, `${folder}/containers/${id}/config.v2.json`);
    if (!record) continue;
    const config = asObject(record.Config);
    const name = typeof record.Name === 'string' ? record.Name.replace(/^\//, '') : null;
    const kube = parseKubeName(name);
    const own = {
      ...NOTHING,
      container: kube ? null : asName(name),
      image: asImage(config?.Image),
    };
    return merge(fromLabels(config?.Labels), kube, own);
  }
  return NOTHING;
}

function dockerRoots(root: string, id: string, pid: number): string[] {
  return parseMountinfo(readText(root, `/proc/${pid}/mountinfo`) ?? '').flatMap((m) => {
    const at = m.root.indexOf(`/containers/${id}/`);
    return at > 0 && m.mountPoint.startsWith('/etc/') ? [m.root.slice(0, at)] : [];
  });
}

const POD_MOUNT =
  /\/pods\/([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})\/(?:containers\/([^/]+)\/|etc-hosts)/;

/** What kubelet mounts into every container: /etc/hosts and the termination log. */
export function fromMounts(root: string, pid: number): Facts {
  const all = parseMountinfo(readText(root, `/proc/${pid}/mountinfo`) ?? '').map((m): Facts => {
    const [, podUid, container] = POD_MOUNT.exec(m.root) ?? [];
    return { ...NOTHING, podUid: asName(podUid), container: asName(container) };
  });
  return merge(...all);
}

/** /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log: one folder names them all. */
export function readLogLinks(root: string): Map<string, Facts> {
  const found = new Map<string, Facts>();
  for (const name of list(root, '/var/log/containers')) {
    const m = /^([^_]+)_([^_]+)_([^_]+)-([0-9a-f]{64})\.log$/.exec(name);
    const [, pod, namespace, container, id] = m ?? [];
    if (!id) continue;
    found.set(id, {
      ...NOTHING,
      pod: asName(pod),
      namespace: asName(namespace),
      container: asName(container),
    });
  }
  return found;
}
