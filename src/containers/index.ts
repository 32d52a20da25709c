/** The door of the room that knows containers: whose is a process, whose is a cgroup. */
export { type Ancestry, climb, type MonitorKind, monitorKind } from './ancestor';
export { type CgroupIdentity, identifyCgroupPath, identifyCgroups, type Runtime } from './identify';
export { type ContainerInfo, ContainerLookup, type Subject } from './metadata';
export { type CgroupOwner, ownerOf } from './owner';
