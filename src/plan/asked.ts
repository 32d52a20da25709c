/** With options: what live.ts was asked, parsed and answered; and the policy process. */
import { readSync, writeSync } from 'node:fs';
import { LEAN_DEFAULTS } from '../init/defaults';
import { encodeLive } from './encode';
import { needsPolicy } from './layout';

export async function main([how, ...words]: readonly string[]): Promise<void> {
  if (how === 'baked') {
    const [options = '', events, , ...command] = words;
    const { revive, runPolicy } = await import('./policy');
    return runPolicy(Number(events), revive(options), command);
  }
  const planFd = how === 'live' ? Number(words.shift()) : -1;
  const events = Number(words.shift());
  const { options, command } = await parsed(words, planFd >= 0);
  if (planFd >= 0) writeSync(planFd, encodeLive(options, 1 + words.length - command.length));
  if (needsPolicy(options).length > 0) {
    const { runPolicy } = await import('./policy');
    return runPolicy(events, options, command);
  }
  /* as live.ts has it */
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
