/** For people: the verdict, a row for each finding, its advice below it. 80 columns. */
import Table from 'cli-table3';
import pico from 'picocolors';
import { printable } from '../printable';
import type { Finding, ScanReport } from './model';
import { age, isNear, limitText, parentText, verdict, whose } from './words';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
} as const;

/** Columns of 7, 16, 7, 22 and 24, and a blank between: 80. */
const WIDTHS = [7, 16, 7, 22, 24];

export function formatTable(report: ScanReport, color: boolean): string {
  const c = pico.createColors(color);
  const bad = report.zombies + report.stuck + report.frozen > 0;
  const lines = [c.bold((bad ? c.red : c.green)(printable(verdict(report))))];
  if (report.findings.length > 0) lines.push('', rows(report.findings, c));
  if (report.limit && isNear(report.limit)) {
    lines.push('', c.yellow(`the machine is near a limit: ${limitText(report.limit)}`));
  }
  if (report.blind.length > 0)
    lines.push('', ...report.blind.flatMap((b) => wrap(`not seen: ${b}`, 0)));
  return `${lines.join('\n')}\n`;
}

function rows(findings: readonly Finding[], c: ReturnType<typeof pico.createColors>): string {
  const table = new Table({
    head: ['COUNT', 'CLASS', 'SEEN', 'PARENT', 'WHOSE'],
    colWidths: WIDTHS,
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  const out: string[] = [];
  for (const f of findings) {
    table.push([
      { content: String(f.count), hAlign: 'right' as const },
      f.class,
      age(f.seenSeconds),
      printable(parentText(f)),
      printable(whose(f.container)),
    ]);
  }
  /* One line of the table for the head, one for each row; the notes go in between. */
  const [head = '', ...body] = table.toString().split('\n');
  out.push(c.dim(head.trimEnd()));
  for (const [i, f] of findings.entries()) {
    const line = (body[i] ?? '').trimEnd();
    out.push(f.class === 'leader-alive' || f.class === 'd-busy' ? line : c.bold(line));
    out.push(
      ...notes(f)
        .flatMap((n) => wrap(printable(n), 8))
        .map((n) => c.dim(n)),
    );
  }
  return out.join('\n');
}

function notes(f: Finding): string[] {
  const list = [f.advice];
  if (f.limit && isNear(f.limit)) list.push(`near its limit: ${limitText(f.limit)}`);
  if (f.state === 'D' && f.where) list.push(`in ${f.where}`);
  return list;
}

/** Whole words to 80 columns; what has no blank is left as it is. */
export function wrap(text: string, indent: number): string[] {
  const width = 80 - indent;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  return [...lines, line].map((l) => `${' '.repeat(indent)}${l}`);
}
