/** The door of the room that knows containers: whose is a process, whose is a cgroup. */
export { type CgroupIdentity, identifyCgroupPath, identifyCgroups, type Runtime } from './identify';
export { type CgroupOwner, ownerOf } from './owner';
