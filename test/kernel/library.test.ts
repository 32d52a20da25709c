import { describe, expect, test } from 'vitest';
import { cleanEnv, NODE, ORPHAN_REAPED, ROOT, run, UNSHARE } from '../support/init';

const embed = (name: string) =>
  run([NODE, `${ROOT}/test/fixtures/embed.mjs`], { env: cleanEnv({ CASE: name, ORPHAN_REAPED }) });

describe('becomeInit with a command', () => {
  test('tells what happens, in order, and how it ended', () => {
    const r = embed('events');
    const { end, events } = JSON.parse(r.stdout) as {
      end: Record<string, unknown>;
      events: string[];
    };
    expect(end).toMatchObject({ code: 9, signal: null, exitCode: 10, reaped: 1, error: null });
    expect(events[0]).toBe('started');
    expect(events.at(-1)).toBe('ended');
    expect(events.slice(1, -1).sort()).toEqual(['dropped', 'reaped']);
  });

  test.each(['throwing', 'rejecting'])('a listener that is %s changes nothing', (name) => {
    const r = embed(name);
    expect(r.stdout).toBe('2\n');
    expect(r.stderr).toContain('onEvent failed: listener broke');
    expect(r.code).toBe(0);
  });

  test('one at a time; afterwards again', () => {
    expect(JSON.parse(embed('twice').stdout)).toEqual([
      'becomeInit: this process is an init already',
      5,
    ]);
  });

  test('afterwards signals and child_process are as before', () => {
    expect(JSON.parse(embed('restores').stdout)).toEqual(['SIGHUP', 3]);
  });

  test('not from a worker', () => {
    expect(embed('worker').stdout).toContain('not in a worker');
  });

  test('127 and the reason when there is no such program', () => {
    const [code, error] = JSON.parse(embed('missing').stdout) as [number, string];
    expect(code).toBe(127);
    expect(error).toContain('PATH');
  });

  test('an environment of its own', () => {
    expect(embed('env').stdout.trim().split('\n').sort()[0]).toBe('ONLY=this');
  });

  test('bad options are a TypeError that names the option', () => {
    const lines = embed('bad').stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^TypeError: becomeInit: grace must be/);
    expect(lines[1]).toMatch(/^TypeError: becomeInit: command must be/);
    expect(lines[2]).toMatch(/^TypeError: becomeInit: rewrite: 'NOPE' is no signal/);
  });
});

describe('becomeInit without a command', () => {
  test('as PID 1: the program runs again below, with child_process intact', () => {
    const r = run([...UNSHARE, NODE, `${ROOT}/test/fixtures/app.mjs`]);
    expect(r.stdout).toMatch(/^role app pid \d+ mark undefined\nchild 3\n$/);
    expect(r.stdout).not.toContain('pid 1 ');
    expect(r.stderr).toContain('1 orphans reaped');
    expect(r.code).toBe(6);
  });

  test('elsewhere nothing is done', () => {
    expect(embed('plain').stdout).toBe('plain\n');
  });
});
