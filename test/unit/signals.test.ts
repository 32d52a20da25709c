import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { isForwarded, parseSignal, signalName } from '../../src/signals';

test('agrees with the table of the system', () => {
  for (const [name, n] of Object.entries(constants.signals)) {
    if (n <= 31) expect([name, parseSignal(name)]).toEqual([name, n]);
  }
});

test.each([
  ['TERM', 15],
  ['sigterm', 15],
  ['15', 15],
  ['IOT', 6],
  ['POLL', 29],
  ['CLD', 17],
  ['RTMIN', 34],
  ['SIGRTMIN+3', 37],
  ['rtmax-1', 63],
  ['RTMAX', 64],
  ['64', 64],
])('%s is %i', (text, n) => {
  expect(parseSignal(text)).toBe(n);
});

test.each([
  '',
  '0',
  '65',
  '32',
  '33',
  'SIG',
  'NOPE',
  'RTMIN-1',
  'RTMAX+1',
  'RTMIN+31',
  '-1',
  '1.5',
  '015x',
])('%j is none', (text) => {
  expect(parseSignal(text)).toBeUndefined();
});

test('a name leads back to its number', () => {
  for (let n = 1; n <= 64; n++) {
    if (n !== 32 && n !== 33) expect(parseSignal(signalName(n))).toBe(n);
  }
  expect(signalName(99)).toBe('signal 99');
});

test('what is out of range is not forwarded', () => {
  expect([0, 32, 33, 65, 9, 19, 17].filter(isForwarded)).toEqual([]);
});
