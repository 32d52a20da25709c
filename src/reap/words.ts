/** What is said of it. */
import { describeEnding } from '../ending';
import { PreapOutcome, type PreapRefusal, type PreapResult } from '../native';
import { printable } from '../printable';
import type { FamilyReport, Reaped, ReapReport } from './model';

const REFUSALS: Readonly<Record<Exclude<PreapRefusal, 'failed'>, string>> = {
  vanished: 'it is gone',
  permission:
    'not permitted to trace it: it needs root or the same user, CAP_SYS_PTRACE for a setuid program, and a kernel.yama.ptrace_scope that lets it',
  traced: 'another process traces it; end that first',
  stopped: 'it is stopped, and may wait when it goes on',
  deaf: 'it did not come to a stop: it hangs in D, is frozen, or waits for a vfork',
  foreign: 'it is a 32-bit program',
  seccomp:
    'its seccomp filter forbids the calls (wait4, ppoll, rt_sigprocmask), or takes them for itself',
  'seccomp-unknown':
    'its seccomp filter cannot be read: that needs CAP_SYS_ADMIN and no filter of our own; run it on the node, or let the init do it',
  'no-room': 'there is no room for the calls in its vDSO',
  busy: 'it is in a call that must not be cut short (a blocking write or send); try again later',
  stuck: 'it stops, but does not run: frozen by cgroup v2?',
};

export function explainRefusal({ refusal, step, error }: PreapResult): string {
  if (refusal === null) return '';
  if (refusal !== 'failed') return REFUSALS[refusal];
  return error === null ? `${step}` : `${step} failed: ${error}`;
}

export const WHY_LEFT: Readonly<Record<PreapOutcome, string>> = {
  [PreapOutcome.Left]: 'not tried',
  [PreapOutcome.Reaped]: '',
  [PreapOutcome.Gone]: 'gone: its parent was quicker',
  [PreapOutcome.Changed]: 'the pid is another process now',
  [PreapOutcome.Kept]: 'its parent cannot wait for it yet: a tracer has to first',
};

export const MAX_NAMED = 20;

const plural = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`;
export const zombiesOf = (n: number) => plural(n, 'zombie');

/** `3 with exit status 0, 1 killed by SIGKILL` */
export function endings(reaped: readonly Reaped[]): string {
  const counts = new Map<string, number>();
  for (const r of reaped) {
    const how = describeEnding(r);
    counts.set(how, (counts.get(how) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]);
  const told = parts.slice(0, 5).map(([how, n]) => `${n} ${how.replace(/^exit/, 'with exit')}`);
  const more = parts.length > 5 ? `, ${parts.length - 5} more ways` : '';
  return told.join(', ') + more;
}

/** One line for a parent that was made to wait. */
export function summary({ parent, reaped, rounds, longestMs }: FamilyReport): string {
  return (
    `reaped ${zombiesOf(reaped.length)} of ${parent.pid} (${parent.comm}): ${endings(reaped)}; ` +
    `it stood still ${plural(rounds, 'time')}, for ${longestMs.toFixed(2)} ms at most`
  );
}

/** The report for people. */
export function formatText(report: ReapReport): string {
  const lines: string[] = [];
  for (const family of report.families) {
    const { parent, reaped, left, refused } = family;
    const who = `${parent.pid} (${parent.comm})`;
    if (reaped.length > 0) {
      lines.push(
        report.dryRun
          ? `would reap ${zombiesOf(reaped.length)} of ${who}: ${endings(reaped)}`
          : summary(family),
      );
      for (const r of reaped.slice(0, MAX_NAMED))
        lines.push(`  ${r.pid} (${r.comm}): ${describeEnding(r)}`);
      if (reaped.length > MAX_NAMED) lines.push(`  and ${reaped.length - MAX_NAMED} more`);
    }
    if (refused !== null) lines.push(`refused for ${who}: ${refused}`);
    for (const l of left.slice(0, MAX_NAMED)) lines.push(`  left ${l.pid} (${l.comm}): ${l.why}`);
    if (left.length > MAX_NAMED) lines.push(`  and ${left.length - MAX_NAMED} more were left`);
  }
  for (const { pid, why } of report.others) lines.push(`${pid}: ${why}`);
  return lines.map((line) => `${printable(line)}\n`).join('');
}
