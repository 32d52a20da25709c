/** Texts for --help, --version and --license. Loaded only when asked for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLAG_LIST, type Flag } from './flags';

const root = join(__dirname, '..');

export function version(): string {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  return `lychgate ${(JSON.parse(text) as { version: string }).version}`;
}

export function license(): string {
  return readFileSync(join(root, 'LICENSE'), 'utf8');
}

function left(name: string, flag: Flag): string {
  const short = flag.short ? `-${flag.short}, ` : '    ';
  return `  ${short}--${name}${flag.value ? ` ${flag.value}` : ''}`;
}

export function help(): string {
  const width = Math.max(...FLAG_LIST.map(([name, flag]) => left(name, flag).length)) + 2;
  const lines = FLAG_LIST.map(([name, flag]) => `${left(name, flag).padEnd(width)}${flag.help}`);
  const variables = FLAG_LIST.flatMap(([, flag]) => flag.env ?? []).join(' ');
  return `Usage: lychgate [options] [--] COMMAND [ARG...]
       lychgate scan [options]                             (see lychgate scan --help)
       lychgate reap [options] PID...                      (see lychgate reap --help)
       lychgate freezer [options] [PID|CGROUP|CONTAINER]   (see lychgate freezer --help)
       lychgate plan --output FILE [options] [-- COMMAND]  (see lychgate plan --help)
       lychgate-pid1 [options] [--] COMMAND [ARG...]       the same without Node in PID 1
       lychgate-pid1 --plan FILE [-- COMMAND [ARG...]]

The first process of a container: runs COMMAND, forwards signals to it, reaps
every orphan, and exits as COMMAND does.

${lines.join('\n')}

SIG, FROM and TO are names (TERM, SIGTERM), numbers, RTMIN+n or RTMAX-n.
--no-subreaper, --no-group and --no-warn-reaped undo what the environment set.

Environment, for what the command line leaves open:
  ${variables.replace(/(.{1,74})(?: |$)/g, '$1\n  ').trim()}
  TINI_SUBREAPER TINI_KILL_PROCESS_GROUP TINI_VERBOSITY (as tini reads them)

Exit: COMMAND's code; 128+n when signal n ended it; 127 not found, 126 found but
cannot be run; 2 bad usage.
`;
}
