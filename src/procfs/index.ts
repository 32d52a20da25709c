export { type CgroupLine, parseCgroupFile, readCgroups } from './cgroup';
export { isWithin, type Mount, parseMountinfo, readMounts, visibleMounts } from './mountinfo';
export { descendants, type ProcessStat, parseStat, readProcesses } from './stat';
