/** dockerd's own record of a container: config.v2.json. */
import type { Mount } from '../procfs';
import { asImage, asName, type Facts, fromLabels, merge, NOTHING, parseKubeName } from './facts';
import { asObject, readJson } from './files';

const DATA_ROOT = '/var/lib/docker';

/**
 * @param id checked already, for it is part of the path
 * @param mounts of a process in the container, asked only when docker's usual folder has none
 */
export function fromDocker(id: string, mounts: () => readonly Mount[], root: string): Facts | null {
  const usual = readRecord(DATA_ROOT, id, root);
  if (usual) return usual;
  const other = dataRoot(mounts());
  return other === null || other === DATA_ROOT ? null : readRecord(other, id, root);
}

function readRecord(dataRoot: string, id: string, root: string): Facts | null {
  const record = readJson(root, `${dataRoot}/containers/${id}/config.v2.json`);
  if (!record || (record['ID'] !== undefined && record['ID'] !== id)) return null;
  const config = asObject(record['Config']);
  const name = typeof record['Name'] === 'string' ? record['Name'].replace(/^\//, '') : null;
  const kube = parseKubeName(name);
  return merge(fromLabels(config?.['Labels']), kube, {
    ...NOTHING,
    runtime: 'docker',
    container: kube ? null : asName(name),
    image: asImage(config?.['Image']),
  });
}

/**
 * docker binds ROOT/containers/ID/hostname on /etc/hostname. As the file system
 * counts it: short by the mount point when docker has one of its own.
 */
function dataRoot(mounts: readonly Mount[]): string | null {
  for (const { mountPoint, root } of mounts) {
    const m = mountPoint === '/etc/hostname' ? HOSTNAME.exec(root) : null;
    if (m && !root.split('/').includes('..')) return m[1] ?? null;
  }
  return null;
}

const HOSTNAME = /^(\/.*)\/containers\/[0-9a-f]{64}\/hostname(?:\/\/deleted)?$/;
