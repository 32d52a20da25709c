#!/usr/bin/env node
/** `lychgate`: the command line. Dispatch only; each command is a room of its own. */
import { main } from './init/main';

const [word = '', ...rest] = process.argv.slice(2);
/* Bundles of their own (build.mjs): PID 1 does not read what it does not run. */
const rooms = {
  freezer: () => import('./freezer'),
  plan: () => import('./plan'),
  reap: () => import('./reap'),
  scan: () => import('./scan'),
};
if (Object.hasOwn(rooms, word)) {
  void rooms[word as keyof typeof rooms]().then(async (room) => {
    process.exitCode = await room.main(rest);
  });
} else {
  void main(process.argv.slice(2));
}
