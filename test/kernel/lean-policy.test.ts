/** The TypeScript side of lychgate-pid1: killed, stopped, or looking. PID 1 does without it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { until } from '../support/cgroups';
import { bake, commandsOf, HAS_PID1, LEAN, PID1, policiesOf } from '../support/forms';
import { fixture, type Running, run } from '../support/init';
import {
  childrenOf,
  cleanupAfterEach,
  listening,
  processesOf,
  startInit,
  stateOf,
} from '../support/processes';

const cleanup = cleanupAfterEach();
const JSON_FORM = ['--log-format=json', '-v'];

interface Told {
  event: string;
  [field: string]: unknown;
}

/** What the policy process wrote; lines of PID 1 itself are text. */
const told = (text: string): Told[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

/** The policy process that is there, or will be. */
async function policyOf(r: Running, not = 0): Promise<number> {
  const find = () => policiesOf(r.pid).find((pid) => pid !== not);
  await until(() => find() !== undefined, 'there is no policy process');
  return find() as number;
}

describe.runIf(HAS_PID1)('killing the TypeScript side at random moments', () => {
  const LONG = 900_000;
  const kill = (count: number, ...argv: string[]) => {
    const r = run([fixture('kill_policy'), String(count), ...argv], { timeout: LONG });
    expect(r.code).toBe(0);
    const wrong = r.stderr.split('\n').filter((line) => /^run \d/.test(line));
    expect(wrong).toEqual([]);
    return JSON.parse(r.stdout);
  };

  test('1,000 times, before and after the start of COMMAND: its code comes', {
    timeout: LONG,
  }, () => {
    const sum = kill(1000, PID1, ...JSON_FORM);
    expect(sum.wrong).toBe(0);
    expect(sum.kills).toBeGreaterThanOrEqual(1000);
    expect(sum.first).toBeGreaterThan(0);
    expect(sum.first).toBeLessThan(sum.kills);
  });

  test('200 times beside a baked plan', { timeout: LONG }, () => {
    const sum = kill(200, PID1, '--plan', bake(...JSON_FORM, '-w'));
    expect(sum.wrong).toBe(0);
    expect(sum.kills).toBeGreaterThanOrEqual(200);
  });
});

describe.each(LEAN)('a policy process: $name', ({ lychgate }) => {
  const ENDED = 'the policy process ended \\(killed by SIGKILL\\); reaping and forwarding go on';
  const saidTimes = (count: number) => new RegExp(`(?:${ENDED}[\\s\\S]*){${count}}`);
  const forwarded = (signal: string) => new RegExp(`"event":"forwarded","signal":"${signal}"`);

  test('killed once: nothing stops, and another goes on telling', async () => {
    const r = startInit(cleanup, lychgate(...JSON_FORM, '-e', '0:9', '--', fixture('report')));
    await r.see(/leader 0 0/);
    await r.see(/"event":"started"/, 'stderr');
    const first = await policyOf(r);
    process.kill(first, 'SIGKILL');
    await r.see(saidTimes(1), 'stderr');
    r.kill('SIGHUP');
    await r.see(/leader 1 0/);
    const second = await policyOf(r, first);
    /* what came in between waited in the pipe */
    await r.see(forwarded('SIGHUP'), 'stderr');
    r.kill('SIGUSR2');
    await r.see(forwarded('SIGUSR2'), 'stderr');
    expect(policiesOf(r.pid)).toEqual([second]);
    r.kill(64);
    const end = await r.ended;
    expect(end.code).toBe(9);
    expect(told(end.stderr).at(-1)).toMatchObject({ event: 'ended', code: 0, exitCode: 9 });
  });

  test('gone when COMMAND ends: another is started for the closing line', async () => {
    const r = startInit(cleanup, lychgate(...JSON_FORM, '-e', '0:9', '--', fixture('report')));
    await r.see(/leader 0 0/);
    await r.see(/"event":"started"/, 'stderr');
    process.kill(await policyOf(r), 'SIGKILL');
    await r.see(saidTimes(1), 'stderr');
    r.kill(64);
    const end = await r.ended;
    expect(end.code).toBe(9);
    expect(told(end.stderr).at(-1)).toMatchObject({ event: 'ended', code: 0, exitCode: 9 });
  });

  test('stays for JSON, in a session of its own, with none of our descriptors but its pipe', async () => {
    const open9 = ['sh', '-c', 'exec 9</etc/passwd; exec "$@"', 'sh'];
    const argv = [...open9, ...lychgate(...JSON_FORM, '--', 'sleep', '1000')];
    const r = startInit(cleanup, [fixture('probe'), 'launch', '--', ...argv]);
    await r.see(/"event":"started"/, 'stderr');
    const policy = await policyOf(r);
    const fields = readFileSync(`/proc/${policy}/stat`, 'latin1').split(') ')[1]?.split(' ');
    expect(fields?.[3]).toBe(String(policy)); /* its session */

    const open = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`)
        .filter((fd) => Number(fd) > 2)
        .map((fd) => ({ fd, target: readlinkSync(`/proc/${pid}/fd/${fd}`) }));
    const ours = open(r.pid).map(({ target }) => target);
    expect(ours).toContain('/etc/passwd');
    const [command = 0] = commandsOf(r.pid);
    expect(open(command)).toEqual([{ fd: '9', target: '/etc/passwd' }]);
    /* anonymous inodes share a name; Node has several of its own */
    const shared = open(policy).filter(
      ({ target }) => !target.startsWith('anon_inode:') && ours.includes(target),
    );
    expect(shared).toEqual([{ fd: expect.any(String), target: expect.stringMatching(/^pipe:/) }]);
    const info = readFileSync(`/proc/${policy}/fdinfo/${shared[0]?.fd}`, 'latin1');
    expect(Number(/^flags:\t(\d+)$/m.exec(info)?.[1]) % 4).toBe(0); /* the end to read from */
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(143);
  });

  test('is deaf to TERM, INT, HUP and USR1, and opens no port', async () => {
    const r = startInit(cleanup, lychgate(...JSON_FORM, '--', fixture('report')));
    await r.see(/leader 0 0/);
    await r.see(/"event":"started"/, 'stderr');
    const policy = await policyOf(r);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const)
      process.kill(policy, signal);
    r.kill('SIGUSR2');
    await r.see(forwarded('SIGUSR2'), 'stderr');
    expect(listening(policy)).toEqual([]);
    r.kill(64);
    const end = await r.ended;
    expect(end.code).toBe(0);
    expect(told(end.stderr).at(-1)).toMatchObject({ event: 'ended' });
    expect(end.stderr).not.toContain('the policy process ended');
  });
});

describe.each(LEAN)('a policy process that is stopped: $name', ({ lychgate }) => {
  /** A line with a number: so many orphans. Ends with 7. */
  const MAKER = `
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'got it\\n'))
print('up', flush=True)
while line := sys.stdin.readline():
    for _ in range(int(line)):
        if os.fork() == 0:
            os.fork()
            os._exit(0)
        os.wait()
    print('made', line, flush=True)
sys.exit(7)`;
  const start = async (...options: string[]) => {
    const r = startInit(cleanup, lychgate(...options, '--', 'python3', '-c', MAKER));
    await r.see(/up/);
    await r.see(/"event":"started"/, 'stderr');
    const policy = await policyOf(r);
    process.kill(policy, 'SIGSTOP');
    await until(() => stateOf(policy) === 'T', 'it does not stop');
    return { r, policy };
  };

  /** Each event is told, or counted as lost. @returns how many were lost */
  function account(stderr: string): number {
    const events = told(stderr);
    const last = events.at(-1);
    expect(last?.event).toBe('ended');
    const total = /\((\d+) orphans reaped, (\d+) signals forwarded\)/.exec(String(last?.message));
    const count = (kind: string) => events.filter(({ event }) => event === kind).length;
    const lost = events
      .filter(({ event }) => event === 'events-lost')
      .reduce((sum, event) => sum + Number(event.events), 0);
    expect(Number(total?.[1])).toBeGreaterThanOrEqual(2000);
    expect(count('reaped') + count('forwarded') + lost).toBe(
      Number(total?.[1]) + Number(total?.[2]),
    );
    return lost;
  }

  test('holds nobody up, and what the pipe did not take is counted exactly', async () => {
    const { r, policy } = await start('--log-format=json', '-vv');
    r.child.stdin?.write('2000\n');
    await r.see(/made 2000/);
    await until(() => childrenOf(r.pid).length === 2, 'not all orphans are reaped');
    r.kill('SIGUSR1');
    await r.see(/got it/);
    expect(stateOf(policy)).toBe('T');

    process.kill(policy, 'SIGCONT');
    /* the next event for which there is room brings the number of those before it */
    await until(() => {
      r.kill('SIGUSR1');
      return r.stderr.includes('"event":"events-lost"');
    }, 'no word of what was lost');
    r.child.stdin?.end();
    const end = await r.ended;
    expect(end.code).toBe(7);
    expect(account(end.stderr)).toBeGreaterThan(0);
  });

  test('with the pipe full at the end of COMMAND: the closing line comes, and the count', async () => {
    const { r, policy } = await start('--log-format=json', '-vv');
    r.child.stdin?.write('2000\n');
    await r.see(/made 2000/);
    await until(() => childrenOf(r.pid).length === 2, 'not all orphans are reaped');
    r.child.stdin?.end();
    await until(() => commandsOf(r.pid).length === 0, 'COMMAND does not end');
    process.kill(policy, 'SIGCONT');
    const end = await r.ended;
    expect(end.code).toBe(7);
    expect(account(end.stderr)).toBeGreaterThan(0);
  });

  test('is left behind by nobody: killed when its time is over, with the code of COMMAND', async () => {
    const { r } = await start(...JSON_FORM);
    expect(processesOf(r)).toHaveLength(3);
    r.child.stdin?.end();
    expect((await r.ended).code).toBe(7);
    await until(() => processesOf(r).length === 0, 'something is left behind');
  });
});

describe.each(LEAN)('what keeps a policy process: $name', ({ lychgate }) => {
  test('--neglected=warn: it warns of a parent that does not wait', async () => {
    const options = ['--neglected=warn', '--neglected-after', '0.3'];
    const r = startInit(cleanup, lychgate(...options, '--', fixture('zombies'), '3'));
    await r.see(/does not wait for its children: 3 zombies/, 'stderr');
    expect(policiesOf(r.pid)).toHaveLength(1);
    r.child.stdin?.end();
    expect((await r.ended).code).toBe(0);
  });

  test('--watch-freezer', async () => {
    const argv = lychgate('--watch-freezer', '5', '--', 'sh', '-c', 'echo up; read x; exit 3');
    const r = startInit(cleanup, argv);
    await r.see(/up/);
    await policyOf(r);
    expect(childrenOf(r.pid)).toHaveLength(2);
    r.child.stdin?.end();
    expect(await r.ended).toMatchObject({ code: 3, stderr: '' });
  });
});
