/** Whose cgroup is it, what does the owner believe, and what does a thaw behind its back do. */
import { readFileSync } from 'node:fs';
import { ownerOf as byPath } from '../containers';
import type { Owner } from './model';

/** @param root of /var: where --root points to */
export function ownerOf(path: string, root: string): Owner | null {
  const owner = byPath(path);
  if (!owner) return null;
  const { engine, name, thaw, freeze } = owner;
  const paused = engine === 'docker' ? pausedInDocker(name, root) : null;
  return { engine, name, thaw, paused, afterRawThaw: aftermath(engine, thaw, freeze) };
}

/** Docker keeps its record on disk; null where it cannot be read. */
function pausedInDocker(id: string, root: string): boolean | null {
  try {
    const file = `${root}/var/lib/docker/containers/${id}/config.v2.json`;
    const config: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const paused = (config as { State?: { Paused?: unknown } }).State?.Paused;
    return typeof paused === 'boolean' ? paused : null;
  } catch {
    return null;
  }
}

/** As seen with docker 20.10, containerd 1.6 and runc 1.1, on v1 and on v2. */
function aftermath(engine: string, thaw: string, freeze: string): string {
  if (engine === 'systemd') return `systemd still takes the unit for frozen until ${thaw}`;
  if (engine === 'lxc') return 'LXC reads the cgroup itself and takes note';
  return (
    `it runs, but ${engine} still takes it for paused: "${thaw}" then fails (container not ` +
    `paused), and so do exec and "${freeze}"; restart, stop and kill work`
  );
}
