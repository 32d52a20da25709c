/**
 * Who runs it: lychgate-pid1, as its child, under Node.
 *   plan.cjs live PLAN_FD EVENTS_FD WORD...    write a plan; stay when it wants a policy process
 *   plan.cjs policy EVENTS_FD WORD...          be that process again
 *   plan.cjs baked OPTIONS EVENTS_FD -- WORD...  the same, below a baked plan
 * It stands between the container's start and COMMAND: for most command lines it loads
 * nothing before the plan is written.
 */
import { readSync, writeSync } from 'node:fs';
import { AT, Flag } from './layout';
import { quickPlan } from './quick';

/** build.mjs puts plainPlans of plain.ts here. */
declare const PLAIN_PLANS: readonly (readonly number[])[];

/** undefined: there is something that only the parser knows, or a mistake. */
function livePlan(words: readonly string[]): Uint32Array | undefined {
  const variables: string[] = [];
  for (const name in process.env) {
    if (name.startsWith('LYCHGATE_') || name.startsWith('TINI_')) variables.push(name);
  }
  const first = words[0] === '--' ? 1 : 0;
  const plain = variables.length === 0 && (first === 1 || words[0]?.startsWith('-') === false);
  const plan = new Uint32Array(PLAIN_PLANS[plain ? first : 0] as readonly number[]);
  if (plain) return first < words.length ? plan : undefined;
  return quickPlan(words, variables, process.env, plan) ? plan : undefined;
}

const [how, planFd, events, ...words] = process.argv.slice(2);
const plan = how === 'live' ? livePlan(words) : undefined;
if (plan) writeSync(Number(planFd), plan);
if (plan && ((plan[AT.flags / 4] as number) & Flag.Policy) === 0) {
  /* It kills us now. Leaving by ourselves we would set the terminal as we found it,
   * while COMMAND may have changed it. The pipe ends when our parent does. */
  readSync(Number(events), Buffer.alloc(1));
  process.exit(0);
} else {
  const rest = plan ? ['policy', events as string, ...words] : process.argv.slice(2);
  const load = () => void import('./asked').then((room) => room.main(rest));
  /* COMMAND first: it starts now. What we are told meanwhile waits in the pipe. */
  if (plan) setTimeout(load, 5);
  else load();
}
