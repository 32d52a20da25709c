/** Words that the table and the tree share. */
import type { Container, Finding, Limit, ScanReport } from './model';

const plural = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** The first line: what is the matter. */
export function verdict(report: ScanReport): string {
  const parts: string[] = [];
  const zombies = report.findings.filter((f) => f.state === 'Z' && f.class !== 'leader-alive');
  if (report.zombies > 0) {
    const parents = new Set(zombies.map((f) => f.parent?.pid)).size;
    parts.push(`${plural(report.zombies, 'zombie')} of ${plural(parents, 'parent')}`);
  }
  if (report.stuck > 0) parts.push(`${report.stuck} stuck in D`);
  if (report.frozen > 0) parts.push(`${report.frozen} frozen`);
  const looked = `${plural(report.processes, 'process', 'processes')}, held ${report.holdSeconds} s`;
  if (parts.length > 0) return `${parts.join(', ')} (${looked})`;
  const harmless = report.findings.length > 0 ? ' to mend' : '';
  return `nothing${harmless}: no zombie, none stuck, none frozen (${looked})`;
}

export function whose(c: Container | null): string {
  if (!c) return 'the machine';
  if (c.pod) return `${c.namespace ?? '?'}/${c.pod}${c.name ? `/${c.name}` : ''}`;
  const engine = c.runtime ? `${c.runtime} ` : '';
  return `${engine}${c.name ?? c.id?.slice(0, 12) ?? c.podUid ?? '?'}`;
}

/** Used up so far that it should be seen. */
export const isNear = (limit: Limit) => limit.current / limit.max >= 0.8;

export function limitText(limit: Limit): string {
  const percent = Math.floor((limit.current / limit.max) * 100);
  return `${limit.name} ${limit.current} of ${limit.max} (${percent} %)${limit.of ? ` in ${limit.of}` : ''}`;
}

export function age(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function parentText({ parent, processes }: Finding): string {
  if (parent) return `${parent.pid} ${parent.comm}`;
  const [first] = processes;
  return first ? `${first.pid} ${first.comm}` : '-';
}
