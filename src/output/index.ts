/** The door of the room that writes: to the standard streams, to files, to the audit, progress. */
export { type Audit, openAudit } from './audit';
export { progress } from './progress';
export { OutputError, stderrOf, toFile, toStdout } from './write';
