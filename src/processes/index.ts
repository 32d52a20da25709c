/** The door of the room that knows single processes: facts, parents, why a zombie stays, limits. */
export {
  classifyLeader,
  classifyParent,
  classifyTraced,
  MAX_LOOKED_AT,
  threadsOf,
  type Verdict,
  type ZombieClass,
} from './classify';
export { Facts, parseStatus, type Status } from './facts';
export { Limits, nearest } from './limits';
export { mendFor } from './mend';
export type { Limit, Parent, ProcessRef } from './model';
export { type ParentFacts, readParent } from './parents';
