/** `import { becomeInit } from 'lychgate'` */
export {
  type BecomeInitCommand,
  type BecomeInitOptions,
  becomeInit,
  type CommandEnd,
  type InitEvent,
  type LogFormat,
  type Role,
} from './init';
