/** `lychgate plan`: what lychgate-pid1 shall do, decided when the image is made. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exactWords } from '../init/argv';
import { LEAN_DEFAULTS } from '../init/defaults';
import { FLAG_LIST } from '../init/flags';
import { parse, UsageError } from '../init/options';
import { OutputError, stderrOf, toFile, toStdout } from '../output';
import { decodeBaked, PlanError } from './decode';
import { encodeBaked } from './encode';
import { DEFAULT_FILE, LONGEST, needsPolicy } from './layout';
import { preserve } from './policy';

const toStderr = stderrOf('plan');

const HELP = `Usage: lychgate plan --output FILE [options] [-- COMMAND [ARG...]]
       lychgate plan --show FILE

Decides now what lychgate-pid1 shall do, so that it starts COMMAND at once, without
Node: lychgate-pid1 --plan FILE [-- COMMAND [ARG...]]. Called without a word, it takes
${DEFAULT_FILE}. Words given there replace COMMAND; without COMMAND here they must be.

      --output FILE  write the plan there
      --show FILE    say what is in it, as JSON

Options are those of lychgate (${FLAG_LIST.filter(([, f]) => f.env !== null)
  .map(([name]) => `--${name}`)
  .join(', ')}),
and its environment counts as it is now. --neglected is ignore unless given.
--neglected, --watch-freezer and --log-format=json keep a Node process beside PID 1.

Exit: 0 done; 2 bad usage, or FILE cannot be written, or is no plan.
`;

/** @returns the exit code: 0 done, 2 not */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return run(argv);
  } catch (error) {
    if (
      !(error instanceof UsageError || error instanceof OutputError || error instanceof PlanError)
    )
      throw error;
    toStderr(error.message);
    return 2;
  }
}

function run(argv: readonly string[]): number {
  const settings = { defaults: LEAN_DEFAULTS, more: ['output', 'show'], withoutCommand: true };
  const parsed = parse(argv, process.env, settings);
  if (parsed.action !== 'run') {
    toStdout(HELP);
    return 0;
  }
  const { options, command, warnings, extra } = parsed;
  const show = extra.get('show');
  if (show !== undefined) {
    toStdout(`${JSON.stringify(read(show), null, 2)}\n`);
    return 0;
  }
  const output = extra.get('output');
  if (output === undefined) throw new UsageError('--output FILE or --show FILE is missing');
  for (const warning of warnings) toStderr(`warning: ${warning}`);
  const policy = [process.execPath, join(__dirname, 'plan.cjs'), 'baked', preserve(options)];
  const bytes = encodeBaked(options, policy, exactWords(command));
  if (bytes.length > LONGEST) {
    throw new UsageError(`COMMAND is too long for a plan: ${bytes.length} of ${LONGEST} bytes`);
  }
  toFile(output, bytes, 0o644); /* the image may run as another user */
  const why = needsPolicy(options);
  if (why.length > 0) toStderr(`needs ${process.execPath} at run time too, for ${why.join(', ')}`);
  return 0;
}

function read(file: string) {
  let bytes: Buffer;
  try {
    if (!statSync(file).isFile()) throw new Error('no regular file'); /* a FIFO would hang */
    bytes = readFileSync(file);
  } catch (error) {
    throw new PlanError(`cannot read ${file}: ${(error as Error).message}`);
  }
  try {
    return decodeBaked(bytes);
  } catch (error) {
    throw error instanceof PlanError ? new PlanError(`${file} ${error.message}`) : error;
  }
}
