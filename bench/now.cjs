/* Node alone: when its first line runs, CLOCK_MONOTONIC in us (as measure.c prints it). */
const at = process.hrtime.bigint();
require('node:fs').writeSync(1, `{"at":${Number(at) / 1e3}}\n`);
