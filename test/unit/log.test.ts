import { expect, test } from 'vitest';
import { exactWords } from '../../src/init/argv';
import { createLog } from '../../src/init/log';
import { printable } from '../../src/printable';

test('levels, text and JSON', () => {
  const lines: string[] = [];
  const emit = (l: string) => lines.push(l) > 0;
  createLog('text', 1, emit).write('info', 'x', 'not shown');
  createLog('text', 2, emit).write('warn', 'x', 'a\nb');
  createLog('json', 0, emit).write('error', 'x', 'a\nb', { pid: 3 });
  expect(lines[0]).toBe('lychgate: warning: a\\x0ab\n');
  expect(JSON.parse(lines[1] as string)).toMatchObject({
    level: 'error',
    event: 'x',
    pid: 3,
    message: 'a\nb',
  });
  expect(lines).toHaveLength(2);
});

test('lines that could not be written are counted and told later', () => {
  const lines: string[] = [];
  let open = false;
  const log = createLog('text', 1, (l) => open && lines.push(l) > 0);
  log.write('warn', 'x', 'one');
  log.write('warn', 'x', 'two');
  open = true;
  log.write('warn', 'x', 'three');
  expect(lines.join('')).toMatch(
    /^lychgate: warning: \d+ lines could not be written\nlychgate: warning: three\n$/,
  );
});

test('control characters are shown, not sent', () => {
  expect(printable('\u001b[1mä\u0085')).toBe('\\x1b[1mä\\x85');
});

test('words that are not UTF-8 come back as bytes', () => {
  const raw = Buffer.from([0x61, 0xff, 0x62]);
  const cmdline = Buffer.concat([Buffer.from('node\0cli\0'), raw, Buffer.from('\0plain\0')]);
  expect(exactWords(['a\uFFFDb', 'plain'], () => cmdline)).toEqual([raw, 'plain']);
  const failing = () => {
    throw new Error('no /proc');
  };
  expect(exactWords(['a\uFFFDb'], failing)).toEqual(['a\uFFFDb']);
  expect(exactWords(['plain'], failing)).toEqual(['plain']);
});
