/** What kubelet leaves behind with every engine: links to the logs, and its mounts. */
import type { Mount } from '../procfs';
import { asName, type Facts, NOTHING, parsePodLog } from './facts';
import { list, readLink } from './files';

const FOLDER = '/var/log/containers';
/** POD_NAMESPACE_CONTAINER-ID.log */
const LINK = /^([^_]+)_([^_]+)_([^_]+)-([0-9a-f]{64})\.log$/;

/** One look at the folder. @returns the links' names by container id */
export function listLogLinks(root: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of list(root, FOLDER)) {
    const id = LINK.exec(name)?.[4];
    if (id !== undefined) found.set(id, name);
  }
  return found;
}

/** @param name of a link; where it points to tells the pod's uid */
export function fromLogLink(name: string, root: string): Facts {
  const [pod, namespace, container] = (LINK.exec(name) ?? []).slice(1, 4).map(asName);
  const podUid = parsePodLog(readLink(root, `${FOLDER}/${name}`))?.podUid ?? null;
  return {
    ...NOTHING,
    pod: pod ?? null,
    namespace: namespace ?? null,
    container: container ?? null,
    podUid,
  };
}

/** Wherever kubelet's own folder lies; kind has it in a volume of docker. */
const MOUNTED =
  /\/pods\/([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/(?:containers\/([^/]+)\/|etc-hosts$)/;

/**
 * kubelet binds pods/UID/etc-hosts, and pods/UID/containers/NAME/... for the
 * termination message.
 * @param podUid where it is known, no other's mounts count
 */
export function fromMounts(mounts: readonly Mount[], podUid: string | null): Facts | null {
  let uid = podUid;
  let container: string | null = null;
  for (const mount of mounts) {
    const m = MOUNTED.exec(mount.root);
    if (!m?.[1] || (uid !== null && m[1] !== uid)) continue;
    uid = m[1];
    container ??= asName(m[2]);
  }
  return uid === null ? null : { ...NOTHING, podUid: uid, container };
}
