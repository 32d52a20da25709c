/** The batch reader of /proc: through the addon, and in C with sanitizers. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadScanCore } from '../../src/native';
import { parseStat } from '../../src/procfs';
import { readProcessTable } from '../../src/procfs/batch';
import { cleanEnv, fixture, ROOT, run } from '../support/init';

/** A stat line as the kernel writes it; comm may be any bytes. */
function statLine(pid: number, comm: string | Buffer, state = 'S', ppid = 1): Buffer {
  const rest =
    `) ${state} ${ppid} ${pid} 7 0 -1 4194304 1 2 3 4 100 23 5 6 20 0 2 0 ${pid * 1000} 8192 9 ` +
    `18446744073709551615${' 0'.repeat(12)} 17${' 0'.repeat(13)} 768\n`;
  return Buffer.concat([Buffer.from(`${pid} (`), Buffer.from(comm), Buffer.from(rest)]);
}

let dir: string;
let proc: string;

function add(name: string | number, stat: string | Buffer): void {
  mkdirSync(join(proc, String(name)));
  writeFileSync(join(proc, String(name), 'stat'), stat);
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lychgate-procscan-'));
  proc = join(dir, 'proc');
  mkdirSync(proc);
  add(1, statLine(1, 'init', 'S', 0));
  add(10, statLine(10, 'a) Z 1 (b', 'Z', 999));
  add(9, statLine(9, 'line\nbreak'));
  add(11, statLine(11, ''));
  add(12, statLine(12, Buffer.from([0x66, 0xff, 0x6f])));
  add(13, statLine(13, Buffer.concat([Buffer.from('длинный'), Buffer.from('х').subarray(0, 1)])));
  add(14, statLine(14, 'kworker/u8:2-events_unbound', 'I', 2));
  add(15, statLine(15, 'ends)\n', 'D', 10));
  add(16, statLine(16, 'no line end').subarray(0, -1));
  /* malformed */
  add(20, '');
  add(
    21,
    statLine(21, 'cut in starttime')
      .toString()
      .replace(/(21000) .*/s, '$1'),
  );
  add(22, statLine(23, 'another pid'));
  add(24, '24 (no end');
  add(25, `${'x'.repeat(9000)}\n`);
  run(['mkfifo', join(proc, 'pipe')]);
  mkdirSync(join(proc, '26'));
  run(['mkfifo', join(proc, '26', 'stat')]);
  /* unreadable */
  mkdirSync(join(proc, '30', 'stat'), { recursive: true });
  writeFileSync(join(proc, '31'), 'a file where a folder should be');
  mkdirSync(join(proc, '32'));
  symlinkSync('../1/stat', join(proc, '32', 'stat'));
  /* vanished */
  symlinkSync('nowhere', join(proc, '40'));
  mkdirSync(join(proc, '41'));
  /* not processes */
  for (const name of ['self', '007', '0', '5x', '-5', '99999999999', '2147483648', ' 6']) {
    add(name, statLine(6, 'no process'));
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a tree of files', () => {
  test('every form of name and line', () => {
    const table = readProcessTable(proc);
    expect([...table.columns.pid]).toEqual([1, 9, 10, 11, 12, 13, 14, 15, 16]);
    const names = [...table.columns.pid].map((_, i) => table.commText(i));
    expect(names).toEqual([
      'init',
      'line\nbreak',
      'a) Z 1 (b',
      '',
      'f\u00ffo',
      'длинный',
      'kworker/u8:2-eve',
      'ends)\n',
      'no line end',
    ]);
    expect(table.columns).toMatchObject({
      count: 9,
      vanished: 2,
      unreadable: 3,
      malformed: 6,
    });
    expect(table.columns.unreadableErrno).toBeGreaterThan(0);
    expect(table.get(table.indexOf(10))).toEqual({
      pid: 10,
      comm: 'a) Z 1 (b',
      state: 'Z',
      ppid: 999,
      startTicks: 10_000,
      pgrp: 10,
      session: 7,
      threads: 2,
      flags: 4194304,
      cpuTicks: 123,
      exitCode: 768,
    });
    expect([...table.childrenOf(1)].map((i) => table.columns.pid[i])).toEqual([9, 11, 12, 13, 16]);
  });

  test('an empty one', () => {
    const empty = mkdtempSync(join(dir, 'empty-'));
    const table = readProcessTable(empty);
    expect(table.columns).toMatchObject({ count: 0, vanished: 0, unreadable: 0, malformed: 0 });
    expect(table.indexOf(1)).toBe(-1);
    expect(table.childrenOf(1)).toHaveLength(0);
  });

  test.each([
    ['nothing there', () => join(dir, 'missing'), 'ENOENT', 2],
    ['a file', () => join(proc, '31'), 'ENOTDIR', 20],
    ['a NUL in the path', () => '/proc\0', 'EINVAL', 22],
  ])('%s instead of the folder', (_, path, code, errno) => {
    const error: unknown = (() => {
      try {
        return readProcessTable(path());
      } catch (e) {
        return e;
      }
    })();
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code, errno });
    expect(String(error)).toContain(`reading ${path().replace('\0', '')}: `);
  });

  test('50,000 processes', () => {
    const big = mkdtempSync(join(dir, 'big-'));
    for (let pid = 1; pid <= 50_000; pid++) {
      mkdirSync(`${big}/${pid}`);
      writeFileSync(`${big}/${pid}/stat`, statLine(pid, 'chrome', 'Z', pid % 2 ? 1 : 4));
    }
    try {
      const table = readProcessTable(big);
      expect(table.columns).toMatchObject({ count: 50_000, vanished: 0, malformed: 0 });
      expect(table.indexOf(50_000)).toBe(49_999);
      expect(table.childrenOf(1)).toHaveLength(25_000);
      expect(table.childrenOf(4)).toHaveLength(25_000);
      expect(table.columns.startTicks.every((t, i) => t === (i + 1) * 1000)).toBe(true);
    } finally {
      rmSync(big, { recursive: true });
    }
  });
});

describe('the real /proc', () => {
  test('holds ourselves, as the other reader sees it', () => {
    const other = parseStat(readFileSync('/proc/self/stat', 'latin1'));
    const table = readProcessTable();
    const self = table.get(table.indexOf(process.pid));
    expect(other).toBeDefined();
    expect(self).toMatchObject({
      pid: process.pid,
      ppid: process.ppid,
      startTicks: other?.startTicks,
      comm: other?.comm,
    });
    expect(self.threads).toBeGreaterThan(1);
    expect(self.cpuTicks).toBeGreaterThan(0);
    expect([...table.childrenOf(process.ppid)]).toContain(table.indexOf(process.pid));
    const uptime = Number.parseFloat(readFileSync('/proc/uptime', 'latin1'));
    const age = table.ageSeconds(table.indexOf(process.pid), uptime);
    expect(Math.abs(age - process.uptime())).toBeLessThan(2);
  });

  test('a zombie', async () => {
    const parent = spawn(fixture('zombies'), ['3'], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const [pid = 0, ...children] = line.toString().trim().split(' ').map(Number);
      expect(pid).toBe(parent.pid);
      const table = readProcessTable();
      const rows = [...table.childrenOf(pid)].map((i) => table.get(i));
      expect(rows.map((row) => row.pid)).toEqual([...children].sort((a, b) => a - b));
      for (const row of rows) {
        /* 3 << 8: the code as waitpid gives it */
        expect(row).toMatchObject({ state: 'Z', ppid: pid, comm: 'zombies', exitCode: 768 });
        expect(row.threads).toBe(1);
      }
    } finally {
      parent.stdin.end();
      await once(parent, 'close');
    }
  });

  test('leaves no descriptor open and keeps no memory', () => {
    const core = loadScanCore();
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    core.scanProc('/proc');
    const memory = process.memoryUsage.rss();
    for (let i = 0; i < 200; i++) core.scanProc(proc);
    expect(() => core.scanProc(join(dir, 'missing'))).toThrow();
    expect(descriptors()).toBe(before);
    expect(process.memoryUsage.rss() - memory).toBeLessThan(32 << 20);
  });
});

const VARIANTS = {
  plain: ['-O2'],
  asan: ['-fsanitize=address,undefined', '-g', '-O1'],
  tsan: ['-fsanitize=thread', '-g', '-O1'],
};

describe.each(Object.entries(VARIANTS))('in C, %s', (variant, flags) => {
  const into = join(ROOT, 'build', 'scan-tests', variant);
  const env = cleanEnv({ ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' });
  const outputOf = (file: string, ...args: string[]) => {
    const r = spawnSync(file, args, { encoding: 'utf8', timeout: 60_000, env, maxBuffer: 1 << 24 });
    expect(r).toMatchObject({ status: 0, signal: null, stderr: '' });
    return r.stdout.trimEnd().split('\n');
  };
  const scanTest = (...args: string[]) => outputOf(join(into, 'scan_test'), ...args);

  beforeAll(() => {
    const script = join(ROOT, 'test', 'native', 'build.sh');
    const sanitize = flags.some((f) => f.startsWith('-fsan')) ? ['-fno-sanitize-recover=all'] : [];
    const r = run(['sh', script, 'scan', into, ...flags, ...sanitize]);
    expect(r).toMatchObject({ code: 0, stderr: '' });
  });

  test('the tree, the same as through the addon', () => {
    const { columns: c, size } = readProcessTable(proc);
    const expected = [...c.pid].map((pid, i) =>
      [
        ...[pid, c.ppid[i], c.pgrp[i], c.session[i], String.fromCharCode(c.state[i] as number)],
        ...[c.threads[i], c.flags[i], c.cpuTicks[i], c.startTicks[i], c.exitCode[i]],
        c.comm.toString('hex', i * 16, i * 16 + 16),
      ].join(' '),
    );
    expected.push(`count ${size} vanished 2 unreadable 3 malformed 6`);
    expect(scanTest('tree', proc)).toEqual(expected);
  });

  test('the real /proc', () => {
    expect(scanTest('tree', '/proc').at(-1)).toMatch(/^count [1-9]\d* .* malformed 0$/);
  });

  test('a folder that is not there', () => {
    expect(scanTest('tree', join(dir, 'missing'))).toEqual(['error 2']);
  });

  /* ThreadSanitizer wants descriptors of its own. */
  if (variant !== 'tsan') {
    test('hardly a descriptor left', () => {
      scanTest('descriptors', proc);
    });
  }

  describe('so many that threads help', () => {
    let many: string;
    beforeAll(() => {
      many = mkdtempSync(join(dir, 'many-'));
      for (let pid = 1; pid <= 3001; pid++) {
        mkdirSync(`${many}/${pid}`);
        /* each tenth is not a stat line, each hundredth is gone */
        if (pid % 100 === 0) continue;
        const line = pid % 10 === 0 ? 'no stat line\n' : statLine(pid, `of ${pid}`, 'Z', pid % 7);
        writeFileSync(`${many}/${pid}/stat`, line);
      }
    });

    test('one processor, many processors, no thread to be had: the same', () => {
      const file = join(into, 'scan_test');
      const lines = scanTest('tree', many);
      const seen = lines.slice(0, -1).map((l) => Number.parseInt(l, 10));
      const expected = Array.from({ length: 3001 }, (_, i) => i + 1).filter((pid) => pid % 10);
      expect(seen).toEqual(expected);
      expect(lines.at(-1)).toBe('count 2701 vanished 30 unreadable 0 malformed 270');
      expect(outputOf('taskset', '-c', '0', file, 'tree', many)).toEqual(lines);
      if (variant !== 'plain') return; /* sanitizers reserve more memory than any limit */
      /* a stack of 1 GB for each new thread, and less memory than that */
      const starved = `ulimit -s 1048576 && ulimit -v 524288 && exec ${file} tree ${many}`;
      expect(outputOf('sh', '-c', starved)).toEqual(lines);
    });

    test('under a storm of signals', () => {
      const sound = mkdtempSync(join(dir, 'sound-'));
      for (let pid = 1; pid <= 400; pid++) {
        mkdirSync(`${sound}/${pid}`);
        writeFileSync(`${sound}/${pid}/stat`, statLine(pid, 'x'));
      }
      scanTest('storm', sound);
    });
  });

  test('damaged lines', () => {
    scanTest('mutate', '200000');
  });
});
