/**
 * Who runs it: build.sh, by the layer's own Node in a container of the layer. What is in it, and how
 * long each entry takes from its start to its end over a COMMAND that ends at once: medians.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';

const ROOT = '/opt/lychgate';
const ROUNDS = 31;

function size(path) {
  const about = statSync(path);
  if (!about.isDirectory()) return about.size;
  return readdirSync(path).reduce((sum, name) => sum + size(`${path}/${name}`), 0);
}

for (const part of ['bin/node', 'lib', 'dist', 'prebuilds', 'bin/lychgate-pid1', 'licenses'])
  console.log(`  ${part.padEnd(18)}${size(`${ROOT}/${part}`).toString().padStart(10)} bytes`);

function median(program, ...words) {
  const took = Array.from({ length: ROUNDS }, () => {
    const start = process.hrtime.bigint();
    const { error } = spawnSync(program, words, { stdio: 'ignore' });
    if (error) throw error;
    return Number(process.hrtime.bigint() - start) / 1e6;
  });
  return took.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(1);
}

const lean = `${ROOT}/bin/lychgate-pid1`;
/* Static, and ends at once: there is no such plan. */
const command = [lean, '--plan', '/none'];
spawnSync(`${ROOT}/bin/lychgate`, ['plan', '--output', '/plan', '--', ...command]);
console.log(`  start and end, ms: node ${median(`${ROOT}/bin/node`, '-e', '0')}`);
console.log(`    lychgate ${median(`${ROOT}/bin/lychgate`, '--', ...command)}`);
console.log(`    lychgate-pid1 ${median(lean, '--', ...command)}`);
console.log(`    lychgate-pid1 with a baked plan ${median(lean, '--plan', '/plan')}`);
