/** --action reap: the zombies of the findings, by the rules of the reap room. */
import { loadPreapCore } from '../native';
import type { Audit } from '../output';
import type { Facts } from '../processes';
import { isFrozen, judge, type Rules, reapInPlace, summary, type Watch } from '../reap';
import type { Step } from './plan';

export interface Reaping {
  /** Has looked whenever the scan did. */
  watch: Watch;
  facts: Facts;
  rules: Rules;
  audit: Audit;
  say: (text: string) => void;
}

/** @param yes false: say what would be done. @returns whether all of them are gone */
export async function reapSteps(
  { watch, facts, rules, audit, say }: Reaping,
  steps: ReadonlyMap<number, Step>,
  yes: boolean,
): Promise<boolean> {
  let all = true;
  for (const family of watch.families()) {
    const step = steps.get(family.parent.pid);
    if (!step || step.target.startTicks !== family.parent.startTicks) continue;
    const who = `${family.parent.pid} (${family.parent.comm})`;
    const { take, left, refused } = judge(family, facts, rules, isFrozen);
    if (refused !== null) say(`reap refused: ${who}: ${refused}`);
    if (left.length > 0)
      say(`left ${left.length} of ${who}, such as ${left[0]?.pid}: ${left[0]?.why}`);
    all &&= refused === null && left.length === 0;
    if (take.length === 0) continue;
    if (!yes) {
      say(
        `would reap ${take.length} of the zombies of ${who}; it runs on, and can no longer learn how they ended (--yes does it)`,
      );
      continue;
    }
    const core = loadPreapCore();
    const done = await reapInPlace({ core, facts, descends: false }, family.parent, take);
    if (done.reaped.length > 0) say(summary(done));
    if (done.refused !== null) say(`reap refused: ${who}: ${done.refused}`);
    if (done.left.length > 0)
      say(`left ${done.left.length}, such as ${done.left[0]?.pid}: ${done.left[0]?.why}`);
    all &&= done.refused === null && done.left.length === 0;
    const { class: kind, count, parent, container } = step.finding;
    audit.write({
      action: 'reap',
      signal: null,
      result: done.refused ?? `reaped ${done.reaped.length}, left ${done.left.length}`,
      target: step.target,
      finding: { class: kind, count, parent, container },
      reaped: done.reaped,
    });
  }
  return all;
}
