/** For people: whose -> parent -> what hangs there. */
import pico from 'picocolors';
import { printable } from '../printable';
import type { Finding, ScanReport } from './model';
import { age, limitText, verdict, whose } from './words';

export function formatTree(report: ScanReport, color: boolean): string {
  const c = pico.createColors(color);
  const lines = [c.bold(printable(verdict(report)))];
  const owners = new Map<string, Finding[]>();
  for (const f of report.findings) {
    const key = whose(f.container);
    owners.set(key, [...(owners.get(key) ?? []), f]);
  }
  for (const [owner, findings] of owners) {
    lines.push(c.bold(printable(owner)));
    for (const [i, f] of findings.entries()) {
      const last = i === findings.length - 1;
      const [branch, below] = last ? ['└─ ', '   '] : ['├─ ', '│  '];
      lines.push(`${branch}${printable(title(f))}`);
      for (const [n, text] of leaves(f).entries()) {
        const end = n === leaves(f).length - 1;
        lines.push(`${below}${end ? '└─ ' : '├─ '}${printable(text)}`);
      }
    }
  }
  for (const b of report.blind) lines.push(c.dim(printable(`not seen: ${b}`)));
  return `${lines.join('\n')}\n`;
}

function title(f: Finding): string {
  const command = f.parent?.command ? `: ${f.parent.command.slice(0, 60)}` : '';
  const parent = f.parent
    ? `${f.parent.pid} ${f.parent.comm} (${f.parent.state})${command}`
    : f.class;
  return `${parent}  [${f.class}, ${f.count}, seen ${age(f.seenSeconds)}]`;
}

function leaves(f: Finding): string[] {
  const list = f.processes.slice(0, 5).map((p) => `${p.tid ?? p.pid} ${p.comm} (${f.state})`);
  if (f.count > list.length) list.push(`and ${f.count - list.length} more`);
  if (f.limit) list.push(limitText(f.limit));
  list.push(f.advice);
  return list;
}
