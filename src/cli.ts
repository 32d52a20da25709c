#!/usr/bin/env node
/** `lychgate`: the command line. Dispatch only; each command is a room of its own. */
import { main } from './init/main';

const [word, ...rest] = process.argv.slice(2);
/* Bundles of their own (build.mjs): PID 1 does not read what it does not run. */
if (word === 'freezer') {
  void import('./freezer').then(async (freezer) => {
    process.exitCode = await freezer.main(rest);
  });
} else if (word === 'scan') {
  void import('./scan').then(async (scan) => {
    process.exitCode = await scan.main(rest);
  });
} else if (word === 'reap') {
  void import('./reap').then(async (reap) => {
    process.exitCode = await reap.main(rest);
  });
} else {
  void main(process.argv.slice(2));
}
