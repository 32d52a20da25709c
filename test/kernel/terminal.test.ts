/** Job control on a real terminal, driven by test/fixtures/pty_bridge.py. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { commandsOf, FORMS } from '../support/forms';
import { cleanEnv, fixture, ROOT, Running } from '../support/init';

const BRIDGE = join(ROOT, 'test', 'fixtures', 'pty_bridge.py');
const BASH = ['bash', '--norc', '--noprofile', '--noediting', '-i'];
/** No history, no colours; what the shell says is not translated. */
const ENV = { TERM: 'dumb', LC_ALL: 'C', HISTFILE: '/dev/null' };
const CTRL_C = '\x03';
const CTRL_D = '\x04';
const CTRL_Z = '\x1a';
const DEADLINE_MS = 60_000;

interface Stat {
  name: string;
  state: string;
  parent: number;
  group: number;
  foreground: number;
}

function stat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const f = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const n = (i: number) => Number(f[i]);
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    return { name, state: f[0] ?? '', parent: n(1), group: n(2), foreground: n(5) };
  } catch {
    return undefined;
  }
}

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found as T;
    if (Date.now() > end) throw new Error(`did not come to pass: ${what}`);
    await later(5);
  }
}

const inState = (pid: number, states: string) =>
  until(`${pid} in state ${states}`, () => states.includes(stat(pid)?.state ?? 'Z'));

/**
 * sleep(1), executed, in the foreground and not stopped. The name counts: bash's child takes the
 * terminal while it still ignores SIGTSTP, and sets that right only just before it executes.
 */
const sleepsInForeground = (pid: number) =>
  until('sleep in the foreground', () => {
    const s = stat(pid);
    return s?.name === 'sleep' && s.foreground === pid && s.state === 'S';
  });

/** The one child of a process, once it is there. */
const childOf = (pid: number) =>
  until(`a child of ${pid}`, () => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  });

/** The same below an init. */
const commandOf = (init: number) => until(`COMMAND of ${init}`, () => commandsOf(init)[0]);

class Terminal {
  readonly #bridge: Running;
  #from = 0;

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#bridge = new Running(['python3', BRIDGE, ...argv], { env: cleanEnv({ ...ENV, ...env }) });
  }

  /** The leader of the session. */
  async pid(): Promise<number> {
    return Number((await this.#bridge.see(/^pid (\d+)$/m, 'stderr'))[1]);
  }

  /** What it ended with; negative: the signal. */
  async exit(): Promise<number> {
    return Number((await this.#bridge.see(/^exit (-?\d+)$/m, 'stderr'))[1]);
  }

  #order(what: object): void {
    this.#bridge.child.stdin?.write(`${JSON.stringify(what)}\n`);
  }

  type(text: string): void {
    this.#order({ write: text });
  }

  resize(rows: number, columns: number): void {
    this.#order({ resize: [rows, columns] });
  }

  hangUp(): void {
    this.#order({ hangup: true });
  }

  /** Wait for what the screen shows next; what stood before it is done with. */
  async see(pattern: RegExp): Promise<RegExpExecArray> {
    try {
      return await until(String(pattern), () => {
        const match = pattern.exec(this.#bridge.stdout.slice(this.#from));
        if (match) this.#from += match.index + match[0].length;
        return match ?? undefined;
      });
    } catch (error) {
      const screen = JSON.stringify(this.#bridge.stdout.slice(this.#from));
      throw new Error(`${(error as Error).message}; the screen since then: ${screen}`);
    }
  }

  async close(): Promise<void> {
    this.#bridge.child.stdin?.end();
    await this.#bridge.ended;
  }
}

let open: Terminal[] = [];

function terminal(argv: readonly string[], env?: NodeJS.ProcessEnv): Terminal {
  const made = new Terminal(argv, env);
  open.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(open.map((t) => t.close()));
  open = [];
});

/** An interactive shell at its prompt. */
async function shell(argv: readonly string[] = BASH): Promise<Terminal> {
  const t = terminal(argv);
  await t.see(/[#$] $/);
  t.type("PS1='rea''dy> '\n"); /* root's bash takes none from the environment */
  await t.see(/ready> $/);
  return t;
}

/** It can read, and its group is the one in the foreground. */
async function shellHasTerminal(t: Terminal): Promise<void> {
  t.type('read -r word; echo "word=$word"\n');
  await t.see(/echo "word=\$word"\r\n/);
  t.type('hello\n');
  await t.see(/word=hello\r\n(?:.*\r\n)*ready> /);
  const pid = await t.pid();
  expect(stat(pid)?.foreground).toBe(pid);
}

/** echo, but its marker cannot be mistaken for the line that was typed. */
const CAT = ['sh', '-c', 'echo cat-$((6*7)); exec cat'];

/** Words as they are typed into a shell; none of ours has a quote in it. */
const typed = (argv: readonly string[]) =>
  argv.map((word) => (/^[\w./:=-]+$/.test(word) ? word : `'${word}'`)).join(' ');

describe.each(FORMS)('$name', ({ addon, lychgate, asPid1 }) => {
  const program = addon ? 'cli\\.cjs' : 'lychgate-pid1';
  const line = (...words: string[]) => typed(lychgate(...words));
  const stopped = new RegExp(`Stopped.*${program}[\\s\\S]*ready> `);
  const goesOn = new RegExp(`fg\r\n.*${program}.*\r\n`);

  it('as the leader of the session gives COMMAND the foreground; Ctrl-C ends it', async () => {
    const t = terminal(lychgate('--', 'sh', '-c', 'echo up; exec cat'));
    await t.see(/up\r\n/);
    const init = await t.pid();
    const child = await commandOf(init);
    expect(stat(init)).toMatchObject({ group: init, foreground: child });
    expect(stat(child)).toMatchObject({ group: child, foreground: child });
    t.type('a line\n');
    await t.see(/a line\r\na line\r\n/);
    t.type(CTRL_C);
    expect(await t.exit()).toBe(130);
  });

  it('Ctrl-C reaches COMMAND once', async () => {
    const t = terminal(
      lychgate(
        '--',
        'bash',
        '-c',
        `trap 'n=$((n+1)); echo int-$n' INT; echo up; while read -r l; do echo "<$l>"; done; echo total-$n; exit 9`,
      ),
    );
    await t.see(/up\r\n/);
    t.type(CTRL_C);
    await t.see(/int-1\r\n/);
    t.type('go on\n');
    await t.see(/<go on>\r\n/);
    t.type(CTRL_C);
    await t.see(/int-2\r\n/);
    t.type(CTRL_D);
    await t.see(/total-2\r\n/);
    expect(await t.exit()).toBe(9);
  });

  it('stops as a job of the shell above, and goes on with fg', async () => {
    const t = await shell();
    t.type(`${line('--', ...CAT)}\n`);
    await t.see(/cat-42\r\n/);
    const init = await childOf(await t.pid());
    const child = await commandOf(init);
    expect(stat(child)).toMatchObject({ group: child, foreground: child });

    for (const round of ['one', 'two', 'three']) {
      t.type(`${round}\n`);
      await t.see(new RegExp(`${round}\r\n${round}\r\n`));
      t.type(CTRL_Z);
      await t.see(stopped);
      expect(stat(init)).toMatchObject({ state: 'T', foreground: await t.pid() });
      expect(stat(child)?.state).toBe('T');
      t.type('jobs\n');
      await t.see(new RegExp(`\\[1\\]\\+ +${stopped.source}`));
      t.type('fg\n');
      await t.see(goesOn);
      await until('COMMAND in the foreground', () => stat(child)?.foreground === child);
    }
    t.type('last\n');
    await t.see(/last\r\nlast\r\n/);
    t.type(CTRL_D);
    await t.see(/ready> /);
    t.type('echo "code=$?"\n');
    await t.see(/code=0\r\nready> /);
    await shellHasTerminal(t);
  });

  it('stops and continues as a member of a pipeline', async () => {
    const t = await shell();
    t.type(`${line('--', ...CAT)} | cat\n`);
    await t.see(/cat-42\r\n/);
    t.type(CTRL_Z);
    await t.see(/Stopped[\s\S]*ready> /);
    t.type('fg\n');
    await t.see(goesOn);
    t.type('again\n');
    await t.see(/again\r\nagain\r\n/);
    t.type(CTRL_D);
    await t.see(/ready> /);
    await shellHasTerminal(t);
  });

  it('bg lets a stopped COMMAND go on without the terminal', async () => {
    const t = await shell();
    t.type(`${line('--', 'sleep', '1000')}\n`);
    const init = await childOf(await t.pid());
    const child = await commandOf(init);
    await sleepsInForeground(child);
    t.type(CTRL_Z);
    await t.see(/Stopped[\s\S]*ready> /);
    t.type('bg\n');
    await t.see(/ready> /);
    await inState(child, 'S');
    await inState(init, 'SR');
    expect(stat(child)?.foreground).toBe(await t.pid());
    await shellHasTerminal(t);
    t.type('kill %1; wait %1; echo "code=$?"\n');
    await t.see(/code=143\r\n/);
  });

  it('does not take the terminal when started in the background; reading stops it', async () => {
    const t = await shell();
    t.type(`${line('--', ...CAT)} &\n`);
    await t.see(/cat-42\r\n/);
    const init = await childOf(await t.pid());
    const child = await commandOf(init);
    await inState(child, 'T');
    await inState(init, 'T');
    expect(stat(init)?.foreground).toBe(await t.pid());
    await shellHasTerminal(t);
    t.type('jobs -l\n');
    await t.see(new RegExp(`Stopped \\(tty input\\).*${program}`));
    t.type('fg\n');
    await t.see(goesOn);
    t.type('now\n');
    await t.see(/now\r\nnow\r\n/);
    expect(stat(child)?.foreground).toBe(child);
    t.type(CTRL_D);
    await t.see(/ready> /);
    await shellHasTerminal(t);
  });

  it.each(['session leader', 'PID 1'])('a shell below has job control (%s)', async (role) => {
    const t = await shell(role === 'PID 1' ? asPid1('--', ...BASH) : lychgate('--', ...BASH));
    t.type('sleep 1000\n');
    const init = role === 'PID 1' ? await childOf(await t.pid()) : await t.pid();
    const bash = await commandOf(init);
    const sleep = await childOf(bash);
    await sleepsInForeground(sleep);
    t.type(CTRL_Z);
    await t.see(/Stopped +sleep 1000\r\nready> /);
    expect(stat(sleep)?.foreground).toBe(bash);
    t.type('jobs\n');
    await t.see(/\[1\]\+ +Stopped +sleep 1000\r\nready> /);
    t.type('fg\n');
    await sleepsInForeground(sleep);
    t.type(CTRL_Z);
    await t.see(/Stopped +sleep 1000\r\nready> /);
    t.type('bg\n');
    await inState(sleep, 'S');
    t.type('kill %1; wait %1; echo "code=$?"\n');
    await t.see(/code=143\r\n/);
    t.type(`exit 5\n`);
    expect(await t.exit()).toBe(5);
  });

  it('COMMAND hears of a new size of the window', async () => {
    const t = terminal(lychgate('--', fixture('probe'), 'winch'));
    await t.see(/size 24x200\r\n/);
    t.resize(50, 132);
    await t.see(/changed 50x132\r\n/);
    t.resize(51, 99);
    await t.see(/changed 51x99\r\n/);
    t.type(CTRL_C);
    expect(await t.exit()).toBe(130);
  });

  it.each([
    ['exits', ['sh', '-c', 'exit 3'], 3],
    ['is killed', ['sh', '-c', 'kill -KILL $$'], 137],
    ['cannot be started', ['/nowhere/at-all'], 127],
    ['stops and is killed then', ['sh', '-c', 'kill -STOP $$; echo on'], 137],
  ])('the shell above has the terminal again when COMMAND %s', async (how, command, code) => {
    const t = await shell();
    t.type(`${line('--', ...command)}; echo "code=$?"\n`);
    if (how.startsWith('stops')) {
      await t.see(/Stopped/);
      await t.see(/ready> /);
      const init = await childOf(await t.pid());
      process.kill(await commandOf(init), 'SIGKILL');
      t.type('fg; echo "code=$?"\n');
    }
    await t.see(new RegExp(`code=${code}\r\nready> `));
    await shellHasTerminal(t);
  });

  it('the shell above has the terminal again when lychgate itself is killed', async () => {
    const t = await shell();
    t.type(`${line('--', 'sh', '-c', 'echo up-$((6*7)); exec sleep 1000')}\n`);
    await t.see(/up-42\r\n/);
    process.kill(await childOf(await t.pid()), 'SIGKILL');
    await t.see(/Killed[\s\S]*ready> /);
    await shellHasTerminal(t);
  });

  it.each([
    ['session leader', 'CONT'],
    ['session leader', 'TERM'],
    ['PID 1', 'CONT'],
    ['PID 1', 'TERM'],
  ] as const)(
    'says what to do when COMMAND stops with no shell above (%s, %s)',
    async (role, signal) => {
      const command = ['--', 'sh', '-c', 'echo up; exec cat'];
      const t = terminal(role === 'PID 1' ? asPid1(...command) : lychgate(...command));
      await t.see(/up\r\n/);
      const init = role === 'PID 1' ? await childOf(await t.pid()) : await t.pid();
      const child = await commandOf(init);
      t.type(CTRL_Z);
      await t.see(/stopped by (?:SIG)?TSTP and no shell above can continue it; send us SIGCONT/);
      await inState(child, 'T');
      expect(stat(init)?.state).not.toBe('T');
      process.kill(init, `SIG${signal}`);
      if (signal === 'CONT') {
        await inState(child, 'S');
        t.type('on again\n');
        await t.see(/on again\r\non again\r\n/);
        t.type(CTRL_D);
      }
      expect(await t.exit()).toBe(signal === 'CONT' ? 0 : 143);
    },
  );

  it('writes its own messages from the background of a terminal with tostop', async () => {
    const t = await shell();
    t.type(`stty tostop; ${line('-vv', '--', 'sh', '-c', 'exit 4')} & wait $!; echo "code=$?"\n`);
    await t.see(/exiting with 4/);
    await t.see(/code=4\r\n/);
  });

  it('hang-up of the terminal ends COMMAND', async () => {
    const t = terminal(lychgate('--', 'sh', '-c', 'echo up; exec sleep 1000'));
    await t.see(/up\r\n/);
    t.hangUp();
    expect(await t.exit()).toBe(129);
  });
});
