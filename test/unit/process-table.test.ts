import { expect, test } from 'vitest';
import type { ProcessColumns } from '../../src/native';
import { ProcessTable } from '../../src/procfs/batch';

/** Rows [pid, ppid, comm], ascending by pid. */
function table(...rows: [pid: number, ppid: number, comm?: string | Buffer][]): ProcessTable {
  const count = rows.length;
  const comm = Buffer.alloc(count * 16);
  rows.forEach(([, , name = ''], i) => {
    comm.set(Buffer.from(name).subarray(0, 16), i * 16);
  });
  const columns: ProcessColumns = {
    count,
    pid: Int32Array.from(rows, ([pid]) => pid),
    ppid: Int32Array.from(rows, ([, ppid]) => ppid),
    pgrp: new Int32Array(count),
    session: new Int32Array(count),
    state: new Uint8Array(count).fill('S'.charCodeAt(0)),
    threads: new Int32Array(count).fill(1),
    flags: new Uint32Array(count),
    cpuTicks: new Float64Array(count),
    startTicks: new Float64Array(count).fill(12_345),
    exitCode: new Int32Array(count),
    comm,
    vanished: 0,
    unreadable: 0,
    unreadableErrno: 0,
    malformed: 0,
  };
  return new ProcessTable(columns);
}

test('a process by its pid', () => {
  const t = table([1, 0], [5, 1], [9, 5]);
  expect([1, 5, 9].map((pid) => t.indexOf(pid))).toEqual([0, 1, 2]);
  expect([-1, 0, 2, 10, Number.NaN].map((pid) => t.indexOf(pid))).toEqual([-1, -1, -1, -1, -1]);
});

test('children, also of parents that are not in the table', () => {
  const t = table([1, 0], [2, 0], [5, 1], [6, 999], [7, 1], [8, -1], [9, 2 ** 31 - 1]);
  const pids = (parent: number) => [...t.childrenOf(parent)].map((i) => t.columns.pid[i]);
  expect(pids(0)).toEqual([1, 2]);
  expect(pids(1)).toEqual([5, 7]);
  expect(pids(999)).toEqual([6]);
  expect(pids(-1)).toEqual([8]);
  expect(pids(2 ** 31 - 1)).toEqual([9]);
  expect(pids(5)).toEqual([]);
});

test('children of many parents', () => {
  const all = Array.from({ length: 5000 }, (_, i) => [i + 1, (i * 7919) % 613] as [number, number]);
  const t = table(...all);
  for (const parent of [0, 1, 300, 612, 613]) {
    const expected = all.filter(([, ppid]) => ppid === parent).map(([pid]) => pid);
    expect([...t.childrenOf(parent)].map((i) => t.columns.pid[i])).toEqual(expected);
  }
});

test.each([
  ['plain', 'plain'],
  ['16 bytes long kw', '16 bytes long kw'],
  ['', ''],
  ['žluť', 'žluť'],
  [Buffer.from('ab\u00e9', 'latin1'), 'ab\u00e9'],
  [Buffer.from('žluťoučký kůň').subarray(0, 15), 'žluťoučký k'],
  [Buffer.concat([Buffer.alloc(12, 'a'), Buffer.from('😀').subarray(0, 3)]), 'a'.repeat(12)],
])('the name %j', (bytes, text) => {
  expect(table([1, 0, bytes]).commText(0)).toBe(text);
});

test('the age', () => {
  const t = table([1, 0]);
  expect(t.ageSeconds(0, 200.45)).toBeCloseTo(77, 6);
  expect(t.ageSeconds(0, 100)).toBe(0);
});

test('a row that is not there', () => {
  const t = table([1, 0]);
  for (const index of [-1, 1, 0.5]) {
    expect(() => t.get(index)).toThrow(RangeError);
    expect(() => t.commText(index)).toThrow(RangeError);
    expect(() => t.ageSeconds(index, 1)).toThrow(RangeError);
  }
});
