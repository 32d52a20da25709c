/**
 * Crawlers whose drivers and browsers are killed mid-way, below no init, tini and both forms of
 * Lychgate, and the table of what came of it.
 */
import Table from 'cli-table3';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CgroupVersion, Engine } from '../support/engine';
import { imageOf, LAYER_BIN, READY } from '../support/images';

const SESSIONS = 20;
const PACKAGE_PID1 = `node_modules/lychgate/prebuilds/linux-${process.arch}/lychgate-pid1`;
const OPTIONS = ['--grace=8', '--drain=3'];
const DRAINED = /has ended; asking \d+ other processes to end/;

/** COMMAND, and where the image has the lean form; its ENTRYPOINT is the main one. */
const CRAWLERS = {
  selenium: { command: ['python3', 'crawler.py'], lean: `${LAYER_BIN}/lychgate-pid1` },
  puppeteer: { command: ['node', 'app.mjs'], lean: PACKAGE_PID1 },
  playwright: { command: ['node', 'app.mjs'], lean: PACKAGE_PID1 },
};
type Crawler = keyof typeof CRAWLERS;
const INITS = ['none', 'tini', 'lychgate', 'lychgate-pid1'] as const;
type Init = (typeof INITS)[number];

/** Words of docker run behind its options: the image, below this init. */
function below(init: Init, example: Crawler): string[] {
  const { command, lean } = CRAWLERS[example];
  const image = imageOf(example);
  const [program = '', ...words] = [...command, String(SESSIONS)];
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

export function browsers(cgroup: CgroupVersion, engineOf: () => Engine): void {
  describe('browsers', () => {
    let engine: Engine;
    beforeAll(() => {
      engine = engineOf();
    });
    const examples = cgroup === 1 ? (Object.keys(CRAWLERS) as Crawler[]) : (['selenium'] as const);
    const inits = cgroup === 1 ? INITS : INITS.filter((init) => init.startsWith('lychgate'));
    const cases = examples.flatMap((example) => inits.map((init) => [example, init] as const));

    test.each(cases)(
      '%s, %s',
      async (example, init) => {
        const id = engine.begin('--env=LYCHGATE_VERBOSITY=2', ...below(init, example));
        const output = engine.logs(id);
        await output.see(READY);
        const pages = output.stdout.match(/^page lychgate$/gm) ?? [];
        expect(pages).toHaveLength(SESSIONS);
        if (init !== 'none') await engine.noZombie(id);
        const pid = engine.pidOf(id);
        const rollup = engine.read(`/proc/${pid}/smaps_rollup`);
        const figures: Figures = {
          zombies: engine.zombiesOf(id),
          running: engine.processesOf(id).filter((p) => p.name.startsWith('chrom')).length,
          residentKb: Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)?.[1]),
          ...stop(id),
        };
        table.push([
          ...[example, SESSIONS, `v${cgroup}`, init, figures.zombies, figures.running],
          ...[figures.residentKb, figures.stopMs, figures.code],
        ]);
        const { stderr } = await output.ended;
        engine.remove(id);
        if (init === 'none') expect(figures.zombies).toBeGreaterThanOrEqual(SESSIONS - 2);
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
      engine.ask('stop', '--time=10', id);
      const stopMs = Math.round(performance.now() - since);
      return { stopMs, code: engine.ask('wait', id) };
    };
  });
}
