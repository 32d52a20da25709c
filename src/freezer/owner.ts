/** Whose cgroup is it, as the freezer says it. */
import type { Owner } from './model';

export function ownerOf(_path: string): Owner | null {
  return null;
}
