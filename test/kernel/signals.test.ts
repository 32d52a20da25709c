import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isForwarded, parseSignal, RTMAX } from '../../src/signals';
import { commandsOf, FORMS } from '../support/forms';
import { cleanEnv, fixture, ROOT, Running, run } from '../support/init';
import { listening } from '../support/processes';

const FORWARDED = Array.from({ length: RTMAX }, (_, i) => i + 1).filter(isForwarded);
const early = `--require=${ROOT}/test/fixtures/early.cjs`;

/** The process that is PID 1 inside: the only child of unshare. */
async function inner(unshare: Running): Promise<number> {
  const file = `/proc/${unshare.pid}/task/${unshare.pid}/children`;
  return Number(readFileSync(file, 'utf8').trim());
}

function lines(name: string, text: string): number[] {
  return [...text.matchAll(new RegExp(`^${name} (\\d+) `, 'gm'))].map((m) => Number(m[1]));
}

/** Every signal, awaited from each of names: a pending CONT is dropped when TSTP comes (signal(7)) */
async function report(
  argv: readonly string[],
  pidOf: (r: Running) => number | Promise<number>,
  ...names: readonly string[]
) {
  const r = new Running(argv);
  for (const name of names) await r.see(new RegExp(`${name} 0 0`));
  const pid = await pidOf(r);
  for (const n of FORWARDED) {
    process.kill(pid, n);
    for (const name of names) await r.see(new RegExp(`${name} ${n} `));
  }
  return r.ended;
}

describe('every signal but KILL, STOP, CHLD and the synchronous faults', () => {
  test('the list is what the contract says', () => {
    const missing = Array.from({ length: 31 }, (_, i) => i + 1).filter((n) => !isForwarded(n));
    const names = ['ILL', 'TRAP', 'BUS', 'FPE', 'KILL', 'SEGV', 'CHLD', 'STOP', 'SYS'];
    expect(missing).toEqual(names.map((n) => parseSignal(n)));
    expect(FORWARDED).toContain(parseSignal('USR1'));
    expect(FORWARDED.filter((n) => n > 31)).toHaveLength(31);
  });
});

describe.each(FORMS)('each of them: $name', ({ lychgate, asPid1 }) => {
  test('is forwarded to the child, as subreaper', async () => {
    const end = await report(lychgate('--', fixture('report')), (r) => r.pid, 'leader');
    expect(lines('leader', end.stdout)).toEqual([0, ...FORWARDED]);
    expect(end).toMatchObject({ code: 0, stderr: '' });
  });

  test('is forwarded to the child, as PID 1', async () => {
    const end = await report(asPid1('--', fixture('report')), inner, 'leader');
    expect(lines('leader', end.stdout)).toEqual([0, ...FORWARDED]);
    expect(end).toMatchObject({ code: 0, stderr: '' });
  });

  test('is forwarded to the group with -g, and not to the group without', async () => {
    const argv = lychgate('-g', '--', fixture('report'), '-g');
    const all = await report(argv, (r) => r.pid, 'leader', 'member');
    expect(lines('leader', all.stdout)).toEqual([0, ...FORWARDED]);
    expect(lines('member', all.stdout).sort((a, b) => a - b)).toEqual([0, ...FORWARDED]);

    const r = new Running(lychgate('--', fixture('report'), '-g'));
    await r.see(/member 0 0/);
    await r.see(/leader 0 0/);
    r.kill('SIGHUP');
    await r.see(/leader 1 0/);
    const [leader = 0] = commandsOf(r.pid);
    const member = Number(readFileSync(`/proc/${leader}/task/${leader}/children`));
    expect(lines('member', r.stdout)).toEqual([0]);
    process.kill(member, RTMAX);
    r.kill(RTMAX);
    expect((await r.ended).code).toBe(0);
  });
});

describe.each(FORMS)('$name', ({ lychgate }) => {
  test('SIGUSR1 opens no port, and is forwarded', async () => {
    const r = new Running(lychgate('--', fixture('report')));
    await r.see(/leader 0 0/);
    for (let i = 0; i < 3; i++) r.kill('SIGUSR1');
    await r.see(/leader 10 0/);
    const fds = readdirSync(`/proc/${r.pid}/fd`).length;
    r.kill('SIGUSR1');
    r.kill('SIGUSR2');
    await r.see(/leader 12 0/);
    expect(readdirSync(`/proc/${r.pid}/fd`)).toHaveLength(fds);
    expect(listening(r.pid)).toEqual([]);
    r.kill(RTMAX);
    expect((await r.ended).stderr).toBe('');
  });

  test('--inspect in NODE_OPTIONS is for COMMAND: ours is closed again', () => {
    const env = cleanEnv({ NODE_OPTIONS: '--inspect=127.0.0.1:0' });
    const script = 'process.stdout.write(String(require("node:inspector").url()))';
    const r = run(lychgate('node', '-e', script), { env });
    expect(r.stdout).toMatch(/^ws:/);
    expect(r.code).toBe(0);
  });

  test('a value sent with sigqueue travels on', async () => {
    const r = new Running(lychgate('--', fixture('report')));
    await r.see(/leader 0 0/);
    expect(run([fixture('queue'), String(r.pid), '35', '4711']).code).toBe(0);
    await r.see(/leader 35 4711/);
    r.kill(RTMAX);
    await r.ended;
  });

  test('1,000 real-time signals in a row: not one is lost', async () => {
    const r = new Running(lychgate('--', fixture('report')));
    await r.see(/leader 0 0/);
    for (let i = 0; i < 1000; i++) r.kill(40);
    await r.see(/(?:leader 40 0\n){1000}/);
    r.kill(RTMAX);
    expect(lines('leader', (await r.ended).stdout).filter((n) => n === 40)).toHaveLength(1000);
  });

  test('a stopped COMMAND is continued so that TERM can end it', async () => {
    const r = new Running(lychgate('-v', '--', 'sleep', '1000'));
    await r.see(/started sleep as pid (\d+)/, 'stderr');
    r.kill('SIGTSTP');
    await r.see(/was stopped by SIGTSTP/, 'stderr');
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(143);
  });

  test('-p: the signal of the parent death reaches COMMAND', async () => {
    /* sh starts lychgate, then is killed: lychgate gets USR1 and forwards it */
    const inside = `${lychgate('-p', 'USR1', '--', fixture('report')).join(' ')} & wait`;
    const r = new Running(['sh', '-c', inside]);
    await r.see(/leader 0 0/);
    const init = await inner(r);
    r.kill('SIGKILL');
    await r.see(/leader 10 0/);
    process.kill(init, RTMAX);
    await r.ended;
  });
});

describe.each(FORMS)('--rewrite: $name', ({ lychgate, live }) => {
  test('forwards another signal, real-time ones included, or none', async () => {
    const r = new Running(
      lychgate('-v', '-r', 'TERM:QUIT', '-r', 'rtmin+1:hup', '-r', '1:0', '--', fixture('report')),
    );
    await r.see(/leader 0 0/);
    r.kill('SIGTERM');
    await r.see(/leader 3 0/);
    r.kill(35);
    await r.see(/leader 1 0/);
    r.kill('SIGHUP');
    await r.see(/dropped SIGHUP/, 'stderr');
    r.kill(RTMAX);
    expect(lines('leader', (await r.ended).stdout)).toEqual([0, 3, 1, 64]);
  });

  if (!live) return;

  test('comes from the environment too, and the command line wins', async () => {
    const env = cleanEnv({ LYCHGATE_REWRITE: 'TERM:USR2,HUP:0' });
    const r = new Running(lychgate('--', fixture('report')), { env });
    await r.see(/leader 0 0/);
    r.kill('SIGHUP');
    r.kill('SIGTERM');
    await r.see(/leader 12 0/);
    r.kill(RTMAX);
    expect(lines('leader', (await r.ended).stdout)).toEqual([0, 12, 64]);

    const over = new Running(lychgate('-r', 'INT:HUP', '--', fixture('report')), { env });
    await over.see(/leader 0 0/);
    over.kill('SIGTERM');
    await over.see(/leader 15 0/);
    over.kill(RTMAX);
    await over.ended;
  });
});

describe.each(FORMS)('signals that come before COMMAND runs: $name', ({ lychgate, addon }) => {
  test('at any moment of the start: TERM always ends it, in both modes', async () => {
    const modes = [[], ['-g']].map((mode) => lychgate(...mode, '--', 'sleep', '1000'));
    const wrong: unknown[] = [];
    for (let i = 0; i < 120; i++) {
      const r = new Running(modes[i % 2] as string[]);
      await new Promise((resolve) => setTimeout(resolve, i / 2));
      r.kill('SIGTERM');
      const end = await r.ended;
      if (end.signal !== 'SIGTERM' && end.code !== 143) wrong.push([i, end]);
    }
    expect(wrong).toEqual([]);
  });

  if (!addon) return; /* only into Node can be preloaded */

  test.each([
    ['to the child', []],
    ['to the group', ['-g']],
  ])('are kept and delivered %s', (_, options) => {
    /* sleep: it blocks nothing, so TERM ends it wherever in its start it comes. */
    const node = lychgate(...options, '--', 'sleep', '1000');
    node.splice(1, 0, early);
    const r = run(node, { env: cleanEnv({ EARLY: '15' }) });
    expect(r).toMatchObject({ code: 143, stderr: '' });
  });
});
