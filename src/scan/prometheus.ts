/** For the textfile collector: gauges of the last look. Label sets are few: one for each finding's owner. */
import { Gauge, Registry } from 'prom-client';
import type { Finding, ScanReport } from './model';

const LABELS = [
  'state',
  'class',
  'namespace',
  'pod',
  'container',
  'container_id',
  'parent',
] as const;

export async function formatPrometheus(report: ScanReport): Promise<string> {
  const registry = new Registry();
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new Gauge<T>({ name, help, labelNames: [...labelNames], registers: [registry] });

  gauge('lychgate_scan_timestamp_seconds', 'When the last look was taken').set(
    Date.parse(report.time) / 1000,
  );
  gauge('lychgate_scan_processes', 'Processes looked at').set(report.processes);
  gauge('lychgate_scan_zombies', 'Zombies seen at both looks').set(report.zombies);
  gauge('lychgate_scan_stuck', 'Tasks stuck in D at both looks').set(report.stuck);
  gauge('lychgate_scan_frozen', 'Processes in frozen cgroups').set(report.frozen);
  const found = gauge('lychgate_scan_finding_processes', 'Processes of each finding', LABELS);
  const seen = gauge('lychgate_scan_finding_seen_seconds', 'Since first sight', LABELS);
  for (const f of report.findings) {
    found.inc(labels(f), f.count);
    seen.set(labels(f), f.seenSeconds);
  }
  const used = gauge('lychgate_scan_limit_current', 'Tasks counted against the nearest limit', [
    'limit',
    'of',
  ]);
  const max = gauge('lychgate_scan_limit_max', 'The nearest limit', ['limit', 'of']);
  for (const limit of [report.limit, ...report.findings.map((f) => f.limit)]) {
    if (!limit) continue;
    const of = { limit: limit.name, of: limit.of ?? '' };
    used.set(of, limit.current);
    max.set(of, limit.max);
  }
  return registry.metrics();
}

function labels(f: Finding): Record<(typeof LABELS)[number], string> {
  return {
    state: f.state,
    class: f.class,
    namespace: f.container?.namespace ?? '',
    pod: f.container?.pod ?? '',
    container: f.container?.name ?? '',
    container_id: f.container?.id ?? '',
    parent: f.parent?.comm ?? '',
  };
}
