/** What can be told of a container, and the forms in which engines write it into one name. */
import { asObject } from './files';
import type { Runtime } from './identify';

export interface Facts {
  containerId: string | null;
  runtime: Runtime | null;
  /** Of Kubernetes. */
  namespace: string | null;
  pod: string | null;
  podUid: string | null;
  /** Its name. */
  container: string | null;
  image: string | null;
}

export const NOTHING: Facts = {
  containerId: null,
  runtime: null,
  namespace: null,
  pod: null,
  podUid: null,
  container: null,
  image: null,
};

/** Kubernetes' limit for a name (RFC 1123 subdomain); longer ones are nobody's. */
const NAME = /^[\w.-]{1,253}$/;
const IMAGE = /^[\w.:/@+-]{1,1024}$/;

/**
 * An id or name as it may stand in a path, a log and a terminal: one segment,
 * no control characters. @returns null for all else
 */
export function asName(value: unknown): string | null {
  return typeof value === 'string' && NAME.test(value) && value !== '.' && value !== '..'
    ? value
    : null;
}

export function asImage(value: unknown): string | null {
  return typeof value === 'string' && IMAGE.test(value) ? value : null;
}

/**
 * k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT, of dockershim (there with a random
 * part behind, after a clash) and CRI-O. None of the parts may hold `_`.
 */
export function parseKubeName(value: unknown): Facts | null {
  if (typeof value !== 'string') return null;
  const parts = value.split('_');
  if (parts[0] !== 'k8s' || parts.length < 6 || parts.length > 7) return null;
  const [container, pod, namespace, podUid] = parts.slice(1, 5).map(asName);
  if (!container || !pod || !namespace || !podUid) return null;
  return { ...NOTHING, container, pod, namespace, podUid };
}

const POD_LOGS = /(?:^|\/)log\/pods\/([^/_]+)_([^/_]+)_([^/_]+)(?:\/([^/]+)\/[^/]+)?\/?$/;

/** kubelet's /var/log/pods/NAMESPACE_POD_UID[/CONTAINER/N.log] */
export function parsePodLog(value: unknown): Facts | null {
  const m = typeof value === 'string' ? POD_LOGS.exec(value) : null;
  const [namespace, pod, podUid] = (m ?? []).slice(1, 4).map(asName);
  if (!namespace || !pod || !podUid) return null;
  return { ...NOTHING, container: asName(m?.[4]), pod, namespace, podUid };
}

/** kubelet's labels, the same at every engine: kubernetes' pkg/kubelet/types/labels.go. */
export function fromLabels(value: unknown): Facts {
  const labels = asObject(value) ?? {};
  return {
    ...NOTHING,
    container: asName(labels['io.kubernetes.container.name']),
    pod: asName(labels['io.kubernetes.pod.name']),
    namespace: asName(labels['io.kubernetes.pod.namespace']),
    podUid: asName(labels['io.kubernetes.pod.uid']),
  };
}

/** Fact by fact, the first that knows it. */
export function merge(...all: readonly (Facts | null)[]): Facts {
  const merged = { ...NOTHING };
  for (const facts of all) if (facts) complete(merged, facts);
  return merged;
}

/** Fill what is still null. @returns whether there was anything new */
export function complete(into: Facts, from: Facts): boolean {
  let news = false;
  const take = <K extends keyof Facts>(key: K) => {
    if (into[key] !== null || from[key] === null) return;
    into[key] = from[key];
    news = true;
  };
  for (const key of KEYS) take(key);
  return news;
}

const KEYS = Object.keys(NOTHING) as (keyof Facts)[];

export function isComplete(facts: Facts): boolean {
  return KEYS.every((key) => facts[key] !== null);
}

/** Do both speak of the same container, as far as they say? */
export function agree(a: Facts, b: Facts): boolean {
  const same = (x: string | null, y: string | null) => x === null || y === null || x === y;
  return same(a.containerId, b.containerId) && same(a.podUid, b.podUid);
}
