/** Random and hostile contents of /proc: nothing throws, and what is read is well-formed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { identifyCgroupPath, identifyCgroups, ownerOf } from '../../../src/containers';
import { parseStatus } from '../../../src/processes/facts';
import { parseCgroupFile, parseMountinfo, parseStat } from '../../../src/procfs';

/** 1,000,000 inputs in all; which ones is told when one fails. */
const RUNS = 200_000;
const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void) =>
  fc.assert(fc.property(arbitrary, property), { numRuns: RUNS });

const word = fc.constantFrom(
  '(',
  ')',
  ' ',
  '\n',
  '\t',
  ':',
  '/',
  '-',
  '0',
  '1',
  '18446744073709551615',
  'Z',
  'pod',
  '\0',
);
const soup = fc
  .array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 24 })
  .map((w) => w.join(''));

describe('a million inputs', () => {
  test('stat: the name is what stands between the first and the last bracket', () => {
    const line = fc.tuple(fc.integer({ min: 1, max: 4194304 }), soup, fc.boolean(), soup);
    check(line, ([pid, comm, whole, tail]) => {
      const text = whole
        ? `${pid} (${comm}) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 0`
        : `${comm}${tail}`;
      const stat = parseStat(text);
      if (whole) expect(stat).toEqual({ pid, comm, state: 'Z', ppid: 1, startTicks: 99 });
      else if (stat) expect(Number.isNaN(stat.pid) || Number.isNaN(stat.startTicks)).toBe(false);
    });
  });

  test('status', () => {
    const key = fc.constantFrom(
      'Threads',
      'TracerPid',
      'NSpid',
      'SigCgt',
      'voluntary_ctxt_switches',
    );
    const lines = fc.array(fc.tuple(key, soup), { maxLength: 6 });
    check(lines, (pairs) => {
      const status = parseStatus(pairs.map(([k, v]) => `${k}:\t${v}`).join('\n'));
      expect(status.threads).toBeGreaterThanOrEqual(0);
      expect(status.caught).toBeGreaterThanOrEqual(0n);
    });
  });

  test('cgroup: a path begins with a slash, an identity has an id or a pod', () => {
    const hex = fc.string({
      unit: fc.constantFrom(...'0123456789abcdef'),
      minLength: 60,
      maxLength: 66,
    });
    const part = fc.oneof(
      soup,
      hex,
      hex.map((h) => `docker-${h}.scope`),
      hex.map((h) => `crio-conmon-${h}.scope`),
    );
    const path = fc.array(part, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`);
    check(fc.tuple(path, soup), ([p, rest]) => {
      const lines = parseCgroupFile(`5:pids:${p}\n0::${rest}\n${rest}`);
      for (const line of lines) expect(line.path.startsWith('/')).toBe(true);
      const identity = identifyCgroups(lines);
      if (identity?.kind === 'container') expect(identity.containerId).not.toBeNull();
      identifyCgroupPath(p);
      ownerOf(p);
    });
  });

  test('mountinfo', () => {
    check(fc.array(soup, { maxLength: 4 }), (lines) => {
      const text = lines.map((l) => `1 2 0:1 ${l} - cgroup2 x ${l}`).join('\n');
      for (const mount of parseMountinfo(text)) expect(mount.fsType).not.toBe('');
    });
  });

  test('all of it at once', () => {
    check(soup, (text) => {
      parseStat(text);
      parseStatus(text);
      parseMountinfo(text);
      for (const line of parseCgroupFile(text)) identifyCgroupPath(line.path);
    });
  });
});
