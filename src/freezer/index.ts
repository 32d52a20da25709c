/** The door of the freezer: `import { inspectFreezer, thaw } from 'lychgate/freezer'`. */
export { main } from './command';
export { type InspectOptions, inspectFreezer } from './inspect';
export {
  FreezerError,
  type FreezerReport,
  type FreezerState,
  type FrozenRelative,
  type HierarchyReport,
  type Owner,
  type ResistingTask,
} from './model';
export { readState } from './state';
export { type ThawOptions, type ThawReport, thaw } from './thaw';
