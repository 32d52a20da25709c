import { expect, test } from 'vitest';
import { judge, type Look } from '../../src/init/frozen';

const before: Look = { clock: 100, cpu: 1, throttled: null, frozen: null };
const after = (change: Partial<Look>): Look => ({ ...before, clock: 101, ...change });
const known = { throttled: 5, frozen: 7 };

test.each([
  ['nothing', before, after({}), undefined],
  ['a late timer', before, after({ clock: 101.3 }), undefined],
  ['busy', before, after({ clock: 111, cpu: 11 }), undefined],
  ['a gap, and nobody counts', before, after({ clock: 111 }), ['frozen', 10, false]],
  [
    'the kernel counted',
    { ...before, ...known },
    after({ ...known, clock: 111, frozen: 17 }),
    ['frozen', 10, true],
  ],
  [
    'frozen and busy after it',
    { ...before, ...known },
    after({ ...known, clock: 111, cpu: 9, frozen: 9 }),
    ['frozen', 2, true],
  ],
  [
    'the kernel did not',
    { ...before, ...known },
    after({ ...known, clock: 111 }),
    ['stopped', 10, true],
  ],
  [
    'throttled',
    { ...before, ...known },
    after({ ...known, clock: 111, throttled: 14 }),
    ['throttled', 10, true],
  ],
] as const)('%s', (_, first, second, expected) => {
  const gap = judge(first, second, 1);
  expect(gap && [gap.cause, gap.seconds, gap.confirmed]).toEqual(expected);
});
