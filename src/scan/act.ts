/**
 * Acting on findings: only with --yes, each step on a process named by pid and
 * start time (compared through a pidfd right before the signal), each step told.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Core } from '../native';
import type { Audit } from '../output';
import type { Facts } from '../processes';
import { parseStat } from '../procfs';
import { sig } from '../signals';
import type { ProcessRef } from './model';
import type { Step } from './plan';

export interface Acting {
  core: Core;
  facts: Facts;
  audit: Audit;
  say: (text: string) => void;
  /** How long TERM has before KILL, seconds. */
  grace: number;
}

const POLL_MS = 50;
/** What `runc delete --force` and the shim's own cleanup take at most: 10 s and 5 s. */
const AFTERMATH_SECONDS = 20;

const name = (p: ProcessRef) => `${p.pid} (${p.comm})`;

/** Is it the same process, and not yet dead? */
function lives(facts: Facts, p: ProcessRef): boolean {
  const stat = parseStat(facts.text(p.pid, 'stat') ?? '');
  return stat?.startTicks === p.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

async function goneWithin(facts: Facts, p: ProcessRef, seconds: number): Promise<boolean> {
  for (const end = Date.now() + seconds * 1000; lives(facts, p); await wait(POLL_MS)) {
    if (Date.now() >= end) return false;
  }
  return true;
}

function send(
  a: Acting,
  step: Step,
  target: ProcessRef,
  signal: 'CHLD' | 'TERM' | 'KILL',
): boolean {
  const errno = a.core.signalExact(target.pid, target.startTicks, sig(signal));
  const result = errno === 0 ? 'sent' : errno === 3 ? 'gone' : `errno ${errno}`;
  const told =
    result === 'sent'
      ? `sent SIG${signal} to ${name(target)}`
      : result === 'gone'
        ? `${name(target)} is gone; nothing was sent`
        : `could not send SIG${signal} to ${name(target)} (${result}${errno === 1 ? ': it needs root' : ''})`;
  a.say(told);
  note(a, step, target, `SIG${signal}`, result);
  return errno === 0;
}

/** @param signal null: a look at what came of it */
function note(
  a: Acting,
  { action, finding }: Step,
  target: ProcessRef,
  signal: string | null,
  result: string,
): void {
  const { class: kind, count, parent, container } = finding;
  a.audit.write({
    action,
    signal,
    result,
    target,
    finding: { class: kind, count, parent, container },
  });
}

/** @returns whether it came to what was asked for */
export async function act(a: Acting, step: Step): Promise<boolean> {
  const { action, target } = step;
  if (action === 'nudge') return send(a, step, target, 'CHLD');
  if (action === 'kill-shim') return killShim(a, step);
  if (!send(a, step, target, 'TERM')) return false;
  if (await goneWithin(a.facts, target, a.grace)) {
    a.say(`${name(target)} ended`);
    return true;
  }
  a.say(`${name(target)} did not end in ${a.grace} s`);
  if (!send(a, step, target, 'KILL')) return false;
  const gone = await goneWithin(a.facts, target, AFTERMATH_SECONDS);
  a.say(
    gone ? `${name(target)} ended` : `${name(target)} does not end even after SIGKILL (state D?)`,
  );
  return gone;
}

/** The containers die only because containerd cleans up after its shim: look whether it did. */
async function killShim(a: Acting, step: Step): Promise<boolean> {
  if (!send(a, step, step.target, 'KILL')) return false;
  const left: ProcessRef[] = [];
  for (const init of step.blast) {
    if (!(await goneWithin(a.facts, init, AFTERMATH_SECONDS))) left.push(init);
  }
  const result =
    left.length === 0 ? 'its containers ended' : `still running: ${left.map(name).join(', ')}`;
  a.say(
    left.length === 0 ? result : `${result}; nobody watches over them any more, end them by hand`,
  );
  note(a, step, step.target, null, result);
  return left.length === 0;
}
