import { describe, expect, test } from 'vitest';
import { FORMS } from '../support/forms';
import { Running } from '../support/init';

/** Ignores TERM, says so, and waits. */
const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 1000; done';

describe.each(FORMS)('--grace: $name', ({ lychgate, asPid1 }) => {
  test('KILLs a COMMAND that does not obey TERM', async () => {
    const r = new Running(lychgate('--grace', '0.2', '--', 'sh', '-c', STUBBORN));
    await r.see(/ready/);
    r.kill('SIGTERM');
    const end = await r.ended;
    expect(end.code).toBe(137);
    expect(end.stderr).toContain('the grace time of 0.2 s is over');
  });

  test('as PID 1 too: the TERM of another process counts', async () => {
    const script = `(read x; kill -TERM 1) & ${STUBBORN}`;
    const r = new Running(
      asPid1(
        '--grace',
        '0.2',
        '--',
        'sh',
        '-c',
        `exec 3<&0; ${script.replace('read x', 'read x <&3')}`,
      ),
    );
    await r.see(/ready/);
    r.child.stdin?.write('go\n');
    const end = await r.ended;
    expect(end.code).toBe(137);
    expect(end.stderr).toContain('grace time');
  });

  test('is off by default: a slow COMMAND is not killed', async () => {
    const script = 'trap "sleep 0.5; exit 6" TERM; echo ready; while :; do sleep 0.1; done';
    const r = new Running(lychgate('--', 'sh', '-c', script));
    await r.see(/ready/);
    r.kill('SIGTERM');
    expect((await r.ended).code).toBe(6);
  });

  test('does not run when COMMAND obeys', async () => {
    const r = new Running(lychgate('--grace', '60', '--', 'sh', '-c', 'echo up; exec sleep 1000'));
    await r.see(/up/);
    r.kill('SIGTERM');
    expect(await r.ended).toMatchObject({ code: 143, stderr: '' });
  });
});

describe.each(FORMS)('--drain: $name', ({ lychgate, asPid1 }) => {
  test('the others get TERM and may end by themselves', async () => {
    const other = 'trap "echo cleaned; exit 0" TERM; echo up; while :; do sleep 0.1; done';
    for (const argv of [asPid1, lychgate]) {
      const r = new Running(
        argv(
          '-v',
          '--drain',
          '30',
          '--',
          'sh',
          '-c',
          `(setsid sh -c '${other}' &); read x; exit 5`,
        ),
      );
      await r.see(/up/);
      r.child.stdin?.write('\n');
      const end = await r.ended;
      expect(end.stdout).toContain('cleaned');
      expect(end.stderr).toMatch(/asking \d+ other processes to end/);
      expect(end.stderr).not.toContain('had to kill');
      expect(end.code).toBe(5);
    }
  });

  test('what does not end is killed, and named', async () => {
    for (const argv of [asPid1, lychgate]) {
      const script = `(setsid sh -c '${STUBBORN}' &); read x; exit 4`;
      const r = new Running(argv('--drain', '0.3', '--', 'sh', '-c', script));
      await r.see(/ready/);
      r.child.stdin?.write('\n');
      const end = await r.ended;
      expect(end.stderr).toMatch(/had to kill [12] processes that did not end: .*\d+ \(sh\)/);
      expect(end.code).toBe(4);
    }
  });

  test('does nothing and says nothing when nobody is left', async () => {
    expect(await new Running(asPid1('--drain', '30', 'true')).ended).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  test('off by default: leave at once', async () => {
    const r = await new Running(
      asPid1('sh', '-c', `(${STUBBORN.replace('echo ready', ':')}) & exit 3`),
    ).ended;
    expect(r).toMatchObject({ code: 3, stderr: '' });
  });

  test('a signal that comes meanwhile goes to all that remain', async () => {
    const other =
      'trap "" TERM; trap "echo got-hup; exit 0" HUP; echo up; while :; do sleep 0.1; done';
    const r = new Running(
      lychgate(
        '-v',
        '--drain',
        '30',
        '--',
        'sh',
        '-c',
        `(setsid sh -c '${other}' &); read x; exit 0`,
      ),
    );
    await r.see(/up/);
    r.child.stdin?.write('\n');
    await r.see(/other processes to end/, 'stderr');
    r.kill('SIGHUP');
    const end = await r.ended;
    expect(end.stdout).toContain('got-hup');
    expect(end.stderr).not.toContain('had to kill');
  });
});
