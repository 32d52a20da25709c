/**
 * app.mjs [SESSIONS]: each session starts Chromium headless, opens a local page, and loses its
 * browser mid-way, as to the OOM killer: its helpers are orphans then. The last two are left
 * running and forgotten. Prints "page TITLE" for each, and "ready"; then it waits, as a service.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const sessions = Number(process.argv[2] ?? 20);
const LEFT_RUNNING = 2;
const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic'];
/* Signals end this program, as they end others; Lychgate sees to what it leaves behind. */
const ours = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };

/** Our child that is no zombie: Playwright does not tell its pid. */
function browserPid(known) {
  return readdirSync('/proc').find((pid) => {
    if (!/^\d+$/.test(pid) || known.has(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(parent) === process.pid && state !== 'Z';
    } catch {
      return false; /* it has ended */
    }
  });
}

const left = new Set();
for (let number = 0; number < sessions; number++) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args, ...ours });
  const page = await browser.newPage();
  await page.goto(new URL('page.html', import.meta.url).href);
  console.log('page', await page.title());
  const pid = browserPid(left);
  if (number < sessions - LEFT_RUNNING) {
    const ended = new Promise((resolve) => browser.once('disconnected', resolve));
    process.kill(Number(pid), 'SIGKILL');
    await ended;
  } else {
    left.add(pid);
  }
}
console.log('ready');
setInterval(() => {}, 60_000);
