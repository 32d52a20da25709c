/** The door of the init. It imports neither scan nor freezer: PID 1 starts in 20 ms. */
export {
  type BecomeInitCommand,
  type BecomeInitOptions,
  becomeInit,
  type Role,
} from './become';
export type { LogFormat } from './defaults';
export { main } from './main';
export type { InitEvent } from './narrate';
export type { CommandEnd } from './supervisor';
