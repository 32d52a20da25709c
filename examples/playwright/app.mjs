/**
 * app.mjs [SESSIONS]: each session starts Chromium headless, opens a local page, and loses its
 * browser mid-way, as to the OOM killer: its helpers are orphans then. The last two are left
 * running and forgotten. Prints "page TITLE" for each, and "ready"; then it waits, as a service.
 */
import { chromium } from 'playwright-core';

const sessions = Number(process.argv[2] ?? 20);
const LEFT_RUNNING = 2;
const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic'];
/* Signals end this program, as they end others; Lychgate sees to what it leaves behind. */
const ours = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };

for (let number = 0; number < sessions; number++) {
  /* launch() would not tell the process */
  const server = await chromium.launchServer({
    executablePath: '/usr/bin/chromium',
    args,
    ...ours,
  });
  const browser = await chromium.connect(server.wsEndpoint());
  const page = await browser.newPage();
  await page.goto(new URL('page.html', import.meta.url).href);
  console.log('page', await page.title());
  if (number < sessions - LEFT_RUNNING) {
    const child = server.process();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
console.log('ready');
setInterval(() => {}, 60_000);
