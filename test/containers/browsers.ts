/**
 * Crawlers whose drivers and browsers are killed mid-way, below no init, tini and both forms of
 * Lychgate, and the table of what came of it.
 */
import Table from 'cli-table3';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CgroupVersion } from '../support/engine';
import { type Containers, type Example, imageOf, LAYER_BIN, READY } from '../support/images';

const OPTIONS = ['--grace=8', '--drain=3'];
const DRAINED = /has ended; asking \d+ other processes to end/;

/** What stands in the image's ENTRYPOINT, and what replaces it. */
const CRAWLERS: Record<string, { sessions: number; command: string[]; lean: string }> = {
  selenium: {
    sessions: 20,
    command: ['python3', 'crawler.py'],
    lean: `${LAYER_BIN}/lychgate-pid1`,
  },
  puppeteer: {
    sessions: 20,
    command: ['node', 'app.mjs'],
    lean: 'node_modules/lychgate/prebuilds/linux-x64/lychgate-pid1',
  },
  playwright: {
    sessions: 20,
    command: ['node', 'app.mjs'],
    lean: 'node_modules/lychgate/prebuilds/linux-x64/lychgate-pid1',
  },
};
const INITS = ['none', 'tini', 'lychgate', 'lychgate-pid1'] as const;
type Init = (typeof INITS)[number];

/** Words of docker run behind its options: the image, below this init. */
function below(init: Init, example: string): string[] {
  const crawler = CRAWLERS[example];
  if (crawler === undefined) throw new Error(`no such crawler: ${example}`);
  const { command, lean, sessions } = crawler;
  const image = imageOf(example as Example);
  const [program = '', ...words] = [...command, String(sessions)];
  const tini = ['--volume=/usr/bin/tini-static:/sbin/tini:ro', '--entrypoint=/sbin/tini', image];
  const ways: Record<Init, string[]> = {
    none: [`--entrypoint=${program}`, image, ...words],
    tini: [...tini, '--', program, ...words],
    lychgate: [image, program, ...words],
    'lychgate-pid1': [`--entrypoint=${lean}`, image, ...OPTIONS, '--', program, ...words],
  };
  return ways[init];
}

interface Figures {
  zombies: number;
  /** Orphans that still ran when the container was stopped. */
  running: number;
  residentKb: number;
  stopMs: number;
  code: string;
}

export const table = new Table({
  head: [
    'image',
    'sessions',
    'cgroup',
    'init',
    'zombies',
    'running',
    'PID 1 kB',
    'stop ms',
    'exit code',
  ],
  style: { head: [], border: [] },
});

export function browsers(cgroup: CgroupVersion, containers: () => Containers): void {
  describe('browsers', () => {
    let c: Containers;
    beforeAll(() => {
      c = containers();
    });
    const examples = cgroup === 1 ? Object.keys(CRAWLERS) : ['selenium'];
    const inits = cgroup === 1 ? INITS : INITS.filter((init) => init.startsWith('lychgate'));
    const cases = examples.flatMap((example) => inits.map((init) => [example, init] as const));

    test.each(cases)(
      '%s, %s',
      async (example, init) => {
        const sessions = CRAWLERS[example]?.sessions ?? 0;
        const id = c.begin('--env=LYCHGATE_VERBOSITY=2', ...below(init, example));
        const output = c.logs(id);
        await output.see(READY);
        const pages = output.stdout.match(/^page lychgate$/gm) ?? [];
        expect(pages).toHaveLength(sessions);
        const reaps = init !== 'none';
        if (reaps) await c.until('every zombie is reaped', () => c.engine.zombiesOf(id) === 0);
        const pid = c.engine.pidOf(id);
        const rollup = c.engine.read(`/proc/${pid}/smaps_rollup`);
        const figures: Figures = {
          zombies: c.engine.zombiesOf(id),
          running: c.engine.processesOf(id).filter((p) => p.name.startsWith('chrom')).length,
          residentKb: Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)?.[1]),
          ...stop(id),
        };
        table.push([
          ...[example, sessions, `v${cgroup}`, init, figures.zombies, figures.running],
          ...[figures.residentKb, figures.stopMs, figures.code],
        ]);
        const { stderr } = await output.ended;
        c.remove(id);
        if (init === 'none') expect(figures.zombies).toBeGreaterThanOrEqual(sessions - 2);
        else expect(figures).toMatchObject({ zombies: 0, code: '143' });
        if (init.startsWith('lychgate')) {
          /* the browsers that were left running, in peace: nobody had to be killed */
          expect(figures.running).toBeGreaterThanOrEqual(2);
          expect(stderr).toMatch(DRAINED);
          expect(stderr).not.toContain('had to kill');
          expect(figures.stopMs).toBeLessThan(10_000);
        }
      },
      300_000,
    );

    const stop = (id: string) => {
      const since = performance.now();
      c.engine.ask('stop', '--time=10', id);
      const stopMs = Math.round(performance.now() - since);
      return { stopMs, code: c.engine.ask('wait', id) };
    };
  });
}
