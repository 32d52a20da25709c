/** While it holds: how long still, on a terminal alone. Ctrl-C leaves the terminal as it was. */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { onExit } from 'signal-exit';

const HIDE = '\x1b[?25l';
const SHOW = '\x1b[?25h';
const CLEAR = '\r\x1b[K';

/** @returns what ends it */
export function progress(seconds: number): () => void {
  if (!isatty(2) || process.env.TERM === 'dumb') return () => {};
  const until = Date.now() + seconds * 1000;
  const show = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    writeSync(2, `${CLEAR}looked once; again in ${left} s`);
  };
  const restore = () => {
    writeSync(2, `${CLEAR}${SHOW}`);
  };
  const forget = onExit(restore); /* before there is something to restore */
  writeSync(2, HIDE);
  show();
  const timer = setInterval(show, 1000);
  return () => {
    clearInterval(timer);
    forget();
    restore();
  };
}
