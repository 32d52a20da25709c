/**
 * config.json of an OCI bundle: its annotations tell whose it is. Keys are
 * containerd's internal/cri/annotations, CRI-O's pkg/annotations and nerdctl's
 * pkg/labels.
 */
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
import { asObject, type Json, parseObject, readJson } from './files';
import type { Monitor } from './monitor';

const CRI = 'io.kubernetes.cri.';
const CRIO = 'io.kubernetes.cri-o.';

/** @returns null when there is no such file or it tells nothing */
export function readBundle(folder: string, root: string): Facts | null {
  const annotations = asObject(readJson(root, `${folder}/config.json`)?.['annotations']);
  return (
    annotations && merge(ofContainerd(annotations), ofCrio(annotations), ofNerdctl(annotations))
  );
}

function ofContainerd(all: Json): Facts | null {
  if (all[`${CRI}container-type`] === undefined) return null;
  /* before 1.6 only the sandbox tells of the pod, by where its logs are */
  const log = parsePodLog(all[`${CRI}sandbox-log-directory`]);
  const own: Facts = {
    ...NOTHING,
    runtime: 'containerd',
    namespace: asName(all[`${CRI}sandbox-namespace`]),
    pod: asName(all[`${CRI}sandbox-name`]),
    podUid: asName(all[`${CRI}sandbox-uid`]),
    container: asName(all[`${CRI}container-name`]),
    image: asImage(all[`${CRI}image-name`] ?? all[`${CRI}podsandbox.image-name`]),
  };
  return merge(own, log && podOnly(log));
}

function ofCrio(all: Json): Facts | null {
  const containerId = asName(all[`${CRIO}ContainerID`]);
  const name = parseKubeName(all[`${CRIO}ContainerName`]);
  if (containerId === null && name === null) return null;
  const own: Facts = {
    ...NOTHING,
    containerId,
    runtime: 'cri-o',
    namespace: asName(all[`${CRIO}Namespace`]),
    pod: asName(all[`${CRIO}KubeName`]),
    image: asImage(all[`${CRIO}ImageName`]),
  };
  const labels = fromLabels(parseObject(all[`${CRIO}Labels`]));
  return merge(labels, name, parsePodLog(all[`${CRIO}LogPath`]), own);
}

function ofNerdctl(all: Json): Facts | null {
  const container = asName(all['nerdctl/name']);
  return container === null ? null : { ...NOTHING, runtime: 'nerdctl', container };
}

/** What holds for all containers of the pod. */
export function podOnly({ namespace, pod, podUid, runtime }: Facts): Facts {
  return { ...NOTHING, namespace, pod, podUid, runtime };
}

/**
 * The bundle of a shim is its working directory, under whatever folder (k3s,
 * rke2, dind); those of the pod's other containers lie beside it. The way
 * through /proc/PID/cwd holds in another mount namespace too.
 */
export function fromShimBundle(
  pid: number,
  { id, namespace }: Monitor,
  wanted: string | null,
  root: string,
) {
  const cwd = `/proc/${pid}/cwd`;
  const first = readBundle(cwd, root);
  if (wanted === null) {
    /* one shim per container, but in Kubernetes, where it is one per pod */
    return first && (namespace === 'k8s.io' || first.pod !== null ? podOnly(first) : first);
  }
  if (wanted === id) return first;
  const beside = asName(wanted) === null ? null : readBundle(`${cwd}/../${wanted}`, root);
  return merge(beside, first?.pod ? podOnly(first) : null);
}

const STORAGES = ['/run/containers/storage', '/var/lib/containers/storage'];

/** CRI-O's own copies. @param id checked already, for it is part of the path */
export function fromStorage(id: string, root: string): Facts {
  return merge(...STORAGES.map((s) => readBundle(`${s}/overlay-containers/${id}/userdata`, root)));
}
