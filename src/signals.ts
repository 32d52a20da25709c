/**
 * Signal names and numbers, real-time ones included. JavaScript's own table
 * (os.constants.signals) knows no real-time signal and lists aliases twice.
 *
 * Numbers are those of x86 and ARM (signal(7)). SIGRTMIN is 34, as glibc and
 * `kill -l` count: 32 and 33 belong to the C library's threads.
 */

const NAMES = [
  '',
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
] as const;

const ALIASES: Readonly<Record<string, string>> = { IOT: 'ABRT', CLD: 'CHLD', POLL: 'IO' };

export const RTMIN = 34;
export const RTMAX = 64;

/** The number of a signal by its plain name, for constants in code. */
export function sig(name: Exclude<(typeof NAMES)[number], ''>): number {
  return NAMES.indexOf(name);
}

/**
 * What a user may write: `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `SIGRTMAX-1`; upper or lower case.
 * @returns the number, 1..64, or undefined when it names no signal.
 */
export function parseSignal(text: string): number | undefined {
  /* before the expressions, which V8 has to compile: a start waits for it */
  const plain = (NAMES as readonly string[]).indexOf(text.startsWith('SIG') ? text.slice(3) : text);
  if (plain > 0) return plain;
  if (/^\d{1,2}$/.test(text)) {
    const n = Number(text);
    return n >= 1 && n <= RTMAX && n !== 32 && n !== 33 ? n : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime) {
    const base = realTime[1] === 'MIN' ? RTMIN : RTMAX;
    const n = base + (realTime[2] === '-' ? -1 : 1) * Number(realTime[3] ?? 0);
    return n >= RTMIN && n <= RTMAX ? n : undefined;
  }
  const n = (NAMES as readonly string[]).indexOf(ALIASES[name] ?? name);
  return n > 0 ? n : undefined;
}

/** `SIGTERM`, `SIGRTMIN+3`, `SIGRTMAX-1` (as `kill -l` prints them), or `signal 99`. */
export function signalName(n: number): string {
  const plain = NAMES[n];
  if (plain) return `SIG${plain}`;
  if (n < RTMIN || n > RTMAX) return `signal ${n}`;
  if (n <= RTMIN + 15) return n === RTMIN ? 'SIGRTMIN' : `SIGRTMIN+${n - RTMIN}`;
  return n === RTMAX ? 'SIGRTMAX' : `SIGRTMAX-${RTMAX - n}`;
}

/* No set of numbers: it would be made at every start, and most ask for none. */
const NOT_FORWARDED = ['KILL', 'STOP', 'CHLD', 'SEGV', 'BUS', 'FPE', 'ILL', 'TRAP', 'SYS'];

/** Whether the core forwards it; mirrors lg_forwardable() in native/core/forward.c. */
export function isForwarded(n: number): boolean {
  return n >= 1 && n <= RTMAX && n !== 32 && n !== 33 && !NOT_FORWARDED.includes(NAMES[n] ?? '');
}
