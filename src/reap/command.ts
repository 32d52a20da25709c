/** `lychgate reap`: the command line's way in. */
import { type Audit, OutputError, openAudit, progress, stderrOf, toStdout } from '../output';
import { type FamilyReport, ReapError, type ReapReport } from './model';
import { type CommandOptions, HELP, type ParsedReap, parseReap } from './options';
import { reap } from './reaper';
import { formatText } from './words';

const toStderr = stderrOf('reap');

/** @returns the exit code: 0 all reaped, 1 some left, 2 could not look */
export async function main(argv: readonly string[]): Promise<number> {
  let parsed: ParsedReap;
  try {
    parsed = parseReap(argv);
    if (parsed.action === 'help') {
      toStdout(HELP);
      return 0;
    }
    return await run(parsed.options);
  } catch (error) {
    if (!(error instanceof ReapError || error instanceof OutputError)) throw error;
    toStderr(error.message);
    return 2;
  }
}

async function run(options: CommandOptions): Promise<number> {
  const { pids, minAge, force, dryRun, format } = options;
  const audit = openAudit(options.audit);
  let report: ReapReport;
  try {
    report = await reap(pids, {
      minAge,
      force,
      dryRun,
      onHold: progress,
      onDone: (family) => note(audit, family, dryRun),
    });
  } finally {
    audit.close();
  }
  const nothing = report.families.length === 0 && report.others.length === 0;
  if (format === 'json') toStdout(`${JSON.stringify(report, null, 2)}\n`);
  else toStdout(nothing ? 'nothing to reap: the zombies are gone\n' : formatText(report));
  const missed = report.others.length > 0;
  const left = report.families.some((f) => f.refused !== null || f.left.length > 0);
  return missed || left ? 1 : 0;
}

function note(
  audit: Audit,
  { parent, reaped, left, refused }: FamilyReport,
  dryRun: boolean,
): void {
  if (dryRun || reaped.length === 0) return;
  audit.write({ action: 'reap', target: parent, reaped, left: left.length, refused });
}
