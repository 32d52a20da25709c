/** What an action would do to a finding, or why it does not. Nothing here touches anything. */
import { existsSync, readFileSync } from 'node:fs';
import { climb, identifyCgroups } from '../containers';
import { type Facts, readParent } from '../processes';
import { readCgroups } from '../procfs';
import type { ProcessTable } from '../procfs/batch';
import type { Finding, ProcessRef } from './model';
import type { ActionName } from './options';

export interface Step {
  action: ActionName;
  finding: Finding;
  target: ProcessRef;
  /** kill-shim: its children, the first processes of containers or executed into them. */
  blast: readonly ProcessRef[];
  /** In one line, as a thing to be done. */
  text: string;
}

export interface Refusal {
  finding: Finding;
  refused: string;
}

export interface Scene {
  table: ProcessTable;
  facts: Facts;
  root: string;
  force: boolean;
}

type Plan = Step | Refusal;

/** These are for a parent that lives and does not wait. */
const ON_THE_PARENT: ReadonlySet<ActionName> = new Set(['nudge', 'reap', 'kill-parent']);

const no = (finding: Finding, refused: string): Refusal => ({ finding, refused });

export function plan(action: ActionName, finding: Finding, scene: Scene): Plan {
  const { parent } = finding;
  if (finding.state !== 'Z') return no(finding, `a ${finding.class} finding has no cure by signal`);
  if (!parent) return no(finding, 'the parent is not to be seen');
  if (finding.class !== 'negligent-parent' && ON_THE_PARENT.has(action)) {
    return no(finding, `${finding.class}: ${finding.advice}`);
  }
  if (finding.class === 'leader-alive') return no(finding, finding.advice);
  /* a signal to the frozen waits (on v1 even SIGKILL), and strikes when somebody thaws it */
  if (finding.class === 'parent-frozen')
    return no(finding, `${finding.class}: ${finding.advice}; thaw it first`);
  switch (action) {
    case 'nudge':
      return nudge(finding, parent);
    case 'reap':
      return reap(finding, parent);
    case 'kill-parent':
      return killParent(finding, parent, scene);
    case 'restart-container':
      return restart(finding, parent, scene);
    case 'kill-shim':
      return killShim(finding, parent, scene);
    default:
      return no(finding, 'nothing was asked for');
  }
}

type ParentRef = NonNullable<Finding['parent']>;
const named = (p: ProcessRef) => `${p.pid} (${p.comm})`;

/** The kernel reaps by itself only for who ignored SIGCHLD before the child ended. */
function nudge(finding: Finding, parent: ParentRef): Plan {
  if (parent.handlesSigchld !== true) {
    const why =
      parent.handlesSigchld === null
        ? 'its signals cannot be read'
        : 'it has no handler for SIGCHLD';
    return no(finding, `${named(parent)}: ${why}, so a nudge does nothing`);
  }
  return {
    action: 'nudge',
    finding,
    target: parent,
    blast: [],
    text: `send SIGCHLD to ${named(parent)}, which has a handler for it`,
  };
}

/** The kind one: nothing ends. Which of the zombies, the rules of the reap room say. */
function reap(finding: Finding, parent: ParentRef): Plan {
  return {
    action: 'reap',
    finding,
    target: parent,
    blast: [],
    text: `make ${named(parent)} wait for its ${finding.count} zombies; it runs on, and can no longer learn how they ended`,
  };
}

function killParent(finding: Finding, parent: ParentRef, { table, facts, root }: Scene): Plan {
  const now = readParent(facts, table, parent.pid, root);
  if (parent.isInit) {
    return no(
      finding,
      `${named(parent)} is the first process of its container; see --action restart-container`,
    );
  }
  if (!now || now.isMonitor || now.isDaemon) {
    return no(finding, `${named(parent)} is a shim or a daemon of the machine`);
  }
  if (parent.pid === process.pid || parent.pid === process.ppid) {
    return no(finding, `${named(parent)} is this very command or its parent`);
  }
  return {
    action: 'kill-parent',
    finding,
    target: parent,
    blast: [],
    text: `end ${named(parent)} by SIGTERM, then SIGKILL; its ${finding.count} zombies go to the next reaper`,
  };
}

/** The climb, and the table row of a process as a reference to it. */
function ancestry(pid: number, table: ProcessTable) {
  const row = (p: number) => {
    const i = table.indexOf(p);
    return i < 0 ? undefined : table.get(i);
  };
  const reference = (p: number | null): ProcessRef | null => {
    const found = p === null ? undefined : row(p);
    return found
      ? { pid: found.pid, tid: null, startTicks: found.startTicks, comm: found.comm }
      : null;
  };
  return { ...climb(pid, row), reference };
}

const containerOf = (pid: number, root: string) =>
  identifyCgroups(readCgroups(pid, root))?.containerId ?? null;

/** Living children of a monitor: the inits of its containers, and what was executed into them. */
function childrenOf(monitor: number, { table }: Scene): ProcessRef[] {
  return [...table.childrenOf(monitor)]
    .map((i) => table.get(i))
    .filter(({ state }) => state !== 'Z')
    .map(({ pid, startTicks, comm }) => ({ pid, tid: null, startTicks, comm }));
}

/**
 * The climb may end at a process that was executed into the container. Of those of one
 * container below one monitor the init is the oldest.
 */
function initOf(top: ProcessRef, monitor: number, scene: Scene): ProcessRef {
  const id = containerOf(top.pid, scene.root);
  if (id === null) return top;
  const own = childrenOf(monitor, scene).filter((p) => containerOf(p.pid, scene.root) === id);
  return own.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid)[0] ?? top;
}

function restart(finding: Finding, parent: ParentRef, scene: Scene): Plan {
  const { kind, initPid, monitorPid, reference } = ancestry(parent.pid, scene.table);
  const top = reference(initPid);
  const init = top && monitorPid !== null ? initOf(top, monitorPid, scene) : null;
  if (kind === null || !init)
    return no(finding, `${named(parent)} is in no container of an engine`);
  return {
    action: 'restart-container',
    finding,
    target: init,
    blast: [],
    text: `end the container by SIGTERM, then SIGKILL to its first process ${named(init)}; its engine restarts it if it was told to`,
  };
}

function killShim(finding: Finding, parent: ParentRef, scene: Scene): Plan {
  const { table, force } = scene;
  const own = ancestry(parent.pid, table);
  /* shim-owned: the parent itself is the shim */
  const isShim =
    /^(containerd-shim|docker-containe)/.test(parent.comm) && finding.class === 'shim-owned';
  const shim = isShim ? parent : own.reference(own.monitorPid);
  if (
    !shim ||
    (!isShim && own.kind !== 'containerd-shim' && own.kind !== 'docker-containerd-shim')
  ) {
    return no(
      finding,
      own.kind === 'conmon'
        ? 'it hangs on conmon, not on a containerd-shim'
        : 'it hangs on no containerd-shim',
    );
  }
  const blast = childrenOf(shim.pid, scene);
  /* what was executed into a container is no other container */
  const containers = new Set(blast.map((p) => containerOf(p.pid, scene.root) ?? p.pid)).size;
  const version = containerdVersion(shim.pid, scene);
  if (version !== 1 && !force) {
    const why =
      version === 2
        ? 'containerd 2 does not end the containers of a killed shim: they would run on without it (containerd#10727)'
        : 'which containerd it belongs to cannot be told, and containerd 2 does not end the containers of a killed shim';
    return no(
      finding,
      `${named(shim)}: ${why}; --action restart-container is kinder, --force overrides`,
    );
  }
  const all = blast.map(named).join(', ') || 'nothing';
  return {
    action: 'kill-shim',
    finding,
    target: shim,
    blast,
    text: `kill the shim ${named(shim)}, and with it ${containers === 1 ? 'its only container' : `its ${containers} containers, the whole pod`}: ${all}`,
  };
}

/**
 * By what the shim's bundle holds: containerd 2 leaves `sandbox` there, and a
 * bootstrap.json that says version 3. 1.x leaves `address`.
 */
function containerdVersion(shim: number, { facts, root }: Scene): 1 | 2 | null {
  const bundle = facts.link(shim, 'cwd');
  if (!bundle) return null;
  const at = (file: string) => `${root}${bundle}/${file}`;
  if (existsSync(at('sandbox'))) return 2;
  try {
    const bootstrap: unknown = JSON.parse(readFileSync(at('bootstrap.json'), 'utf8'));
    const { version } = bootstrap as { version?: unknown };
    if (typeof version === 'number') return version >= 3 ? 2 : 1;
  } catch {
    /* none there: before 1.7 */
  }
  return existsSync(at('address')) ? 1 : null;
}
