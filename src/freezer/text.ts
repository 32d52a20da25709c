/** The report for people: the verdict first, then each hierarchy, then what to do. */
import { printable } from '../printable';
import type { FreezerReport, FrozenRelative, HierarchyReport, ResistingTask } from './model';
import { explainTask } from './tasks';

const MAX_LISTED = 20;

export function formatReport(report: FreezerReport): string {
  return `${[verdict(report), ...report.hierarchies.flatMap(hierarchyLines)].map(printable).join('\n')}\n`;
}

function subject({ target }: FreezerReport): string {
  if (target.kind === 'self') return 'this container';
  if (target.kind === 'pid') return `process ${target.pid} (${target.comm})`;
  if (target.kind === 'container') return `container ${target.containerId}`;
  return `cgroup ${target.argument}`;
}

export function verdict(report: FreezerReport): string {
  const by = {
    self: 'by itself',
    ancestor: 'by an ancestor',
    both: 'by itself and by an ancestor',
  };
  const who = report.frozenBy === null ? '' : `, ${by[report.frozenBy]}`;
  const words = {
    running: 'not frozen',
    freezing: `FREEZING${who}: asked for and not reached`,
    frozen: `FROZEN${who}`,
    root: 'not frozen (in the root cgroup, which has no freezer)',
    gone: 'its cgroup was removed',
    unknown: 'not known',
  };
  return `${subject(report)}: ${words[report.state]}`;
}

const yesNo = (value: boolean | null, yes: string, no: string) =>
  value === null ? 'not known' : value ? yes : no;

function hierarchyLines(h: HierarchyReport): string[] {
  const lines: [string, string][] = [
    ['path', h.path],
    ['in', h.directory ?? 'not mounted here'],
    ['state', h.state],
  ];
  if (h.state === 'running' || h.state === 'freezing' || h.state === 'frozen') {
    lines.push(['self', yesNo(h.self, 'asked to freeze', 'not asked to freeze')]);
    lines.push(['parent', yesNo(h.parent, 'an ancestor was asked to freeze', 'no ancestor was')]);
  }
  for (const a of h.frozenAncestors) lines.push(['frozen by', relative(a)]);
  for (const d of h.frozenDescendants.slice(0, MAX_LISTED)) lines.push(['below', relative(d)]);
  const more = h.frozenDescendants.length - MAX_LISTED;
  if (more > 0) lines.push(['below', `and ${more} more`]);
  if (h.frozenSeconds !== null && h.frozenSeconds > 0) {
    lines.push(['stood still', `${h.frozenSeconds.toFixed(1)} s in all since the cgroup was made`]);
  }
  if (h.lastWritten) lines.push(['since', `about ${h.lastWritten} (last write to its state file)`]);
  for (const t of h.resisting.slice(0, MAX_LISTED)) lines.push(['in the way', task(t)]);
  if (h.owner) lines.push(['owner', `${h.owner.engine}: ${h.owner.thaw}`]);
  lines.push(['advice', h.advice]);
  return [
    `cgroup v${h.version}`,
    ...lines.map(([label, value]) => `  ${label.padEnd(12)}${value}`),
  ];
}

function relative(r: FrozenRelative): string {
  return `${r.path} (${r.state}${r.owner ? `; ${r.owner.thaw}` : ''})`;
}

function task(t: ResistingTask): string {
  const where = t.wchan === null ? '' : ` in ${t.wchan}`;
  const stack = t.stack.length > 0 ? ` [${t.stack.join(' < ')}]` : '';
  return `${t.tid} (${t.comm}), state ${t.state}${where}: ${explainTask(t)}${stack}`;
}
