/**
 * Who runs it: lychgate-pid1, as its child, under Node.
 *   plan.cjs live PLAN_FD EVENTS_FD WORD...    write a plan; stay when it wants a policy process
 *   plan.cjs policy EVENTS_FD WORD...          be that process again
 *   plan.cjs baked OPTIONS EVENTS_FD -- WORD...  the same, below a baked plan
 * It stands between the container's start and COMMAND: without an option it loads nothing.
 */
import { readSync, writeSync } from 'node:fs';
import { plainCommand } from '../init/plain-command';

/** build.mjs puts plainPlans of plain.ts here. */
declare const PLAIN_PLANS: readonly string[];

const [how, first = '', second = '', ...words] = process.argv.slice(2);
const plain = how === 'live' ? plainCommand(words, process.env) : undefined;
if (plain) {
  const bytes = Buffer.from(PLAIN_PLANS[words.length - plain.length] as string, 'base64');
  writeSync(Number(first), bytes);
  /* It kills us now. Leaving by ourselves we would set the terminal as we found it,
   * while COMMAND may have changed it. The pipe ends when our parent does. */
  readSync(Number(second), Buffer.alloc(1));
  process.exit(0);
} else {
  void import('./asked').then((room) => room.main(process.argv.slice(2)));
}
