#!/usr/bin/env node
/** `lychgate`: the command line. Dispatch only; each command is a room of its own. */
import { main } from './init/main';

const argv = process.argv.slice(2);
/* Bundles of their own (build.mjs): PID 1 does not read what it does not run. */
if (argv[0] === 'freezer') {
  void import('./freezer').then(async (freezer) => {
    process.exitCode = await freezer.main(argv.slice(1));
  });
} else {
  void main(argv);
}
