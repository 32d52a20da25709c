export { descendants, type ProcessStat, parseStat, readProcesses } from './stat';
