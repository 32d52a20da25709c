/** The door of the room that knows containers: whose is a process, whose is a cgroup. */
export { type Ancestry, climb, type Kin, type MonitorKind, monitorKind } from './ancestor';
export type { Facts } from './facts';
export { type CgroupIdentity, identifyCgroupPath, identifyCgroups, type Runtime } from './identify';
export { type ContainerInfo, ContainerLookup, type Source, type Subject } from './metadata';
export { type Monitor, readMonitor } from './monitor';
export { type CgroupOwner, ownerOf } from './owner';
