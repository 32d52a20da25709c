/* Preloaded into Lychgate: for 2 s, again and again, its JavaScript does nothing but
 * wait (BENCH_BLOCK=wait, as in any *Sync call) or compute (BENCH_BLOCK=busy). */
const never = new Int32Array(new SharedArrayBuffer(4));
const busy = process.env.BENCH_BLOCK === 'busy';
setTimeout(function block() {
  const until = Date.now() + 2000;
  if (busy) while (Date.now() < until);
  else Atomics.wait(never, 0, 0, 2000);
  setTimeout(block, 1);
}, 30);
