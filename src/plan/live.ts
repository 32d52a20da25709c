/**
 * Who runs it: lychgate-pid1, as its child, under Node.
 *   plan.cjs live PLAN_FD EVENTS_FD WORD...    write a plan; stay when it wants a policy process
 *   plan.cjs policy EVENTS_FD WORD...          be that process again
 *   plan.cjs baked OPTIONS EVENTS_FD -- WORD...  the same, below a baked plan
 * It stands between the container's start and COMMAND: import only what it needs.
 */
import { readSync, writeSync } from 'node:fs';
import { LEAN_DEFAULTS, plainCommand } from '../init/defaults';
import { encodeLive } from './encode';
import { needsPolicy } from './layout';

async function main([how, ...words]: readonly string[]): Promise<void> {
  if (how === 'baked') {
    const [options = '', events, , ...command] = words;
    const { revive, runPolicy } = await import('./policy');
    return runPolicy(Number(events), revive(options), command);
  }
  const planFd = how === 'live' ? Number(words.shift()) : -1;
  const events = Number(words.shift());
  const plain = plainCommand(words, process.env);
  const { options, command } = plain
    ? { options: LEAN_DEFAULTS, command: plain }
    : await parsed(words, planFd >= 0);
  if (planFd >= 0) writeSync(planFd, encodeLive(options, 1 + words.length - command.length));
  if (needsPolicy(options).length > 0) {
    const { runPolicy } = await import('./policy');
    return runPolicy(events, options, command);
  }
  /* It kills us now. Leaving by ourselves we would set the terminal as we found it,
   * while COMMAND may have changed it. The pipe ends when our parent does. */
  readSync(events, Buffer.alloc(1));
  process.exit(0);
}

/** @param first say what there is to say; a process that is started again does not */
async function parsed(words: readonly string[], first: boolean) {
  const { parse, UsageError } = await import('../init/options');
  const { createLog } = await import('../init/log');
  try {
    const found = parse(words, process.env, { defaults: LEAN_DEFAULTS });
    if (found.action !== 'run') {
      const texts = await import('../init/help');
      writeSync(1, `${texts[found.action]().trimEnd()}\n`);
      process.exit(0);
    }
    const { options, command, warnings } = found;
    const log = createLog(options.logFormat, options.verbosity);
    if (first) for (const warning of warnings) log.write('warn', 'environment', warning);
    return { options, command };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    createLog('text', 1).write('error', 'usage', error.message);
    process.exit(2);
  }
}

void main(process.argv.slice(2));
