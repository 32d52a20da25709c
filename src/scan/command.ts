/** `lychgate scan`: the command line's way in. */

import { setTimeout as wait } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { loadCore } from '../native';
import { OutputError, openAudit, progress, stderrOf, toFile, toStdout } from '../output';
import { Facts } from '../processes';
import { readProcessTable } from '../procfs/batch';
import { Watch } from '../reap';
import { act } from './act';
import { ScanError, type ScanReport } from './model';
import { type CommandOptions, HELP, type ParsedScan, parseScan } from './options';
import { plan, type Step } from './plan';
import { reapSteps } from './reap';
import { Scanner } from './scan';

const toStderr = stderrOf('scan');

/** @returns the exit code: 0 nothing, 1 findings, 2 could not look */
export async function main(argv: readonly string[]): Promise<number> {
  let parsed: ParsedScan;
  try {
    parsed = parseScan(argv);
    if (parsed.action === 'help') {
      toStdout(HELP);
      return 0;
    }
    return await run(parsed.options);
  } catch (error) {
    if (!(error instanceof ScanError || error instanceof OutputError)) throw error;
    toStderr(error.message);
    return 2;
  }
}

async function run(options: CommandOptions): Promise<number> {
  const { min, minAge, container, namespace, pid, states, root } = options;
  const scanner = new Scanner({
    states,
    root,
    min,
    minAge,
    ...(container === undefined ? {} : { container }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(pid === undefined ? {} : { pid }),
  });
  if (options.watch > 0) return watch(scanner, options);
  const hold = Math.max(options.hold, minAge);
  const facts = new Facts(root);
  const zombies = new Watch(facts, root);
  const remember = () => {
    if (options.action === 'reap' && scanner.last)
      zombies.look(scanner.last.table, scanner.last.at);
  };
  if (hold > 0) {
    scanner.look();
    remember();
    const done = progress(hold);
    await wait(hold * 1000);
    done();
  }
  const report = scanner.look();
  remember();
  await print(report, options);
  if (options.action !== 'report') await carryOut(report, options, facts, zombies);
  return report.findings.length > 0 ? 1 : 0;
}

/** Until a signal ends it. The first look finds nothing: it has nothing to compare with. */
async function watch(scanner: Scanner, options: CommandOptions): Promise<number> {
  scanner.look();
  for (;;) {
    await wait(options.watch * 1000);
    await print(scanner.look(), options);
  }
}

async function print(report: ScanReport, options: CommandOptions): Promise<void> {
  const text = await format(report, options);
  if (options.output === undefined) toStdout(text);
  else toFile(options.output, text);
}

async function format(report: ScanReport, options: CommandOptions): Promise<string> {
  const color = options.output === undefined && isatty(1) && !process.env.NO_COLOR;
  switch (options.format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'ndjson': {
      const { findings, ...rest } = report;
      const lines = [
        { type: 'scan', ...rest },
        ...findings.map((f) => ({ type: 'finding', time: report.time, ...f })),
      ];
      return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    }
    case 'prometheus':
      return (await import('./prometheus')).formatPrometheus(report);
    case 'tree':
      return (await import('./tree')).formatTree(report, color);
    default:
      return (await import('./table')).formatTable(report, color);
  }
}

async function carryOut(
  report: ScanReport,
  options: CommandOptions,
  facts: Facts,
  zombies: Watch,
): Promise<void> {
  const { action, root, force, yes, grace, minAge } = options;
  const scene = { table: readProcessTable(facts.proc), facts, root, force };
  const steps = new Map<number, Step>();
  for (const finding of report.findings) {
    const next = plan(action, finding, scene);
    if ('refused' in next) toStderr(`${action} refused: ${next.refused}`);
    else steps.set(next.target.pid, next);
  }
  if (!yes && action !== 'reap') {
    for (const step of steps.values()) toStderr(`would ${step.text} (--yes does it)`);
    return;
  }
  const audit = openAudit(yes ? options.audit : undefined);
  try {
    if (action === 'reap') {
      const rules = { minAge, force };
      await reapSteps({ watch: zombies, facts, rules, audit, say: toStderr }, steps, yes);
      return;
    }
    for (const step of steps.values()) {
      toStderr(step.text);
      await act({ core: loadCore(), facts, audit, say: toStderr, grace }, step);
    }
  } finally {
    audit.close();
  }
}
