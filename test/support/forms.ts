/**
 * The forms of the init, in one table: the same tests run over each. What differs stands
 * here, and what is expected to differ is asked of `form`.
 */
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { asPid1, CLI, lychgate, NODE, ROOT, run, UNSHARE } from './init';
import { childrenOf } from './processes';

export const PID1 = join(ROOT, 'build', 'Release', 'lychgate-pid1');

export interface Form {
  name: string;
  /** Node is the init itself, with the addon. */
  addon: boolean;
  /** Options and COMMAND are read at the start, and the environment too. */
  live: boolean;
  /** argv of the init over options and COMMAND. */
  lychgate: (...args: string[]) => string[];
  /** The same as PID 1 of a new namespace. */
  asPid1: (...args: string[]) => string[];
}

let folder: string | undefined;
let plans = 0;

/** A plan made of these words; the file. @throws with what was said when it cannot be made */
export function bake(...args: string[]): string {
  folder ??= mkdtempSync(join(tmpdir(), 'lychgate-plans-'));
  const file = join(folder, `${++plans}.plan`);
  const made = run([NODE, CLI, 'plan', '--output', file, ...args]);
  if (made.code !== 0) throw new Error(`no plan of ${JSON.stringify(args)}: ${made.stderr}`);
  return file;
}

const baked = (...args: string[]) => [PID1, '--plan', bake(...args)];

const addon: Form = { name: 'Node with the addon', addon: true, live: true, lychgate, asPid1 };
const live: Form = {
  name: 'lychgate-pid1, live plan',
  addon: false,
  live: true,
  lychgate: (...args) => [PID1, ...args],
  asPid1: (...args) => [...UNSHARE, PID1, ...args],
};
const ofPlan: Form = {
  name: 'lychgate-pid1, baked plan',
  addon: false,
  live: false,
  lychgate: baked,
  asPid1: (...args) => [...UNSHARE, ...baked(...args)],
};

/** It is left out of the build where there is no compiler for musl. */
export const HAS_PID1 = existsSync(PID1);
if (!HAS_PID1) console.log('SKIP lychgate-pid1: not built (Debian: apt-get install musl-tools)');
if (!HAS_PID1 && process.env.CI === 'true')
  throw new Error('lychgate-pid1 is not built, and in CI it has to be');

/* no Node runs below a baked plan, so another Node is no reason to test it again */
const lean = process.env.LYCHGATE_TEST_NODE ? [live] : [live, ofPlan];
export const LEAN: readonly Form[] = HAS_PID1 ? lean : [];
export const FORMS: readonly Form[] = [addon, ...LEAN];
/** Those that read their words and the environment at the start. */
export const LIVE_FORMS = FORMS.filter((form) => form.live);

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
});

/** What a process runs, or '' when it is gone. */
function image(pid: number | string): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

/**
 * The children of an init that are not its own: not the TypeScript side of
 * lychgate-pid1, and nothing that has not executed yet.
 */
export function commandsOf(init: number): number[] {
  try {
    const own = image(init);
    const children = readFileSync(`/proc/${init}/task/${init}/children`, 'latin1');
    return children
      .split(' ')
      .filter(Boolean)
      .filter((pid) => {
        if (own.endsWith('/lychgate-pid1') && ['', own].includes(image(pid))) return false;
        return !readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('/plan.cjs');
      })
      .map(Number);
  } catch {
    return [];
  }
}

/** The children of a lychgate-pid1 that are its TypeScript side. */
export const policiesOf = (init: number): number[] =>
  childrenOf(init).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('/plan.cjs');
    } catch {
      return false;
    }
  });
