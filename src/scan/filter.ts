/** Which findings are asked for. */
import type { Finding } from './model';

export interface Filter {
  /** Findings of at least so many processes. */
  min?: number;
  /** Seen for so many seconds. */
  minAge?: number;
  /** Container id, or the beginning of it. */
  container?: string;
  /** Kubernetes namespace. */
  namespace?: string;
  /** The process itself, or its parent. */
  pid?: number;
}

export function keep(findings: readonly Finding[], filter: Filter): Finding[] {
  const { min = 1, minAge = 0, container, namespace, pid } = filter;
  return findings.filter(
    (f) =>
      f.count >= min &&
      (f.state === 'frozen' || f.seenSeconds >= minAge) &&
      (container === undefined || f.container?.id?.startsWith(container) === true) &&
      (namespace === undefined || f.container?.namespace === namespace) &&
      (pid === undefined || f.parent?.pid === pid || f.processes.some((p) => p.pid === pid)),
  );
}
