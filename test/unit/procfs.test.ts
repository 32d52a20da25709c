import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { descendants, parseStat, readProcesses } from '../../src/procfs';

const tail = ' S 1 4 4 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 9 10 18446744073709551615';

test.each([
  ['plain', '12 (sh)'],
  ['a) Z 1 (b', '12 (a) Z 1 (b)'],
  ['line\nbreak', '12 (line\nbreak)'],
  ['', '12 ()'],
])('comm %j', (comm, head) => {
  const text = comm === 'plain' ? `12 (plain)${tail}` : head + tail;
  expect(parseStat(text)).toEqual({ pid: 12, comm, state: 'S', ppid: 1, startTicks: 777 });
});

test.each(['', '12', '12 (sh', '12 sh) S 1', 'x (sh) S 1 2', '12 (sh) S'])(
  '%j is no stat line',
  (text) => {
    expect(parseStat(text)).toBeUndefined();
  },
);

test('our own line', () => {
  const own = parseStat(readFileSync('/proc/self/stat', 'latin1'));
  expect(own).toMatchObject({ pid: process.pid, ppid: process.ppid, state: 'R' });
});

test('descendants: ours are found, we are below our parent', () => {
  expect(descendants(readProcesses(), process.ppid).map((p) => p.pid)).toContain(process.pid);
});

test('descendants: a loop made by pid reuse ends', () => {
  const p = (pid: number, ppid: number) => ({ pid, ppid, comm: 'x', state: 'S', startTicks: 1 });
  expect(descendants([p(2, 3), p(3, 2), p(4, 2)], 2).map((x) => x.pid)).toEqual([3, 4]);
});

test('a /proc that is not there is an error', () => {
  expect(() => readProcesses('/no/such/proc')).toThrow(/ENOENT/);
});
